// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import CallStore
import Foundation
import PhoneNumbers

struct ExclusionsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exclusions",
        abstract: "The list of numbers that must never be called.",
        subcommands: [Add.self, Remove.self, Import.self, List.self]
    )

    static func number(_ text: String) throws -> PhoneNumber {
        do {
            return try PhoneNumber(text)
        } catch {
            throw UsageFault("phone number \(error.reason); write it like +14155550123")
        }
    }

    /// The number as it is, and as libphonenumber writes it where that differs, as with the former +52 1 in Mexico:
    /// contacts are normalised when they are imported, and were not always.
    static func forms(_ number: PhoneNumber) -> [PhoneNumber] {
        guard let plan = try? NumberPlan(allowsUnassigned: true), let normal = try? plan.entry(number.e164),
            normal.phoneNumber != number
        else { return [number] }
        return [number, normal.phoneNumber]
    }

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Exclude numbers from all campaigns, at once, also from what is queued."
        )
        @OptionGroup var common: CommonOptions
        @Argument(help: "The numbers, E.164.") var numbers: [String]
        @Option(help: "Why.") var reason: String?

        func run() async throws {
            let numbers = try self.numbers.map(ExclusionsCommand.number).flatMap(ExclusionsCommand.forms)
            let result = try await self.common.withStore { store in
                try await store.addExclusions(numbers, reason: self.reason, source: "manual")
            }
            Console.line("added \(result.added) number(s), excluded \(result.contacts) contact(s)")
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take a number off the list. Contacts that were excluded stay excluded."
        )
        @OptionGroup var common: CommonOptions
        @Argument(help: "The number, E.164.") var number: String

        func run() async throws {
            let number = try ExclusionsCommand.number(self.number)
            let removed = try await self.common.withStore { try await $0.removeExclusion(number) }
            guard removed else { throw UsageFault("the number is not on the exclusion list") }
            Console.line("removed")
        }
    }

    struct Import: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Exclude the numbers of a CSV file with the column phone_number and, if wanted, reason."
        )
        @OptionGroup var common: CommonOptions
        @Argument(help: "The CSV file.") var file: String
        @Option(help: "Why, for rows without a reason of their own.") var reason: String?

        func run() async throws {
            var header: [String]?
            var byReason: [String?: [PhoneNumber]] = [:]
            var faults: [String] = []
            try await CSVFile(path: self.file).forEach { record in
                let place = "\(self.file):\(record.line): "
                guard let columns = header else {
                    header = record.fields.map { $0.lowercased().trimmingCharacters(in: .whitespaces) }
                    guard header?.contains("phone_number") == true else {
                        throw UsageFault(place + "the header has no column phone_number")
                    }
                    return
                }
                guard record.fault == nil, record.fields.count == columns.count else {
                    faults.append(place + (record.fault ?? "has another number of fields than the header"))
                    return
                }
                let values = Dictionary(zip(columns, record.fields)) { first, _ in first }
                do {
                    let number = try PhoneNumber(values["phone_number"] ?? "")
                    let own = values["reason"].flatMap { $0.isEmpty ? nil : $0 }
                    byReason[own ?? self.reason, default: []] += ExclusionsCommand.forms(number)
                } catch let fault as PhoneNumber.Fault {
                    faults.append(place + "phone_number \(fault.reason)")
                }
            }
            guard header != nil else {
                throw UsageFault("\(self.file): is empty; its first line must name the columns")
            }
            // A number that cannot be read might be the one that must not be called: load none rather than most.
            guard faults.isEmpty else {
                throw UsageFault(faults.prefix(20).joined(separator: "\n") + "\nnothing was imported")
            }
            let lists = byReason
            let result = try await self.common.withStore { store in
                var sum = (added: 0, contacts: 0)
                for (reason, numbers) in lists {
                    for start in stride(from: 0, to: numbers.count, by: 5000) {
                        let chunk = Array(numbers[start..<min(start + 5000, numbers.count)])
                        let part = try await store.addExclusions(chunk, reason: reason, source: "import")
                        sum.added += part.added
                        sum.contacts += part.contacts
                    }
                }
                return sum
            }
            Console.line("added \(result.added) number(s), excluded \(result.contacts) contact(s)")
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Print the list.")
        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions

        /// An entry as it is shown.
        struct Entry: Encodable {
            let phoneNumber: String
            let reason: String?
            let source: String
            let createdAt: Date
        }

        func run() async throws {
            let entries = try await self.common.withStore { store in
                var entries: [Entry] = []
                var last: PhoneNumber?
                while true {
                    let page = try await store.exclusions(after: last)
                    guard let end = page.last else { return entries }
                    last = end.phoneNumber
                    entries += page.map { exclusion in
                        Entry(
                            phoneNumber: exclusion.phoneNumber.e164,
                            reason: exclusion.reason,
                            source: exclusion.source,
                            createdAt: exclusion.createdAt
                        )
                    }
                }
            }
            if self.output.json {
                try Console.json(entries)
            } else {
                Console.table(
                    ["NUMBER", "SOURCE", "SINCE", "REASON"],
                    entries.map { [$0.phoneNumber, $0.source, $0.createdAt.formatted(.iso8601), $0.reason ?? ""] }
                )
            }
        }
    }
}
