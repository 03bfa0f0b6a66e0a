// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
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
            try await store.pauseAllCampaigns(reason: self.reason, actor: HostUser.name)
        }
        Console.line(names.isEmpty ? "nothing was running" : "paused \(names.joined(separator: ", "))")
    }
}

struct ResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume",
        abstract: "Go on after `pause --all`: with the campaigns that it has paused, and no others."
    )
    @OptionGroup var common: CommonOptions
    @Flag(help: "Resume all that `pause --all` has paused and nobody has touched since.") var all = false
    @Flag(help: "Do not ask.") var yes = false
    @Option(help: "Kept with the change.") var reason: String?

    func validate() throws {
        guard self.all else {
            throw ValidationError("say --all, or use `campaign resume NAME` for one campaign")
        }
    }

    func run() async throws {
        let failed = try await self.common.withStore { store -> [String] in
            let names = try await store.campaignsPausedWithAll()
            guard !names.isEmpty else {
                Console.line("nothing is paused by `pause --all`")
                return []
            }
            for name in names { Console.line("  \(name)") }
            guard self.yes || Console.agrees("resume these \(names.count) campaigns?") else {
                throw CheckFailed(message: "nothing was resumed; --yes resumes the campaigns above without asking")
            }
            var failed: [String] = []
            for name in names {
                do {
                    let status = try await store.perform(
                        .resume,
                        onCampaign: name,
                        reason: self.reason,
                        actor: HostUser.name
                    )
                    Console.line("campaign \(name) is \(status.rawValue)")
                } catch let error as StoreError {
                    failed.append(error.message)
                }
            }
            return failed
        }
        guard failed.isEmpty else { throw CheckFailed(message: failed.joined(separator: "\n")) }
    }
}
