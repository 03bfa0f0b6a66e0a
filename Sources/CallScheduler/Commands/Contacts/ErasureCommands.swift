// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import CallStore
import Foundation

extension ContactsCommand {
    struct Consent: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Record that a person has given or withdrawn consent. Acts at once, also on what is queued.",
            discussion: """
                It is kept by the number: no later import grants what was withdrawn. Under a policy that lets consent end \
                (policy show NAME), it counts from its date, which is now unless --at tells it.
                """
        )
        @OptionGroup var common: CommonOptions
        @OptionGroup var reading: NumberOptions
        @Argument(help: "The number.") var number: String
        @Flag(help: "What is recorded.") var answer: Answer
        @Option(help: "Only in this campaign.") var campaign: String?
        @Option(help: "When it was given: 2026-03-04, or a time with an offset. Now unless told.") var at: String?
        @Option(help: "Where it was given, such as 'web form 2026'.") var source: String?
        @Option(help: "Where its proof is kept.") var proof: String?

        /// What is recorded.
        enum Answer: String, EnumerableFlag {
            case given
            case withdrawn
        }

        func run() async throws {
            let record: ConsentRecord
            do {
                record = try ConsentRecord(givenAt: self.at, source: self.source, proof: self.proof)
            } catch {
                throw UsageFault(error.reason)
            }
            guard self.answer == .given || record == (try? ConsentRecord()) else {
                throw UsageFault("--at, --source and --proof tell of consent that is given")
            }
            let count = try await self.common.withStore { store in
                let number = try await self.reading.number(self.number, store)
                return try await store.setConsent(
                    self.answer == .given,
                    record: record,
                    number: number.phoneNumber,
                    otherForms: number.otherForms,
                    campaign: self.campaign
                )
            }
            Console.line(
                "consent \(self.answer.rawValue) for \(count) contact(s)"
                    + (count == 0 ? "; no contact has this number yet, and one that is imported will have it so" : "")
            )
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
        @OptionGroup var reading: NumberOptions
        @Argument(help: "Its number or a contact's id.") var contact: String

        func run() async throws {
            var settings = try self.common.settings()
            guard let key = settings.suppressionKey() else {
                try settings.check()
                throw UsageFault("SUPPRESSION_KEY is not set: it keeps erased numbers from being imported again")
            }
            let erasure = try await self.common.withStore { store in
                let contact = try await self.reading.contact(self.contact, store)
                do {
                    return try await Self.erase(contact, key: key, in: store)
                } catch let error as StoreError where error.code == .notFound {
                    throw CheckFailed(message: error.message)
                }
            }
            if self.output.json {
                try Console.json(erasure)
                return
            }
            let what =
                erasure == CallStore.Erasure()
                ? "nothing is left of this number: it was erased before"
                : "erased \(erasure.contacts) contact(s), \(erasure.attempts) attempt(s), \(erasure.exclusions) entry(ies)"
                    + " of exclusion lists, \(erasure.consents) of consent"
            Console.line(what + "; the number cannot be imported again")
        }

        private static func erase(
            _ contact: NumberOptions.Contact,
            key: SuppressionKey,
            in store: CallStore
        ) async throws -> CallStore.Erasure {
            switch contact {
            case .number(let number):
                return try await store.erase(number.phoneNumber, otherForms: number.otherForms, key: key)
            case .id(let id):
                guard let number = try await store.phoneNumber(ofContact: id) else { return CallStore.Erasure() }
                return try await store.erase(number, key: key)
            }
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
