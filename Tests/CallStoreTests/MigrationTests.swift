// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallStore
import Postgres
import Schemas
import TestBasics
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(20)))
struct MigrationTests {
    private static let newest = Schemas.migrations.last?.number ?? 0

    @Test("migrating twice applies nothing the second time")
    func twice() async throws {
        try await Scratch.run { scratch async throws in
            #expect(try await scratch.store.migrate().isEmpty)
            #expect(try await scratch.store.schemaState() == .current(version: Self.newest))
        }
    }

    @Test("two processes that migrate at once apply each migration once")
    func atOnce() async throws {
        try await Scratch.run { scratch in
            try await scratch.execute("drop schema public cascade")
            try await scratch.execute("create schema public")
            async let first = scratch.store.migrate()
            async let second = scratch.store.migrate()
            let counts = try await [first.count, second.count].sorted()
            #expect(counts == [0, Schemas.migrations.count])
        }
    }

    @Test("an edited migration is refused, with both checksums")
    func edited() async throws {
        try await Scratch.run { scratch in
            let original = Schemas.migrations[0]
            let edited = Schemas.Migration(
                number: original.number,
                name: original.name,
                sql: original.sql + "\n-- edited"
            )
            let error = await #expect(throws: StoreError.self) { try await scratch.store.migrate([edited]) }
            #expect(error?.code == .schemaMismatch)
            #expect(error?.message.contains("was edited") == true)
        }
    }

    @Test("a migration that meets a role in a deadlock starts again")
    func deadlock() async throws {
        try await Scratch.run { scratch in
            let name = try await scratch.value("select current_database()::text", as: String.self)
            try await scratch.execute("create table gate (is_open bool)")
            // The server ends the one that first asks why it waits, a while after it began to.
            try await scratch.execute("alter database \(name) set deadlock_timeout to '50ms'")
            let gated = Schemas.Migration(
                number: Self.newest + 1,
                name: "gated",
                sql: """
                    lock table contacts in access exclusive mode;
                    do $$ begin
                        while not exists (select from gate) loop perform pg_sleep(0.02); end loop;
                    end $$;
                    lock table call_attempts in access exclusive mode;
                    """
            )
            let client = PostgresClient(
                configuration: try PostgresConfiguration(uri: scratch.databaseURL),
                logger: scratch.logger
            )
            let store = CallStore(client: client, logger: scratch.logger)
            let migration = Task { try await store.migrate(Schemas.migrations + [gated]).count }
            try await scratch.client.withTransaction { connection in
                try await connection.execute(.init("set local deadlock_timeout to '1h'", prepared: false))
                try await connection.execute(.init("lock table call_attempts in row exclusive mode", prepared: false))
                try await eventually("the migration has the one") {
                    try await Self.waiting(scratch, for: "contacts", isGranted: true)
                }
                let opening = Task {
                    try await eventually("the role waits for it") {
                        try await Self.waiting(scratch, for: "contacts", isGranted: false)
                    }
                    try await scratch.execute("insert into gate values (true)")
                }
                try await connection.execute(.init("lock table contacts in row exclusive mode", prepared: false))
                try await opening.value
            }
            #expect(try await migration.value == 1)
            // The server's figures come a moment later.
            try await eventually("it was a deadlock") {
                try await scratch.value(
                    "select deadlocks from pg_stat_database where datname = current_database()",
                    as: Int.self
                ) == 1
            }
            await client.close()
        }
    }

    private static func waiting(_ scratch: Scratch, for table: String, isGranted: Bool) async throws -> Bool {
        try await scratch.value(
            """
            select exists (
                select from pg_locks
                where granted = $1 and relation = $2::text::regclass
                    and mode = case when $1 then 'AccessExclusiveLock' else 'RowExclusiveLock' end)
            """,
            [isGranted, table],
            as: Bool.self
        )
    }

    @Test("a migration that fails leaves nothing behind")
    func failing() async throws {
        try await Scratch.run { scratch async throws in
            let broken = Schemas.Migration(
                number: Self.newest + 1,
                name: "broken",
                sql: "create table half_done (id int); select 1 / 0;"
            )
            await #expect(throws: (any Error).self) { try await scratch.store.migrate(Schemas.migrations + [broken]) }
            #expect(try await scratch.value("select to_regclass('half_done') is null", as: Bool.self))
            #expect(try await scratch.store.schemaState() == .current(version: Self.newest))
        }
    }
}
