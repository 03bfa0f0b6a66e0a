// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import CallStore
import Foundation

extension ContactsCommand {
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List contacts of a campaign, in the order in which they were loaded; numbers masked."
        )
        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions
        @Option(help: "The campaign.") var campaign: String
        @Option(
            help: "Only in this state: pending, in_progress, completed, refused, not_reached or excluded.",
            completion: .list(CallStore.contactStates)
        )
        var state: String?
        @Option(help: "How many at most, 1…10000.") var limit = 100
        @Option(help: "Only those behind the contact with this id: the next page.") var after: String?
        @Flag(help: "Show whole phone numbers.") var withNumbers = false

        private struct View: Encodable {
            let contactID: String
            let externalContactID: String?
            let phoneNumber: String
            let state: String
            let attempts: Int
            let lastOutcome: String?
            let nextAttempt: Date?
            let excludedReason: String?
        }

        func validate() throws {
            guard 1...10_000 ~= self.limit else { throw ValidationError("limit: \(self.limit) is not in 1…10000") }
            guard self.state.map(CallStore.contactStates.contains) ?? true else {
                throw ValidationError("state: one of \(CallStore.contactStates.joined(separator: ", "))")
            }
            guard self.after.map({ UUID(uuidString: $0) != nil }) ?? true else {
                throw ValidationError("after: is no contact's id")
            }
        }

        func run() async throws {
            let contacts = try await self.common.withStore { store in
                try await store.contacts(
                    campaign: try await store.campaign(named: self.campaign).id,
                    state: self.state,
                    after: self.after.flatMap { UUID(uuidString: $0) },
                    limit: self.limit
                )
            }
            let views = contacts.map { contact in
                View(
                    contactID: contact.id.lowercased,
                    externalContactID: contact.externalID,
                    phoneNumber: self.withNumbers ? contact.phoneNumber : PhoneNumber.masked(contact.phoneNumber),
                    state: contact.state,
                    attempts: contact.attempts,
                    lastOutcome: contact.lastOutcome,
                    nextAttempt: contact.nextAttempt,
                    excludedReason: contact.excludedReason
                )
            }
            guard !self.output.json else { return try Console.json(views) }
            Console.table(
                ["CONTACT", "EXTERNAL ID", "NUMBER", "STATE", "#ATTEMPTS", "LAST OUTCOME", "NEXT ATTEMPT", "REASON"],
                views.map { view in
                    [
                        view.contactID, view.externalContactID ?? "", view.phoneNumber, view.state, "\(view.attempts)",
                        view.lastOutcome ?? "", view.nextAttempt?.formatted(.iso8601) ?? "", view.excludedReason ?? "",
                    ]
                }
            )
            if views.count == self.limit, let last = views.last {
                Console.note("there may be more: --after \(last.contactID), or another --limit")
            }
        }
    }

    struct Imports: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List imports of contacts, the newest first.")
        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions
        @Option(help: "Only into this campaign.") var campaign: String?

        private struct View: Encodable {
            let importID: String
            let campaign: String
            let file: String
            let started: Date
            let finished: Date?
            let undone: Date?
            let undoneBy: String?
            let added: Int
            let rejected: Int

            var state: String {
                self.undone.map { "undone at \($0.formatted(.iso8601)) by \(self.undoneBy ?? "?")" }
                    ?? (self.finished == nil ? "not finished" : "done")
            }
        }

        func run() async throws {
            let imports = try await self.common.withStore { store in
                if let campaign = self.campaign { _ = try await store.campaign(named: campaign) }
                return try await store.imports(campaign: self.campaign)
            }
            let views = imports.map { record in
                View(
                    importID: record.id.lowercased,
                    campaign: record.campaign,
                    file: record.fileName,
                    started: record.startedAt,
                    finished: record.finishedAt,
                    undone: record.undoneAt,
                    undoneBy: record.undoneBy,
                    added: record.added,
                    rejected: record.rejected
                )
            }
            guard !self.output.json else { return try Console.json(views) }
            Console.table(
                ["IMPORT", "CAMPAIGN", "STARTED", "#ADDED", "#REJECTED", "STATE", "FILE"],
                views.map { view in
                    [
                        view.importID, view.campaign, view.started.formatted(.iso8601), "\(view.added)",
                        "\(view.rejected)", view.state, view.file,
                    ]
                }
            )
        }
    }

    struct UndoImport: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "undo-import",
            abstract: "Take back the contacts that an import has added, while none of them was called.",
            discussion: """
                What the import has made stricter of contacts that were there before stays: do_not_call and consent that \
                was withdrawn.
                """
        )
        @OptionGroup var common: CommonOptions
        @Argument(help: "The import's id; `contacts imports` shows them.") var importID: String

        func run() async throws {
            guard let id = UUID(uuidString: self.importID) else {
                throw UsageFault("'\(self.importID)' is no import's id; `call-scheduler contacts imports` shows them")
            }
            let (campaign, removed) = try await self.common.withStore {
                try await $0.undoImport(id, actor: HostUser.name)
            }
            Console.line("removed \(removed) contacts from campaign \(campaign)")
        }
    }
}

extension CampaignCommand {
    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Delete a draft with its contacts.")
        @OptionGroup var common: CommonOptions
        @Argument(help: "The campaign.") var name: String

        func run() async throws {
            let contacts = try await self.common.withStore { try await $0.deleteDraft(named: self.name) }
            Console.line("deleted campaign \(self.name) with \(contacts) contacts")
        }
    }
}
