// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallStore

struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate",
        abstract: "Bring the database's schema up to date. Safe to repeat, and to run twice at once."
    )
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let applied = try await self.common.withStore { try await $0.migrate() }
        for migration in applied { Console.line("applied \(migration.number) \(migration.name)") }
        if applied.isEmpty { Console.line("the schema is up to date") }
    }
}
