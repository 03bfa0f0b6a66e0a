// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallStore

struct PauseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause",
        abstract: "Emergency stop: pause every running campaign, also what is queued."
    )
    @OptionGroup var common: CommonOptions
    @Flag(help: "Pause all campaigns.") var all = false
    @Option(help: "Kept with the change.") var reason: String?

    func validate() throws {
        guard self.all else {
            throw ValidationError("say --all, or use `campaign pause NAME` for one campaign")
        }
    }

    func run() async throws {
        let names = try await self.common.withStore { store in
            try await store.pauseAllCampaigns(reason: self.reason, actor: "operator")
        }
        Console.line(names.isEmpty ? "nothing was running" : "paused \(names.joined(separator: ", "))")
    }
}

struct TrunkCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trunk",
        abstract: "Pause and resume trunks.",
        subcommands: [Pause.self, Resume.self]
    )

    struct Pause: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Place no calls on a trunk.")
        @OptionGroup var common: CommonOptions
        @Argument(help: "The trunk.") var name: String
        @Option(help: "Kept and shown.") var reason = "paused by an operator"

        func run() async throws {
            let changed = try await self.common.withStore { try await $0.pauseTrunk(self.name, reason: self.reason) }
            Console.line(changed ? "trunk \(self.name) is paused" : "trunk \(self.name) was paused already")
        }
    }

    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Place calls on a trunk again.")
        @OptionGroup var common: CommonOptions
        @Argument(help: "The trunk.") var name: String

        func run() async throws {
            let changed = try await self.common.withStore { try await $0.resumeTrunk(self.name) }
            Console.line(changed ? "trunk \(self.name) is open" : "trunk \(self.name) was not paused")
        }
    }
}
