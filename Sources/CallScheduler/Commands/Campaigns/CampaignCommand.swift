// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import CallStore
import Foundation

struct CampaignCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "campaign",
        abstract: "Create campaigns, look at them, start and stop them.",
        subcommands: [
            Create.self, Set.self, Block.self, Unblock.self, List.self, Show.self, Check.self, ForecastCommand.self,
            Why.self, Start.self, Pause.self, Resume.self, Cancel.self, Delete.self, ApplyPolicy.self, Export.self,
        ]
    )

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Create a campaign as a draft.")
        @OptionGroup var common: CommonOptions
        @Argument(help: "The unique name.") var name: String
        @Option(help: "IANA zone of contacts that have none of their own, e.g. Europe/Berlin.") var timeZone: String?
        @OptionGroup var evidence: ZoneEvidenceOptions
        @Option(
            help: ArgumentHelp(
                "Calling window in local time, half-open; may cross midnight. May be repeated, with weekdays in front if "
                    + "they differ: --window '1-5 10:00-13:00' --window '1-5 14:00-20:00' --window '6 10:00-19:00'.",
                valueName: "WINDOW"
            )
        )
        var window: [String] = ["09:00-20:00"]
        @Flag(help: "Call at any time of day instead of in a window.") var anyTime = false
        @Option(help: "ISO weekdays to call on, e.g. 1,2,3,4,5; 1 is Monday.") var callDays = "1,2,3,4,5,6,7"
        @Option(help: "Attempts per contact, 1…15.") var maxAttempts = 3
        @Option(help: "Minutes between the end of an attempt and the next one, 0…525600.") var retryIntervalMinutes = 60
        @Option(
            help: ArgumentHelp(
                "After one outcome: no_answer, busy, failed, answering_machine, rejected, callback. May be repeated.",
                valueName: "OUTCOME=MINUTES"
            )
        )
        var retryAfter: [String] = []
        @Option(help: "Up to this share is added to each pause, so that contacts do not come back all at once, 0…100.")
        var retryJitterPercent = 0
        @Option(
            help: ArgumentHelp(
                "Calls to one number within a rolling period, over all campaigns, at most, like 3/24h or 7/7d. May be "
                    + "repeated.",
                valueName: "ATTEMPTS/PERIOD"
            )
        )
        var limit: [String] = []
        @Option(
            help: ArgumentHelp(
                "How long a number rests after an outcome in any campaign, like completed=7d or refused=60d. May be "
                    + "repeated.",
                valueName: "OUTCOME=PERIOD"
            )
        )
        var restAfter: [String] = []
        @Option(
            help: ArgumentHelp(
                "Attempts of one contact that end like this, at most, like busy=5. May be repeated.",
                valueName: "OUTCOME=ATTEMPTS"
            )
        )
        var maxAfter: [String] = []
        @Option(
            help: ArgumentHelp(
                "A part of the week over which attempts are spread, with a maximum of attempts if wanted: "
                    + "--day-part 'day=1-5 09:00-17:00' --day-part 'evening:2=1-5 17:00-20:00'. May be repeated; calls are "
                    + "made within the parts only.",
                valueName: "NAME[:ATTEMPTS]=WINDOW"
            )
        )
        var dayPart: [String] = []
        @Flag(help: "Call only contacts with consent on record (has_prior_consent).") var requireConsent = false
        @OptionGroup var pace: PaceOptions
        @Option(help: "Whose dialers call.") var trunk = "default"
        @Option(help: "Seconds that the phone rings, 5…600.") var ringTimeoutSeconds = 30
        @Option(help: "Seconds of the longest call, 10…14400.") var maxCallSeconds = 600
        @Option(help: "The caller ID, E.164.") var callerId: String?
        @Option(help: "Where the provider asks what to do once the call is answered.") var answerUrl: String?
        @Option(help: "Language of the interview.") var language = "en"
        @Flag(help: "Let the provider tell people from machines.") var detectMachines = false
        @Option(help: "When the campaign starts by itself, ISO 8601.") var startsAt: String?
        @Option(help: "When the campaign stops calling, ISO 8601.") var endsAt: String?
        @OptionGroup var policy: PolicyOptions

        func run() async throws {
            let settings = try self.settings()
            try await self.common.withStore { store in
                if !(try await store.timeZones().contains(settings.timeZone)) {
                    throw UsageFault("time-zone: '\(settings.timeZone)' is unknown to the database")
                }
                let policy = try await self.policy.resolved(in: store)
                let faults = policy?.faults(for: settings) ?? []
                guard faults.isEmpty else { throw UsageFault(faults.joined(separator: "\n")) }
                let id = try await store.createCampaign(settings, policy: policy, actor: HostUser.name)
                Console.line("created campaign \(settings.name) (\(id.lowercased)) as a draft")
                guard let policy else { return }
                Console.line("policy \(policy.label) makes it stricter:")
                for change in policy.tightened(by: settings).changes { Console.line("  \(change)") }
                Console.line(policy.notice)
            }
        }

        private func settings() throws -> CampaignSettings {
            var faults: [String] = []
            guard let timeZone = self.timeZone else {
                throw UsageFault("time-zone: is missing; a window means nothing without its zone, e.g. Europe/Berlin")
            }
            var settings = CampaignSettings(name: self.name, timeZone: timeZone)
            settings.zoneEvidence = self.evidence.level(&faults) ?? .country
            settings.language = self.language
            settings.trunk = self.trunk
            settings.priority = self.pace.priority ?? 0
            settings.weight = self.pace.weight ?? 1
            settings.callsPerHour = self.pace.callsPerHour
            settings.targetCompletes = self.pace.targetCompletes
            settings.cellTargets = self.pace.cellTargets(&faults)
            settings.maximumConcurrentCalls = self.pace.maxConcurrentCalls
            settings.requiresConsent = self.requireConsent
            settings.maximumAttempts = self.maxAttempts
            settings.retryIntervalMinutes = self.retryIntervalMinutes
            settings.retryMinutes = Self.byOutcome(self.retryAfter, "retry-after", "busy=15", &faults)
            settings.outcomeMaximums = Self.byOutcome(self.maxAfter, "max-after", "busy=5", &faults)
            do { settings.dayParts = try DayPart.parse(self.dayPart) } catch { faults.append("day-part: \(error)") }
            for text in self.limit {
                do { settings.numberLimits.append(try NumberLimit(attemptsPer: text)) } catch {
                    faults.append("limit: \(error)")
                }
            }
            for text in self.restAfter {
                do { settings.numberLimits.append(try NumberLimit(restAfter: text)) } catch {
                    faults.append("rest-after: \(error)")
                }
            }
            settings.retryJitterPercent = self.retryJitterPercent
            settings.ringTimeoutSeconds = self.ringTimeoutSeconds
            settings.maximumCallSeconds = self.maxCallSeconds
            settings.answerURL = self.answerUrl
            settings.detectsMachines = self.detectMachines
            settings.callDays = self.callDays.split(separator: ",").map { Int($0) ?? 0 }
            do {
                if self.anyTime {
                    settings.window = nil
                } else if self.window.count == 1, !self.window[0].contains(" ") {
                    settings.window = try LocalTimeWindow(self.window[0])
                } else if settings.callDays.allSatisfy({ 1...7 ~= $0 }) {
                    settings.week = try CallingWeek(windows: self.window, weekdays: settings.callDays)
                }
            } catch {
                faults.append("window: \(error)")
            }
            if let callerId = self.callerId {
                do {
                    settings.callerID = try NumberOptions.callerID(callerId)
                } catch {
                    faults.append("caller-id: \(error.reason)")
                }
            }
            settings.startsAt = Self.date(self.startsAt, "starts-at", &faults)
            settings.endsAt = Self.date(self.endsAt, "ends-at", &faults)
            faults += settings.faults()
            guard faults.isEmpty else { throw UsageFault(faults.joined(separator: "\n")) }
            return settings
        }

        private static func byOutcome(
            _ texts: [String],
            _ option: String,
            _ example: String,
            _ faults: inout [String]
        ) -> [CallOutcome: Int] {
            var values: [CallOutcome: Int] = [:]
            for text in texts {
                let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
                guard parts.count == 2, let outcome = CallOutcome(rawValue: parts[0]), let value = Int(parts[1]) else {
                    faults.append("\(option): '\(text)' is not an outcome and a number, like \(example)")
                    continue
                }
                values[outcome] = value
            }
            return values
        }

        static func date(_ text: String?, _ option: String, _ faults: inout [String]) -> Date? {
            guard let text else { return nil }
            guard let date = try? Date(text, strategy: .iso8601) else {
                faults.append("\(option): '\(text)' is not a time like 2026-12-01T09:00:00Z")
                return nil
            }
            return date
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List all campaigns.")
        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let campaigns = try await self.common.withStore { try await $0.campaigns() }
            if self.output.json {
                try Console.json(campaigns.map(CampaignView.init))
            } else {
                Console.table(
                    ["NAME", "STATUS", "TRUNK", "#PRIORITY", "WINDOW", "ZONE", "REASON"],
                    campaigns.map { campaign in
                        [
                            campaign.settings.name, campaign.status.rawValue, campaign.settings.trunk,
                            String(campaign.settings.priority),
                            campaign.settings.week?.description ?? campaign.settings.window?.description ?? "any time",
                            campaign.settings.timeZone, campaign.trunkPausedReason ?? campaign.statusReason ?? "",
                        ]
                    }
                )
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show all settings of a campaign.")
        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions
        @Argument(help: "The campaign.") var name: String

        func run() async throws {
            let (campaign, blocked, holidays, rules) = try await self.common.withStore {
                (
                    try await $0.campaign(named: self.name), try await $0.blockedDates(campaign: self.name),
                    try await $0.blockedDatesByRegion(campaign: self.name),
                    try await $0.effectiveRules(campaign: self.name)
                )
            }
            var view = CampaignView(campaign)
            view.blockedDates = blocked
            view.holidays = Dictionary(grouping: holidays, by: \.region).mapValues { $0.map(\.dates) }
            view.setRules(rules)
            if self.output.json {
                try Console.json(view)
            } else {
                Console.table(["SETTING", "VALUE"], view.rows)
            }
        }
    }
}
