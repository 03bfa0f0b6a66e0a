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
        abstract: "The lists of numbers that must not be called: by all campaigns, or by one.",
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
            abstract: "Exclude numbers, at once, also from what is queued: from all campaigns and for good unless told."
        )
        @OptionGroup var common: CommonOptions
        @OptionGroup var scope: ExclusionScope
        @Argument(help: "The numbers, E.164.") var numbers: [String]
        @Option(help: "Why.") var reason: String?

        func run() async throws {
            let numbers = try self.numbers.map(ExclusionsCommand.number).flatMap(ExclusionsCommand.forms)
            let until = try self.scope.end()
            let result = try await self.common.withStore { store in
                try await store.addExclusions(
                    numbers,
                    reason: self.reason,
                    source: "manual",
                    campaign: try await self.scope.id(store),
                    expiresAt: until
                )
            }
            Console.line("added \(result.added) number(s), took out \(result.contacts) contact(s)")
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take a number off the list. Contacts that were excluded stay excluded."
        )
        @OptionGroup var common: CommonOptions
        @Argument(help: "The number, E.164.") var number: String
        @Option(help: "Take it off the list of this campaign instead of that of all.") var campaign: String?

        func run() async throws {
            let number = try ExclusionsCommand.number(self.number)
            let removed = try await self.common.withStore { store in
                var campaign: UUID?
                if let name = self.campaign { campaign = try await store.campaign(named: name).id }
                return try await store.removeExclusion(number, campaign: campaign)
            }
            guard removed else { throw UsageFault("the number is not on the exclusion list") }
            Console.line("removed")
        }
    }

    struct Import: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Exclude the numbers of a CSV file with the column phone_number and, if wanted, reason."
        )
        @OptionGroup var common: CommonOptions
        @OptionGroup var scope: ExclusionScope
        @Argument(help: "The CSV file.") var file: String
        @Option(help: "Why, for rows without a reason of their own.") var reason: String?

        func run() async throws {
            let until = try self.scope.end()
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
                let campaign = try await self.scope.id(store)
                var sum = (added: 0, contacts: 0)
                for (reason, numbers) in lists {
                    for start in stride(from: 0, to: numbers.count, by: 5000) {
                        let chunk = Array(numbers[start..<min(start + 5000, numbers.count)])
                        let part = try await store.addExclusions(
                            chunk,
                            reason: reason,
                            source: "import",
                            campaign: campaign,
                            expiresAt: until
                        )
                        sum.added += part.added
                        sum.contacts += part.contacts
                    }
                }
                return sum
            }
            Console.line("added \(result.added) number(s), took out \(result.contacts) contact(s)")
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Print the list.")
        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions

        /// An entry as it is shown.
        struct Entry: Encodable {
            let phoneNumber: String
            let campaign: String?
            let reason: String?
            let source: String
            let createdAt: Date
            let expiresAt: Date?
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
                            campaign: exclusion.campaign,
                            reason: exclusion.reason,
                            source: exclusion.source,
                            createdAt: exclusion.createdAt,
                            expiresAt: exclusion.expiresAt
                        )
                    }
                }
            }
            if self.output.json {
                try Console.json(entries)
            } else {
                Console.table(
                    ["NUMBER", "CAMPAIGN", "SOURCE", "SINCE", "UNTIL", "REASON"],
                    entries.map { entry in
                        [
                            entry.phoneNumber, entry.campaign ?? "all", entry.source,
                            entry.createdAt.formatted(.iso8601),
                            entry.expiresAt?.formatted(.iso8601) ?? "for good", entry.reason ?? "",
                        ]
                    }
                )
            }
        }
    }
}

/// For which campaign an exclusion holds, and how long.
struct ExclusionScope: ParsableArguments {
    @Option(help: "Only from this campaign.") var campaign: String?
    @Option(help: "Until when, ISO 8601, or for how long, like 30d or 12h; for good unless told.") var until: String?

    func id(_ store: CallStore) async throws -> UUID? {
        guard let campaign = self.campaign else { return nil }
        return try await store.campaign(named: campaign).id
    }

    func end() throws -> Date? {
        guard let text = self.until else { return nil }
        if let unit = text.last, let value = Int(text.dropLast()), 1...100_000 ~= value, "hd".contains(unit) {
            return Date().addingTimeInterval(Double(value) * (unit == "h" ? 3600 : 86_400))
        }
        guard let date = try? Date(text, strategy: .iso8601), date > Date() else {
            throw UsageFault(
                "until: '\(text)' is neither a time to come, like 2027-01-01T00:00:00Z, nor a span, like 30d"
            )
        }
        return date
    }
}
