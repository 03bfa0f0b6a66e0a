// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Postgres

/// How far a migration of several steps has come, in a table that is there only as long as one is under way.
struct MigrationSteps: Sendable {
    struct State: Sendable {
        /// Steps that are complete.
        let done: Int
        /// The last key of the batches of the step after those.
        var lastKey: String?
        /// Their rows.
        var rows = 0

        init(done: Int, lastKey: String? = nil, rows: Int = 0) {
            self.done = done
            self.lastKey = lastKey
            self.rows = rows
        }

        /// What is known of the step after so many, where another state may be that of an earlier one.
        init(done: Int, of state: State) {
            self = state.done == done ? state : State(done: done)
        }
    }

    let run: MigrationRun
    let entry: CallStore.AppliedMigration

    private var connection: PostgresConnection { self.run.connection }

    /// Finds where an earlier run was interrupted.
    func load() async throws -> State {
        try await self.connection.executeScript(Self.table)
        guard let row = try await self.connection.execute(Self.loadStatement, [self.entry.number]).first else {
            return State(done: 0)
        }
        guard try row.decode(String.self, named: "checksum") == self.entry.checksum else {
            throw StoreError(
                code: .schemaMismatch,
                message: "migration \(self.entry.number) \(self.entry.name) was edited after a part of it was applied;"
                    + " restore the script with which it was begun"
            )
        }
        return State(
            done: try row.decode(named: "done"),
            lastKey: try row.decode(named: "last_key"),
            rows: try row.decode(named: "rows")
        )
    }

    func save(_ state: State) async throws {
        try await self.connection.execute(
            Self.saveStatement,
            [self.entry.number, self.entry.checksum, state.done, state.lastKey, state.rows]
        )
    }

    func forget() async throws { try await self.connection.executeScript("drop table schema_migration_steps") }

    /// Runs the statement for each range of keys, in transactions that are short, and rests as long as half of each took.
    func runBatches(_ title: String, _ sql: String, _ table: BatchedTable, _ state: State) async throws {
        let start = ContinuousClock.now
        var told = start
        var state = state
        var size = MigrationRun.batchRows.lowerBound * 10
        let statement = PostgresStatement(sql, prepared: false)
        self.run.report(.batches(title, rows: state.rows, estimate: table.estimate, since: .zero))
        while let range = try await table.range(after: state.lastKey, rows: size, self.connection) {
            let next = State(done: state.done, lastKey: range.last, rows: state.rows + range.rows)
            let began = ContinuousClock.now
            try await self.run.transaction(title, isBegun: false) {
                try await self.connection.execute(statement, [range.first, range.last])
                try await self.save(next)
            }
            state = next
            let took = ContinuousClock.now - began
            if took < MigrationRun.batchTime.lowerBound { size = min(size * 2, MigrationRun.batchRows.upperBound) }
            if took > MigrationRun.batchTime.upperBound { size = max(size / 2, MigrationRun.batchRows.lowerBound) }
            if .now - told > .seconds(10) {
                told = .now
                self.run.report(.batches(title, rows: state.rows, estimate: table.estimate, since: told - start))
            }
            // The roles beside it have a third of the time to themselves.
            try await Task.sleep(for: took / 2)
        }
        self.run.report(.batches(title, rows: state.rows, estimate: state.rows, since: .now - start))
    }

    private static let table = """
        create table if not exists schema_migration_steps (
            number bigint primary key,
            checksum text not null,
            done bigint not null,
            last_key text,
            rows bigint not null
        )
        """

    private static let loadStatement = PostgresStatement(
        "select checksum, done, last_key, rows from schema_migration_steps where number = $1",
        prepared: false
    )

    private static let saveStatement = PostgresStatement(
        """
        insert into schema_migration_steps (number, checksum, done, last_key, rows) values ($1, $2, $3, $4, $5)
        on conflict (number) do update
        set checksum = excluded.checksum, done = excluded.done, last_key = excluded.last_key, rows = excluded.rows
        """,
        prepared: false
    )
}

/// A table that is gone through by its key.
struct BatchedTable: Sendable {
    /// About how many rows it has.
    let estimate: Int
    private let next: PostgresStatement

    /// - Throws: ``StoreError`` with code `notAllowed` when there is no such table or column.
    init(name: String, key: String, connection: PostgresConnection) async throws {
        guard let row = try await connection.execute(Self.describe, [name, key]).first else {
            throw StoreError(code: .notAllowed, message: "there is no table \(name) with a column \(key)")
        }
        let type: String = try row.decode(named: "type")
        self.estimate = try row.decode(named: "estimate")
        self.next = PostgresStatement(
            """
            select (array_agg(k order by k))[1]::text as first, (array_agg(k order by k desc))[1]::text as last, count(*) as rows
            from (
                select \(key) as k from \(name)
                where $1::text is null or \(key) > $1::text::\(type)
                order by \(key) limit $2) b
            having count(*) > 0
            """,
            prepared: false
        )
    }

    /// The next so many rows; nil at the end.
    func range(
        after key: String?,
        rows: Int,
        _ connection: PostgresConnection
    ) async throws -> (first: String, last: String, rows: Int)? {
        guard let row = try await connection.execute(self.next, [key, rows]).first else { return nil }
        return (try row.decode(named: "first"), try row.decode(named: "last"), try row.decode(named: "rows"))
    }

    private static let describe = PostgresStatement(
        """
        select format_type(a.atttypid, a.atttypmod) as type, greatest(c.reltuples, 0)::bigint as estimate
        from pg_class c
        join pg_attribute a on a.attrelid = c.oid and a.attname = $2 and not a.attisdropped
        where c.oid = to_regclass($1)
        """,
        prepared: false
    )
}
