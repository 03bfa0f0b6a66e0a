// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallStore
import Foundation
import Postgres
import Schemas
import TestBasics
import TestSupport
import Testing

/// `migrate` as operators use it.
@Suite(.timeLimit(.minutes(20)))
struct MigrateCommandTests {
    @Test("a migration that is killed leaves no lock behind, and is done when it is run again")
    func killed() async throws {
        try await Scratch.run(isMigrated: false) { scratch in
            _ = try await scratch.store.migrate(Schemas.migrations.filter { $0.number < 16 })
            let environment = ["DATABASE_URL": scratch.databaseURL]
            let processes =
                "select count(*) from pg_stat_activity where application_name = 'call-scheduler/operator' and datname = current_database()"
            try await scratch.client.withConnection { role in
                try await role.executeScript("begin; select from call_attempts limit 1")
                let migrate = try RunningRole(["migrate"], environment)
                try await eventually("it says that it waits") {
                    migrate.log.contains("16 counters: waits for a lock (process")
                }
                migrate.send(SIGKILL)
                try await eventually("it is gone") { !migrate.isRunning }
                // The server would find out when it writes to it, and that is when it has the lock.
                try await eventually("its sessions are gone") {
                    try await scratch.value(processes, as: Int.self) == 0
                }
                let again = try RunningRole(["migrate"], environment)
                try await eventually("it tries again") { again.log.contains("16 counters: no lock for the 1st time") }
                try await role.executeScript("rollback")
                try await eventually("it has ended") { !again.isRunning }
                #expect(again.end == .exit(0))
                #expect(again.log.contains("\napplied 16 counters in "))
            }
            let last = try await Product.run(["migrate"], environment)
            #expect(last.output == "the schema is up to date\n")
            #expect(last.exitCode == 0)
        }
    }
}
