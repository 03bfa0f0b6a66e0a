// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import CallStore
import Foundation

struct ExclusionsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exclusions",
        abstract: "The lists of numbers that must not be called: by all campaigns, or by one.",
        subcommands: [Add.self, Remove.self, Import.self, List.self]
    )

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Exclude numbers, at once, also from what is queued: from all campaigns and for good unless told."
        )
        @OptionGroup var common: CommonOptions
        @OptionGroup var scope: ExclusionScope
        @OptionGroup var reading: NumberOptions
        @Argument(help: "The numbers.") var numbers: [String]
        @Option(help: "Why.") var reason: String?

        func run() async throws {
            let until = try self.scope.end()
            let result = try await self.common.withStore { store in
                var numbers: [TypedNumber] = []
                for text in self.numbers { numbers.append(try await self.reading.number(text, store)) }
                return try await store.addExclusions(
                    numbers.map(\.phoneNumber),
                    otherForms: numbers.flatMap(\.otherForms),
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
        @OptionGroup var reading: NumberOptions
        @Argument(help: "The number.") var number: String
        @Option(help: "Take it off the list of this campaign instead of that of all.") var campaign: String?

        func run() async throws {
            let removed = try await self.common.withStore { store in
                let number = try await self.reading.number(self.number, store)
                var campaign: UUID?
                if let name = self.campaign { campaign = try await store.campaign(named: name).id }
                return try await store.removeExclusion(
                    number.phoneNumber,
                    otherForms: number.otherForms,
                    campaign: campaign
                )
            }
            guard removed else {
                let whose = self.campaign.map { "of campaign '\($0)'" } ?? "of all campaigns"
                throw CheckFailed(message: "the number is not on the exclusion list \(whose)")
            }
            Console.line("removed")
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
