// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// Runs the two client modules alone; `ops/bench/run` compares them with bare C.
@main
struct BenchClients: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench-clients",
        abstract: "Runs the Postgres and AMQP modules with nothing around them.",
        subcommands: []
    )
}
