// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import CallStore
import Foundation

extension ContactsCommand {
    struct Appoint: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Call a person at the time that they want to be called.",
            discussion: """
                The contact is claimed before all others when the time has come, also when its pause or its day part say \
                otherwise, but never against its calling window, exclusions, limits, caps, or its number of attempts. If \
                nobody answers, or no call could be made, it is tried once more after ten minutes.
                """
        )
        @OptionGroup var common: CommonOptions
        @OptionGroup var reading: NumberOptions
        @Argument(help: "Its number or its id.") var contact: String
        @Option(help: "When: 2026-12-03T18:30 at the person's place, or with an offset, 2026-12-03T18:30+01:00.")
        var at: String?
        @Option(help: "Until when that is meant; half an hour unless told.") var until: String?
        @Option(help: "Only in this campaign.") var campaign: String?
        @Flag(help: "Take the appointment back instead.") var cancel = false

        func validate() throws {
            guard (self.at != nil) != self.cancel, !self.cancel || self.until == nil else {
                throw ValidationError("say --at TIME, or --cancel")
            }
        }

        func run() async throws {
            let start = try Self.time(self.at, "at")
            let end = try Self.time(self.until, "until")
            let verdicts = try await self.common.withStore { store in
                var campaign: UUID?
                if let name = self.campaign { campaign = try await store.campaign(named: name).id }
                var id: UUID?
                var numbers: [PhoneNumber] = []
                switch try await self.reading.contact(self.contact, store) {
                case .id(let contact): id = contact
                case .number(let number): numbers = [number.phoneNumber] + number.otherForms
                }
                guard let start else {
                    let count = try await store.cancelAppointments(numbers: numbers, id: id, campaign: campaign)
                    Console.line("\(count) appointment(s) taken back")
                    return [CallStore.AppointmentVerdict]()
                }
                let verdicts = try await store.appoint(
                    numbers: numbers,
                    id: id,
                    at: start,
                    until: end,
                    campaign: campaign
                )
                guard !verdicts.isEmpty else {
                    throw CheckFailed(message: "no contact of a campaign that is not over has this number or id")
                }
                return verdicts
            }
            for verdict in verdicts { Console.line("\(verdict.campaign): \(Self.words(verdict))") }
            guard verdicts.isEmpty || verdicts.contains(where: { $0.answer == .appointed }) else {
                throw CheckFailed(message: "no appointment was made")
            }
        }

        private static func time(_ text: String?, _ option: String) throws -> AppointmentTime? {
            guard let text else { return nil }
            guard let time = AppointmentTime(text) else {
                throw UsageFault("--\(option): '\(text)' is not a time like 2026-12-03T18:30 or 2026-12-03T18:30+01:00")
            }
            return time
        }

        private static func words(_ verdict: CallStore.AppointmentVerdict) -> String {
            switch verdict.answer {
            case .appointed: "appointed for \(verdict.localTime) at the person's place"
            case .past: "refused: \(verdict.localTime) at the person's place has passed"
            case .over: "refused: the contact is excluded, or its story is over (contacts why tells)"
            case .attemptsUsedUp: "refused: the contact has used up its attempts (campaign set --max-attempts)"
            case .windowClosed:
                "refused: nobody may be called there on \(verdict.localTime)"
                    + (verdict.opensAt.map { "; the window opens on \($0)" } ?? "")
            case .zoneUnknown: "refused: the person's time zone is not known; add an offset such as +01:00"
            case .unknown: "refused: there is no such contact any more"
            }
        }
    }
}
