// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// Runs the product's roles as they are, with a provider that answers at once; `ops/bench/run` starts it.
@main
struct BenchRoles: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench-roles",
        abstract: "Runs Selector, Dialer and Recorder with a provider that answers at once.",
        subcommands: [RunCommand.self, HeldCommand.self, LatencyCommand.self, StatementsCommand.self]
    )
}
