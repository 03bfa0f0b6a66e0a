// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import Postgres
import Schemas

/// Brings a schema up to date on one connection that has no statement time-out, step by step, each of which is remembered in
/// the transaction that does it: whoever is interrupted goes on from there.
struct MigrationRun: Sendable {
    let connection: PostgresConnection
    /// For looking at the connection while it works.
    private let client: PostgresClient
    /// The process that serves the connection.
    private let backend: Int
    let report: @Sendable (MigrationEvent) -> Void

    /// A lock that is waited for is one that everybody else waits behind: not for longer than this.
    static let lockTimeout: Duration = .seconds(3)
    /// A batch aims at less, so that whoever wants the same rows hardly notices.
    static let batchTime: ClosedRange<Duration> = .milliseconds(100)...(.milliseconds(500))
    static let batchRows = 100...10_000
    private static let longestPause: Duration = .seconds(30)
    private static let glance: Duration = .seconds(1)
    private static let glancesBetweenReports = 10

    init(
        _ connection: PostgresConnection,
        _ client: PostgresClient,
        report: @escaping @Sendable (MigrationEvent) -> Void
    ) async throws {
        self.connection = connection
        self.client = client
        self.backend = try await connection.execute(Self.backendStatement).first?.decode(named: "pid") ?? 0
        self.report = report
    }

    /// The migrations that were applied now.
    func run(_ migrations: [Schemas.Migration]) async throws -> [CallStore.AppliedMigration] {
        try await self.waitForOthers()
        let applied = try await self.runLocked(migrations)
        try await self.connection.execute(Self.unlock)
        return applied
    }

    /// Asks again and again: a statement that waits would keep its snapshot, and an index that is made concurrently by the
    /// one that is waited for would wait for that.
    private func waitForOthers() async throws {
        let start = ContinuousClock.now
        var nextReport = start
        while try await self.connection.execute(Self.tryLock).first?.decode(Bool.self, named: "is_locked") != true {
            if nextReport <= .now {
                let row = try await self.connection.execute(Self.lockHolder).first
                let holder = try row?.decode(named: "names") ?? ""
                self.report(.waitsForAnother(holder: holder, since: .now - start))
                nextReport = .now + Self.glance * Self.glancesBetweenReports
            }
            // Asked, not waited for: who waits for the lock cannot tell who holds it.
            try await Task.sleep(for: Self.glance / 5)
        }
    }

    private func runLocked(_ migrations: [Schemas.Migration]) async throws -> [CallStore.AppliedMigration] {
        try await self.connection.executeScript(CallStore.migrationTable)
        let present = try await self.connection.execute(CallStore.appliedMigrations).map(CallStore.decodeMigration)
        try CallStore.compare(present: present, with: migrations)
        var applied: [CallStore.AppliedMigration] = []
        for migration in migrations where migration.number > (present.last?.number ?? 0) {
            let start = ContinuousClock.now
            let entry = CallStore.entry(for: migration)
            try await self.apply(try MigrationScript(migration), entry)
            self.report(.applied(entry, took: .now - start))
            applied.append(entry)
        }
        return applied
    }

    private func apply(_ script: MigrationScript, _ entry: CallStore.AppliedMigration) async throws {
        let isInSteps = script.steps.count > 1 || script.steps.contains { $0.kind != .transaction }
        let name = "\(entry.number) \(entry.name)"
        guard isInSteps else {
            return try await self.transaction(name) {
                for step in script.steps { try await self.connection.executeScript(step.sql) }
                try await self.remember(entry)
            }
        }
        let steps = MigrationSteps(run: self, entry: entry)
        var state = try await steps.load()
        var index = state.done
        var tries = 0
        while index < script.steps.count {
            let step = script.steps[index]
            let next = index + 1
            let label = step.label.isEmpty ? "step \(next)" : step.label
            let title = "\(name), \(next) of \(script.steps.count): \(label)"
            switch step.kind {
            case .transaction:
                try await self.transaction(title) {
                    try await self.connection.executeScript(step.sql)
                    try await steps.save(MigrationSteps.State(done: next))
                }
            case .batches(let table, let key):
                let table = try await BatchedTable(name: table, key: key, connection: self.connection)
                try await steps.runBatches(title, step.sql, table, MigrationSteps.State(done: index, of: state))
            case .alone:
                do {
                    try await self.alone(title, step.sql)
                } catch let error as PostgresError where Self.isPassing(error) {
                    tries += 1
                    try await self.pause(title, holder: "", tries: tries)
                    index = script.startOfRepetition(index)
                    continue
                }
            }
            index = next
            // Steps that can only be repeated together are remembered together.
            guard script.startOfRepetition(index) == index else { continue }
            state = MigrationSteps.State(done: index)
            try await steps.save(state)
        }
        try await self.transaction(name, isBegun: false) {
            try await self.remember(entry)
            try await steps.forget()
        }
    }

