// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import CallStore
import Foundation

extension ContactsCommand {
    struct Consent: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Record that a person has given or withdrawn consent. Acts at once, also on what is queued."
        )
        @OptionGroup var common: CommonOptions
        @Argument(help: "The number, E.164.") var number: String
        @Flag(help: "What is recorded.") var answer: Answer
        @Option(help: "Only in this campaign.") var campaign: String?

        /// What is recorded.
        enum Answer: String, EnumerableFlag {
            case given
            case withdrawn
        }

        func run() async throws {
            let number = try ExclusionsCommand.number(self.number)
            let count = try await self.common.withStore {
                try await $0.setConsent(self.answer == .given, number: number, campaign: self.campaign)
            }
            guard count > 0 else { throw UsageFault("no contact has this number") }
            Console.line("consent \(self.answer.rawValue) for \(count) contact(s)")
        }
    }

    struct Erase: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Forget a person: remove number, e-mail and ids everywhere, and never import the number again.",
            discussion: """
                Counts stay, and a keyed digest (SUPPRESSION_KEY) keeps the number out. Files on disk, and what the \
                provider stores, are not reached from here.
                """
        )
        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions
        @Argument(help: "Its number (E.164) or a contact's id.") var contact: String

        func run() async throws {
            var settings = try self.common.settings()
            guard let key = settings.suppressionKey() else {
                try settings.check()
                throw UsageFault("SUPPRESSION_KEY is not set: it keeps erased numbers from being imported again")
            }
            let id = UUID(uuidString: self.contact)
            let given = try? PhoneNumber(self.contact)
            guard id != nil || given != nil else {
                throw UsageFault("'\(self.contact)' is neither a number like +4930123456 nor a contact's id")
            }
            let erasure = try await self.common.withStore { store in
                var number = given
                if let id {
                    number = try await store.phoneNumber(ofContact: id)
                    if number == nil { throw UsageFault("the contact was erased before") }
                }
                guard let number else { throw UsageFault("the contact has no number") }
                return try await store.erase(number, key: key)
            }
            if self.output.json {
                try Console.json(erasure)
                return
            }
            Console.line(
                "erased \(erasure.contacts) contact(s), \(erasure.attempts) attempt(s), \(erasure.exclusions) entry(ies)"
                    + " of exclusion lists; the number cannot be imported again"
            )
        }
    }
}

/// Deletes by age.
struct RetentionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retention",
        abstract: "Remove personal data of campaigns that ended long ago; counts stay."
    )
    @OptionGroup var common: CommonOptions
    @OptionGroup var output: OutputOptions
    @Option(help: "Days after a campaign's end for which its data is kept, 1…36500.") var keepDays: Int
    @Flag(help: "Only say what would be removed.") var dryRun = false

    func run() async throws {
        guard 1...36_500 ~= self.keepDays else { throw UsageFault("keep-days: \(self.keepDays) is not in 1…36500") }
        let instant = Date().addingTimeInterval(-86_400 * Double(self.keepDays))
        let retention = try await self.common.withStore {
            try await $0.retain(from: instant, isRehearsal: self.dryRun)
        }
        if self.output.json {
            try Console.json(retention)
            return
        }
        Console.line(
            "\(self.dryRun ? "would remove" : "removed") personal data of \(retention.contacts) contact(s) and "
                + "\(retention.attempts) attempt(s) in \(retention.campaigns.count) campaign(s)"
        )
        for name in retention.campaigns { Console.line("  \(name)") }
    }
}
