// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import CallStore
import Foundation
import PhoneNumbers

extension CampaignCommand {
    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change what may change while a campaign runs: pace, quotas, caller ID, answer URL, its end.",
            discussion: "What is not named stays. Acts at once, also on what is queued."
        )
        @OptionGroup var common: CommonOptions
        @Argument(help: "The campaign.") var name: String
        @Option(help: "The caller ID, E.164.") var callerId: String?
        @Option(help: "Where the provider asks what to do once the call is answered.") var answerUrl: String?
        @Option(help: "When the campaign stops calling, ISO 8601.") var endsAt: String?
        @OptionGroup var pace: PaceOptions
        @OptionGroup var evidence: ZoneEvidenceOptions
        @Option(
            help: ArgumentHelp(
                "Lift a limit: max-concurrent-calls, calls-per-hour, target-completes, ends-at or cell-targets. May be "
                    + "repeated.",
                valueName: "OPTION"
            )
        )
        var clear: [String] = []

        func run() async throws {
            var faults: [String] = []
            var changes = CallStore.CampaignChanges()
            changes.answerURL = self.answerUrl
            do { changes.callerID = try self.callerId.map { try NumberOptions.callerID($0) } } catch {
                faults.append("caller-id: \(error)")
            }
            changes.endsAt = Create.date(self.endsAt, "ends-at", &faults)
            changes.zoneEvidence = self.evidence.level(&faults)
            changes.priority = self.pace.priority
            changes.weight = self.pace.weight
            changes.maximumConcurrentCalls = self.pace.maxConcurrentCalls
            changes.callsPerHour = self.pace.callsPerHour
            changes.targetCompletes = self.pace.targetCompletes
            changes.cellTargets = self.pace.cellTargets(&faults)
            for text in self.clear {
                guard let limit = CallStore.CampaignChanges.Limit(rawValue: text) else {
                    let known = CallStore.CampaignChanges.Limit.allCases.map(\.rawValue).joined(separator: ", ")
                    faults.append("clear: '\(text)' is not one of \(known)")
                    continue
                }
                changes.cleared.insert(limit)
            }
            faults += changes.faults()
            guard faults.isEmpty else { throw UsageFault(faults.joined(separator: "\n")) }
            guard changes != CallStore.CampaignChanges() else {
                throw UsageFault("nothing to change: name an option, see --help")
            }
            let wanted = changes
            let (told, cost) = try await self.common.withStore { store in
                let told = wanted.zoneEvidence == nil ? 0 : try await Self.tellZones(store, self.name)
                try await store.change(campaign: self.name, wanted)
                let cost = wanted.zoneEvidence == nil ? nil : ZoneCost(try await store.zoneFacts(campaign: self.name))
                return (told, cost)
            }
            Console.line("changed campaign \(self.name)")
            if told > 0 { Console.line("told the zones of \(told) contacts by their number's prefix") }
            if let cost { Console.line(cost.words) }
        }

        /// For contacts that were loaded by a program that knew no prefixes.
        private static func tellZones(_ store: CallStore, _ name: String) async throws -> Int {
            let countries = try ContactsCommand.Import.countryZones(known: try await store.timeZones())
            let evidence = ZoneEvidence(countries: countries)
            let plan = try NumberPlan(allowsUnassigned: true, changes: try await NumbersCommand.changes(store))
            return try await store.deriveZones(campaign: name) { number, own in
                evidence.zones(of: number, region: (try? plan.entry(number.e164))?.region, beside: own)
            }
        }
    }
}
