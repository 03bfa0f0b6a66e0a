// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallStore

struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate",
        abstract: "Bring the database's schema up to date. Safe to repeat, to interrupt, and to run twice at once."
    )
    @OptionGroup var common: CommonOptions

    func run() async throws {
        let applied = try await self.common.withStore { store in
            let applied = try await store.migrate { event in
                if case .applied = event { Console.line("\(event)") } else { Console.note("\(event)") }
            }
            for words in try await store.databaseLacks().words { Console.note(words) }
            return applied
        }
        if applied.isEmpty { Console.line("the schema is up to date") }
    }
}
