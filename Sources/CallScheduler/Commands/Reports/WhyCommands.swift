// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import CallStore
import Foundation
import Selection

extension ContactsCommand {
    struct Why: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Explain why a contact is called, or is not, rule by rule, and when it could be next."
        )
        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions
        @OptionGroup var reading: NumberOptions
        @Argument(help: "Its number or its id.") var contact: String
        @Option(help: "Only in this campaign.") var campaign: String?

        private struct View: Encodable {
            let contactID: String
            let campaign: String
            let timeZone: String
            let rules: [CallStore.ContactExplanation.Rule]
            let nextPossible: Date?
            let blocker: String?
        }

        func run() async throws {
            let explanations = try await self.common.withStore { store in
                if let campaign = self.campaign { _ = try await store.campaign(named: campaign) }
                switch try await self.reading.contact(self.contact, store) {
                case .id(let id):
                    return try await store.explainContacts(phoneNumber: nil, id: id, campaign: self.campaign)
                case .number(let number):
                    var explanations: [CallStore.ContactExplanation] = []
                    for form in [number.phoneNumber] + number.otherForms {
                        explanations += try await store.explainContacts(
                            phoneNumber: form,
                            id: nil,
                            campaign: self.campaign
                        )
                    }
                    return explanations
                }
            }
            guard !explanations.isEmpty else {
                let whose = self.campaign.map { "contact of campaign '\($0)'" } ?? "contact"
                throw CheckFailed(message: "no \(whose) has this number or id")
            }
            if self.output.json {
                try Console.json(
                    explanations.map {
                        View(
                            contactID: $0.contactID.lowercased,
                            campaign: $0.campaign,
                            timeZone: $0.timeZone,
                            rules: $0.rules,
                            nextPossible: $0.nextPossible,
                            blocker: $0.blocker
                        )
                    }
                )
            } else {
                for explanation in explanations { Self.print(explanation) }
            }
        }

        private static func print(_ explanation: CallStore.ContactExplanation) {
            Console.line("contact \(explanation.contactID.lowercased) in campaign \(explanation.campaign)")
            for rule in explanation.rules {
                let name = rule.rule.padding(toLength: 20, withPad: " ", startingAt: 0)
                Console.line("  \(rule.passed ? "yes" : "NO ") \(name) \(rule.detail)")
            }
            let waits = explanation.rules.filter {
                !$0.passed && ["no call under way", "number free"].contains($0.rule)
            }
            if let wait = waits.first, explanation.blocker == nil {
                Console.line("  not while a call is under way: \(wait.detail)")
                return
            }
            switch (explanation.nextPossible, explanation.blocker) {
            case (nil, let blocker): Console.line("  never again: \(blocker ?? "no time is left before the end date")")
            case (let next?, nil) where next <= Date(): Console.line("  it can be called now")
            case (let next?, nil): Console.line("  next possible at \(Self.clock(next, explanation.timeZone))")
            case (let next?, let blocker?):
                Console.line("  not before this changes: \(blocker)")
                Console.line("  then at \(Self.clock(max(next, Date()), explanation.timeZone)) or later")
            }
        }

        private static func clock(_ date: Date, _ zone: String) -> String {
            let local = Date.ISO8601FormatStyle(timeZone: TimeZone(identifier: zone) ?? .gmt).year().month().day()
                .time(includingFractionalSeconds: false).timeZone(separator: .colon)
            return "\(date.formatted(local)) in \(zone)"
        }
    }
}

extension CampaignCommand {
    struct Why: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show where a campaign's contacts stand, and what keeps calls from being made."
        )
        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions
        @Argument(help: "The campaign.") var name: String

        func run() async throws {
            var settings = try self.common.settings()
            let broker = settings.broker()
            let depth = settings.selector().queueDepth
            try settings.check()
            let funnel = try await self.common.withStore { store in
                var funnel = try await store.explainCampaign(named: self.name)
                let (queues, fault) = await StatusCommand.queues(broker, trunks: [funnel.trunk])
                funnel.queueRoom = queues.first.map { max(0, depth - $0.ready) }
                funnel.judge(
                    by: CallStore.House(
                        roles: try await store.roles(),
                        consumers: StatusCommand.consumers(queues, trunks: [funnel.trunk]),
                        brokerFault: fault
                    )
                )
                return funnel
            }
            if self.output.json {
                try Console.json(funnel)
                return
            }
            let notOver = funnel.all - funnel.over
            let wanted = notOver - funnel.excluded
            let free = wanted - funnel.dialing - funnel.queued
            let due = free - funnel.resting
            Console.table(
                ["CONTACTS", "#COUNT", "NOT AMONG THEM"],
                [
                    ["all", "\(funnel.all)", ""],
                    ["story not over", "\(notOver)", "\(funnel.over) completed, refused or out of attempts"],
                    ["not excluded", "\(wanted)", "\(funnel.excluded) excluded"],
                    ["no call under way", "\(free)", "\(funnel.dialing) being called, \(funnel.queued) queued"],
                    ["due", "\(due)", "\(funnel.resting) rest" + Self.next(funnel)],
                    [
                        "country called", "\(due - funnel.countryParked)",
                        "\(funnel.countryParked) where the provider refuses"
                            + (funnel.countryRests.isEmpty
                                ? ""
                                : ": "
                                    + funnel.countryRests.map { "\($0.country) (\($0.errorCode))" }.joined(
                                        separator: ", "
                                    )),
                    ],
                    [
                        "window open", "\(funnel.callable + funnel.cellFull)",
                        "\(funnel.windowClosed) where it is closed",
                    ],
                    ["cell wanted", "\(funnel.callable)", "\(funnel.cellFull) in cells whose quota is reached"],
                    [
                        "within limits", Self.estimate(funnel),
                        "\(funnel.limited) of \(funnel.examined) looked at rest by a limit or for their day part",
                    ],
                    [
                        "room under the caps", funnel.headroom.map(String.init) ?? "–",
                        "of the campaign: calls, rate, target",
                    ],
                    ["room in the queue", funnel.queueRoom.map(String.init) ?? "?", "of the trunk's dial.requests"],
                ]
            )
            Console.line(funnel.verdict ?? "")
        }

        private static func estimate(_ funnel: CallStore.CampaignFunnel) -> String {
            guard funnel.examined > 0 else { return "\(funnel.callable)" }
            let rest = funnel.callable * funnel.limited / funnel.examined
            return (funnel.examined < funnel.callable ? "about " : "") + "\(funnel.callable - rest)"
        }

        private static func next(_ funnel: CallStore.CampaignFunnel) -> String {
            funnel.nextDue.map { ", the next until \($0.formatted(.iso8601))" } ?? ""
        }
    }
}
