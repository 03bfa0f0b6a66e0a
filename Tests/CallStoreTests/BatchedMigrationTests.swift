// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallStore
import Postgres
import Schemas
import TestBasics
import TestSupport
import Testing

/// Migrations that go through a large table beside the running roles.
@Suite(.timeLimit(.minutes(20)))
struct BatchedMigrationTests {
    private static let newest = Schemas.migrations.count

    private static func migration(_ sql: String) -> [Schemas.Migration] {
        Schemas.migrations + [Schemas.Migration(number: self.newest + 1, name: "fill", sql: sql)]
    }

    private static let script = """
        -- Every row once.
        -- Forward-only.

        -- @transaction add the column
        alter table things add column touched bigint not null default 0;
        -- @batches things id: touch each row
        update things set touched = touched + 1 where id between $1::uuid and $2::uuid
        -- @alone index it
        create index concurrently things_touched on things (touched)
        -- @transaction
        alter table things add check (touched = 1);
        """

    private static func fill(_ scratch: Scratch, rows: Int) async throws {
        try await scratch.execute("create table things (id uuid primary key default gen_random_uuid())")
        try await scratch.execute("insert into things select from generate_series(1, \(rows))")
        try await scratch.execute("analyze things")
    }

    @Test(
        "each row of a table is done once, in short transactions, and the progress is told",
        arguments: [0, 1, 25_000]
    )
    func each(rows: Int) async throws {
        try await Scratch.run { scratch in
            try await Self.fill(scratch, rows: rows)
            let (events, continuation) = AsyncStream.makeStream(of: MigrationEvent.self)
            let applied = try await scratch.store.migrate(Self.migration(Self.script)) { continuation.yield($0) }
            continuation.finish()
            #expect(applied.map(\.number) == [Self.newest + 1])
            #expect(try await scratch.value("select count(*) from things where touched = 1", as: Int.self) == rows)
            #expect(
                try await scratch.value("select count(distinct xmin::text) from things", as: Int.self) < rows / 50 + 2
            )
            if rows > 10_000 {
                #expect(try await scratch.value("select count(distinct xmin::text) > 2 from things", as: Bool.self))
            }
            #expect(try await scratch.value("select to_regclass('things_touched') is not null", as: Bool.self))
            #expect(try await scratch.value("select to_regclass('schema_migration_steps') is null", as: Bool.self))
            #expect(
                try await scratch.store.schemaState(Self.migration(Self.script)) == .current(version: Self.newest + 1)
            )
            var told: [String] = []
            for await event in events { told.append("\(event)") }
            let name = "\(Self.newest + 1) fill"
            #expect(told.first == "\(name), 1 of 4: add the column …")
            #expect(told.contains { $0.hasPrefix("\(name), 2 of 4: touch each row: \(rows) of about \(rows) rows") })
            #expect(told.last?.hasPrefix("applied \(name) in ") == true)
        }
    }

    @Test("a migration that is killed half-way goes on where it was, and does nothing twice")
    func killed() async throws {
        try await Scratch.run { scratch in
            try await Self.fill(scratch, rows: 5000)
            try await scratch.execute("alter table things add column touched bigint not null default 0")
            let sql = """
                -- @batches things id: touch each row
                update things set touched = touched + 1 where id between $1::uuid and $2::uuid
                -- @alone index it
                create index concurrently things_touched on things (touched)

                """
            let script = Self.migration(sql)
            try await scratch.client.withConnection { role in
                // A role at work on the last row: the migration comes as far as that, and waits.
                try await role.executeScript(
                    "begin; select from things where id = (select id from things order by id desc limit 1) for update"
                )
                let migration = Task { try await scratch.store.migrate(script) }
                try await eventually("all before that are done, and committed") {
                    let done = "select count(*) from schema_migration_steps where done = 0 and rows > 0"
                    guard
                        try await scratch.value(
                            "select to_regclass('schema_migration_steps') is not null",
                            as: Bool.self
                        )
                    else { return false }
                    return try await scratch.value(done, as: Int.self) == 1
                }
                // The roles' other rows are free meanwhile.
                try await scratch.execute(
                    "update things set touched = touched where id = (select id from things order by id limit 1)"
                )
                try await scratch.execute(
                    """
                    select pg_terminate_backend(pid) from pg_locks
                    where locktype = 'advisory' and granted
                        and database = (select oid from pg_database where datname = current_database())
                    """
                )
                let error = await #expect(throws: PostgresError.self) { try await migration.value }
                #expect(error?.isRetryable == true)
                try await role.executeScript("rollback")
            }
            let partial = try await scratch.value("select count(*) from things where touched = 1", as: Int.self)
            #expect(partial > 0 && partial < 5000)
            #expect(try await scratch.store.schemaState(script) == .behind(version: Self.newest, missing: ["fill"]))
            // Under another text the part that is done would mean something else.
            let edited = Self.migration(sql + "-- edited")
            let refusal = await #expect(throws: StoreError.self) { try await scratch.store.migrate(edited) }
            #expect(refusal?.code == .schemaMismatch)
            #expect(try await scratch.store.migrate(script).count == 1)
            #expect(try await scratch.value("select count(*) from things where touched = 1", as: Int.self) == 5000)
        }
    }

    @Test("a step that fails keeps the steps before it, and is done again")
    func failing() async throws {
        try await Scratch.run { scratch in
            try await Self.fill(scratch, rows: 10)
            try await scratch.execute("create table taken (v int)")
            let script = Self.migration(
                """
                -- @batches things id: the first
                insert into taken select 1 from things where id between $1::uuid and $2::uuid
                -- @transaction the second
                create table only_now (v int);
                select 1 / (select count(*) from allowed);
                """
            )
            let error = await #expect(throws: PostgresError.self) { try await scratch.store.migrate(script) }
            #expect(error?.sqlState == "42P01")
            #expect(try await scratch.value("select to_regclass('only_now') is null", as: Bool.self))
            try await scratch.execute("create table allowed as select 1")
            #expect(try await scratch.store.migrate(script).count == 1)
            #expect(try await scratch.value("select count(*) from taken", as: Int.self) == 10)
        }
    }

    @Test("statements that run alone are repeated together, so that the first clears up behind the second")
    func alone() async throws {
        try await Scratch.run { scratch in
            try await scratch.execute("create table things (id bigint primary key, n int)")
            try await scratch.execute("insert into things select n, 1 from generate_series(1, 10) n")
            let script = Self.migration(
                """
                -- @transaction before
                create table once (v int);
                -- @alone clear up
                drop index concurrently if exists things_n
                -- @alone index
                create unique index concurrently things_n on things (n)
                """
            )
            let error = await #expect(throws: PostgresError.self) { try await scratch.store.migrate(script) }
            #expect(error?.sqlState == "23505")
            // Left behind, invalid.
            #expect(try await scratch.value("select to_regclass('things_n') is not null", as: Bool.self))
            try await scratch.execute("update things set n = id")
            #expect(try await scratch.store.migrate(script).count == 1)
            let isValid = "select indisvalid from pg_index where indexrelid = 'things_n'::regclass"
            #expect(try await scratch.value(isValid, as: Bool.self))
        }
    }

    @Test(
        "a mark that is none is refused before anything is done",
        arguments: [
            "-- @batch things id\nselect 1", "-- @batches things\nselect 1", "-- @batches things id; drop\nselect 1",
            "-- @batches nothing id\nselect 1", "-- @batches things nothing\nselect 1",
        ]
    )
    func marks(sql: String) async throws {
        try await Scratch.run { scratch in
            try await Self.fill(scratch, rows: 1)
            let error = await #expect(throws: StoreError.self) { try await scratch.store.migrate(Self.migration(sql)) }
            #expect(error?.code == .notAllowed)
            #expect(try await scratch.store.schemaState() == .current(version: Self.newest))
        }
    }

    @Test("the marks of every migration that is shipped can be read")
    func shipped() throws {
        for migration in Schemas.migrations {
            let marks = migration.sql.split(separator: "\n").filter { $0.hasPrefix("-- @") }
            let known = ["-- @transaction", "-- @batches ", "-- @alone"]
            #expect(marks.allSatisfy { mark in known.contains { mark.hasPrefix($0) } }, "\(migration.name)")
        }
    }
}
