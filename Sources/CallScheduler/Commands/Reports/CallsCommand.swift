// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import CallStore
import Foundation

struct CallsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "calls",
        abstract: "Look at calls: the steps of one, or those of a contact or campaign, or all that are live.",
        subcommands: [List.self, Show.self]
    )

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List calls, the latest first; numbers masked.",
            discussion: """
                A contact is named by its number as it is written on a letter, by its id, or by its id in the system that it \
                comes from, for which all contacts are read.
                """
        )
        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions
        @OptionGroup var reading: NumberOptions
        @Option(help: "Only of this contact: its number, its id or its external id.") var contact: String?
        @Option(help: "Only of this campaign.") var campaign: String?
        @Flag(help: "Only those that have not ended.") var open = false
        @Option(help: "How many at most, 1…10000.") var limit = 100
        @Flag(help: "Show whole phone numbers.") var withNumbers = false

        func validate() throws {
            guard 1...10_000 ~= self.limit else { throw ValidationError("limit: \(self.limit) is not in 1…10000") }
            guard self.contact != nil || self.campaign != nil || self.open else {
                throw ValidationError("which calls? Name a --contact or a --campaign, or say --open")
            }
        }

        func run() async throws {
            let calls = try await self.common.withStore { store in
                var filter = CallStore.CallFilter()
                filter.isOpen = self.open
                if let campaign = self.campaign { filter.campaign = try await store.campaign(named: campaign).id }
                if let contact = self.contact { filter.contacts = try await self.contacts(contact, store) }
                return try await store.calls(filter, limit: self.limit)
            }
            let views = calls.map { CallView($0, withNumber: self.withNumbers) }
            guard !self.output.json else { return try Console.json(views) }
            Console.table(
                ["STARTED", "CALL", "#ATTEMPT", "CAMPAIGN", "NUMBER", "STATUS", "OUTCOME", "ENDED"],
                views.map { call in
                    [
                        call.started?.formatted(.iso8601) ?? "", call.callID, call.attemptID.map(String.init) ?? "",
                        call.campaign, call.phoneNumber ?? "erased", call.status, call.outcomeInWords,
                        call.ended?.formatted(.iso8601) ?? "",
                    ]
                }
            )
            if calls.count == self.limit { Console.note("there may be more: another --limit") }
        }

        /// A number that is there is meant before an id of another system that reads like one.
        private func contacts(_ text: String, _ store: CallStore) async throws -> [UUID] {
            if let id = UUID(uuidString: text), try await store.hasContact(id) { return [id] }
            if let number = try await self.reading.numberIfAny(text, store) {
                let forms = ([number.phoneNumber] + number.otherForms).map(\.e164)
                let ids = try await store.contactIDs(phoneNumbers: forms)
                if !ids.isEmpty { return ids }
            }
            let ids = try await store.contactIDs(externalID: text)
            guard !ids.isEmpty else { throw CheckFailed(message: "no contact has this number, id or external id") }
            return ids
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Show a call: each step and its time, by which rules it was allowed, what was reported, and its events."
        )
        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions
        @Argument(help: "The call's id, as logs and events have it, or its attempt's.") var id: String
        @Flag(help: "Show the whole phone number.") var withNumber = false

        func run() async throws {
            let callID = UUID(uuidString: self.id)
            guard let attempt = callID == nil ? Int(self.id) : 0 else {
                throw UsageFault("'\(self.id)' is no id: a call's is a UUID, an attempt's a number")
            }
            let view = try await self.common.withStore { store in
                let call =
                    if let callID { try await store.call(id: callID) } else { try await store.call(attemptID: attempt) }
                guard let call else {
                    throw CheckFailed(message: "there is no such call: none was made, and nobody is claimed for it now")
                }
                return CallHistoryView(call, try await store.history(of: call), withNumber: self.withNumber)
            }
            if self.output.json { try Console.json(view) } else { view.print() }
        }
    }
}
