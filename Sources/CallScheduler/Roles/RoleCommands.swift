// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

struct SelectorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "selector",
        abstract: "Find contacts that may be called now, claim them and queue them for the dialers."
    )
    @OptionGroup var common: CommonOptions
    @Flag(help: "Make one pass, say what it did, and end: with 1 if something is put aside or could not be queued.")
    var once = false
    @Flag(help: "With --once: print JSON for machines.") var json = false

    func validate() throws {
        guard self.once || !self.json else { throw ValidationError("--json goes with --once") }
    }

    func run() async throws {
        guard !self.once else { return try await SelectorPass.run(self.common, json: self.json) }
        try await RoleProcess.run([.selector], common: self.common)
    }
}

struct DialerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dialer",
        abstract: "Place the queued calls of one trunk and hold each until it has ended."
    )
    @OptionGroup var common: CommonOptions

    func run() async throws {
        try await RoleProcess.run([.dialer], common: self.common)
    }
}

struct RecorderCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recorder",
        abstract: "Record what became of the calls and schedule retries."
    )
    @OptionGroup var common: CommonOptions

    func run() async throws {
        try await RoleProcess.run([.recorder], common: self.common)
    }
}

struct WebhooksCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "webhooks",
        abstract: "Take the provider's status callbacks."
    )
    @OptionGroup var common: CommonOptions

    func run() async throws {
        try await RoleProcess.run([.webhooks], common: self.common)
    }
}

struct AllCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "all",
        abstract: "Run the four roles in one process, for small sites."
    )
    @OptionGroup var common: CommonOptions

    func run() async throws {
        try await RoleProcess.run(Set(RoleProcess.Role.allCases), common: self.common)
    }
}
