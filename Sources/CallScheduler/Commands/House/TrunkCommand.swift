// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import ArgumentParser
import CallQueues
import CallStore

struct TrunkCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trunk",
        abstract: "Look at trunks, pause and resume them.",
        subcommands: [List.self, Pause.self, Resume.self]
    )

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the trunks: whether calls are placed there, by whom, and how many wait."
        )
        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            var settings = try self.common.settings()
            let broker = settings.broker()
            try settings.check()
            let trunks = try await self.common.withStore { try await TrunkView.all($0, broker) }
            guard !self.output.json else { return try Console.json(trunks) }
            Console.table(
                ["TRUNK", "STATE", "#CAMPAIGNS", "#DIALERS", "#LINES", "#LIVE", "BREAKER", "#QUEUED", "REASON"],
                trunks.map { trunk in
                    [
                        trunk.name, trunk.state, String(trunk.runningCampaigns), String(trunk.dialers.count),
                        String(trunk.lines), String(trunk.live), trunk.breaker, trunk.queued.map(String.init) ?? "?",
                        trunk.reason ?? "",
                    ]
                }
            )
        }
    }

    struct Pause: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Place no calls on a trunk.")
        @OptionGroup var common: CommonOptions
        @Argument(help: "The trunk.") var name: String
        @Option(help: "Kept and shown; who it was, unless told.") var reason: String?

        func run() async throws {
            let changed = try await self.common.withStore {
                try await $0.pauseTrunk(self.name, reason: self.reason ?? "paused by \(HostUser.name)")
            }
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