    private func alone(_ title: String, _ sql: String) async throws {
        self.report(.begins(title))
        try await self.watched { glance in
            if glance.isReport { self.report(.works(title, since: glance.since, waitsFor: glance.holder)) }
        } _: {
            try await self.connection.executeScript(sql)
        }
    }

    /// Before something is tried again.
    private func pause(_ title: String, holder: String, tries: Int) async throws {
        let pause = min(Self.longestPause, .seconds(1 << min(tries - 1, 5)))
        self.report(.triesAgain(title, holder: holder, tries: tries, pause: pause))
        try await Task.sleep(for: pause)
    }

    private func remember(_ entry: CallStore.AppliedMigration) async throws {
        try await self.connection.execute(
            CallStore.rememberMigration,
            [entry.number, entry.name, entry.checksum]
        )
    }

    /// Runs a transaction until it has its locks.
    /// - Parameters:
    ///   - title: What it is called.
    ///   - isBegun: Whether its beginning is told.
    ///   - body: What it does.
    /// - Throws: What `body` throws, but for locks and deadlocks.
    func transaction(
        _ title: String,
        isBegun: Bool = true,
        _ body: @Sendable () async throws -> Void
    ) async throws {
        if isBegun { self.report(.begins(title)) }
        var tries = 0
        let lastHolder = NIOLockedValueBox("")
        while true {
            do {
                try await self.watched { glance in
                    if !glance.holder.isEmpty { lastHolder.withLockedValue { $0 = glance.holder } }
                    if glance.isReport { self.report(.works(title, since: glance.since, waitsFor: glance.holder)) }
                } _: {
                    try await self.connection.executeScript(Self.begin)
                    try await body()
                    try await self.connection.executeScript("commit")
                }
                return
            } catch let error as PostgresError where Self.isPassing(error) {
                try await self.connection.executeScript("rollback")
                tries += 1
                try await self.pause(title, holder: lastHolder.withLockedValue { $0 }, tries: tries)
            }
        }
    }

    /// Locks that others hold, and deadlocks with roles that take theirs in orders of their own.
    private static func isPassing(_ error: PostgresError) -> Bool {
        ["55P03", "40P01", "40001"].contains(error.sqlState)
    }

    /// What the connection is doing.
    private struct Glance {
        /// Whom it waits for; empty when it does not.
        let holder: String
        let since: Duration
        /// Whether it is time to tell.
        let isReport: Bool
    }

    /// Runs something on the connection, and looks now and then, from another one, what it is doing.
    private func watched(
        _ look: @escaping @Sendable (Glance) -> Void,
        _ body: @Sendable () async throws -> Void
    ) async throws {
        let start = ContinuousClock.now
        let watch = Task {
            for number in 0... {
                try await Task.sleep(for: Self.glance)
                // It is only looked at: when that cannot be, the work goes on.
                let row = try? await self.client.execute(Self.holders, [self.backend]).first
                let holder = try row?.decode(named: "names") ?? ""
                try Task.checkCancellation()
                let isReport = number.isMultiple(of: Self.glancesBetweenReports)
                look(Glance(holder: holder, since: .now - start, isReport: isReport))
            }
        }
        defer { watch.cancel() }
        try await body()
    }

    /// The key is arbitrary and must never change: it is what two migrating processes have in common.
    private static let tryLock = PostgresStatement(
        "select pg_try_advisory_lock(7226451990431) as is_locked",
        prepared: false
    )
    private static let unlock = PostgresStatement("select pg_advisory_unlock(7226451990431)", prepared: false)
    private static let begin = "begin; set local lock_timeout = \(lockTimeout / .milliseconds(1))"
    private static let backendStatement = PostgresStatement("select pg_backend_pid()::bigint as pid", prepared: false)

    private static let lockHolder = PostgresStatement(
        """
        select \(names)
        from pg_stat_activity a
        join pg_locks l on l.pid = a.pid and l.locktype = 'advisory' and l.granted and l.objsubid = 1
            and l.classid::bigint << 32 | l.objid::bigint = 7226451990431
        where l.database = (select oid from pg_database where datname = current_database())
        """,
        prepared: false
    )

    private static let holders = PostgresStatement(
        "select \(names) from pg_stat_activity a where a.pid = any (pg_blocking_pids($1::int))",
        prepared: false
    )

    private static let names = """
        coalesce(string_agg(
            distinct format('process %s, %s', a.pid, coalesce(nullif(a.application_name, ''), '?')), '; '), '') as names
        """
}
