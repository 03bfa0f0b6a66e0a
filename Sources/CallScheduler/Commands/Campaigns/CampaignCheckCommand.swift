// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallStore

extension CampaignCommand {
    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Look for problems before a campaign is started. Exit code 1 if it could not start."
        )
        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions
        @Argument(help: "The campaign.") var name: String

        func run() async throws {
            let problems = try await self.common.withStore { store in
                var problems = try await store.checkCampaign(named: self.name)
                if let cost = ZoneCost(try await store.zoneFacts(campaign: self.name)) {
                    problems.append(
                        CallStore.CampaignProblem(isError: false, field: "zone_evidence", problem: cost.words)
                    )
                }
                return problems
            }
            if self.output.json {
                try Console.json(problems)
            } else if problems.isEmpty {
                Console.line("campaign \(self.name) has no problems")
            } else {
                Console.table(
                    ["", "FIELD", "PROBLEM"],
                    problems.map { [$0.isError ? "ERROR" : "note", $0.field, $0.problem] }
                )
            }
            guard !problems.contains(where: \.isError) else {
                throw CheckFailed(message: "campaign '\(self.name)' cannot be started")
            }
        }
    }
}
