// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import CallStore

extension CampaignCommand {
    struct Start: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Start a campaign, now or at its starts-at.")
        @OptionGroup var change: CampaignChange

        func run() async throws {
            let problems = try await self.change.common.withStore {
                try await $0.checkCampaign(named: self.change.name).filter(\.isError)
            }
            guard problems.isEmpty else {
                throw UsageFault(
                    problems.map { "campaign '\(self.change.name)' cannot be started: \($0.field) \($0.problem)" }
                        .joined(separator: "\n")
                )
            }
            try await self.change.perform(.start)
        }
    }

    struct Pause: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Stop placing calls, also those that are queued.")
        @OptionGroup var change: CampaignChange
        func run() async throws { try await self.change.perform(.pause) }
    }

    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Go on after a pause.")
        @OptionGroup var change: CampaignChange
        func run() async throws { try await self.change.perform(.resume) }
    }

    struct Cancel: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Give a campaign up for good.")
        @OptionGroup var change: CampaignChange
        func run() async throws { try await self.change.perform(.cancel) }
    }
}

/// A change of a campaign's state.
struct CampaignChange: ParsableArguments {
    @OptionGroup var common: CommonOptions
    @Argument(help: "The campaign.") var name: String
    @Option(help: "Kept with the change.") var reason: String?

    func perform(_ action: CallStore.CampaignAction) async throws {
        let status = try await self.common.withStore { store in
            try await store.perform(action, onCampaign: self.name, reason: self.reason, actor: HostUser.name)
        }
        Console.line("campaign \(self.name) is \(status.rawValue)")
    }
}
