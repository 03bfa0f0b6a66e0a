// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import CallStore
import Foundation

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
            try await self.common.withStore { try await $0.change(campaign: self.name, wanted) }
            Console.line("changed campaign \(self.name)")
        }
    }
}
