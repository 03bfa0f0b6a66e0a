// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallStore

/// The statements of a call's life, for the program that makes them without the product.
struct StatementsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "statements",
        abstract: "Prints the SQL of a call's life as JSON, by name."
    )

    func run() throws {
        try printFigures(CallStore.statementsOfACall)
    }
}
