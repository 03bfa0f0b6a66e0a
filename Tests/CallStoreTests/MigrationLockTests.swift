// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallStore
import Postgres
import Schemas
import TestBasics
import TestSupport
import Testing

/// Migrations beside each other and beside roles at work.
@Suite(.timeLimit(.minutes(20)))
struct MigrationLockTests {
    /// A store as impatient as no program is, and what its migration says.
    private static func impatient(
        _ scratch: Scratch,
        _ body: (CallStore, AsyncStream<MigrationEvent>, @escaping @Sendable (MigrationEvent) -> Void) async throws ->
            Void
    ) async throws {
        var configuration = try PostgresConfiguration(uri: scratch.databaseURL)
        configuration.statementTimeout = .milliseconds(200)
        let client = PostgresClient(configuration: configuration, logger: scratch.logger)
        let (events, continuation) = AsyncStream.makeStream(of: MigrationEvent.self)
        let outcome: Result<Void, any Error>
        do {
            try await body(CallStore(client: client, logger: scratch.logger), events) { continuation.yield($0) }
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        await client.close()
        try outcome.get()
    }

    @Test("a migration waits for another one as long as that takes, whatever the time-outs, and says so")
    func another() async throws {
        try await Scratch.run(isMigrated: false) { scratch in
            try await Self.impatient(scratch) { store, events, report in
                let migration = try await scratch.client.withConnection { other in
                    // As the former program takes it.
                    try await other.executeScript("begin; select pg_advisory_xact_lock(7226451990431)")
                    let migration = Task { try await store.migrate(report: report) }
                    var told = 0
                    // The second comes when the client itself would have given up.
                    for await event in events {
                        guard case .waitsForAnother(let holder, _) = event else {
                            Issue.record("unexpected \(event)")
                            break
                        }
                        #expect(holder.contains("postgres-client"))
                        told += 1
                        if told == 2 { break }
                    }
                    try await other.executeScript("rollback")
                    return migration
                }
                #expect(try await migration.value.count == Schemas.migrations.count)
            }
        }
    }

    @Test("a lock that is not to be had is given up, so that nobody waits behind it, and is asked for again")
    func lock() async throws {
        try await Scratch.run(isMigrated: false) { scratch in
            _ = try await scratch.store.migrate(Schemas.migrations.filter { $0.number < 16 })
            try await Self.impatient(scratch) { store, events, report in
                let migration = try await scratch.client.withConnection { role in
                    try await role.executeScript(
                        "begin; set application_name = 'a dialer'; select from contacts limit 1"
                    )
                    let migration = Task { try await store.migrate(report: report) }
                    for await event in events {
                        guard case .triesAgain(let step, let holder, let tries, _) = event else { continue }
                        #expect(step == "16 counters")
                        // On a busy machine the first try may be over before anybody has looked who is in its way.
                        if tries >= 2, holder.contains("a dialer") { break }
                    }
                    // Between two tries others get what they want.
                    try await scratch.execute("update contacts set state = state where false")
                    try await role.executeScript("commit; reset application_name")
                    return migration
                }
                #expect(try await migration.value.count == Schemas.migrations.count - 15)
                #expect(try await scratch.store.schemaState() == .current(version: Schemas.migrations.count))
            }
        }
    }

    @Test("the work of a migration has no time-out, and tells how long it has taken")
    func work() async throws {
        try await Scratch.run { scratch in
            try await Self.impatient(scratch) { store, events, report in
                let number = Schemas.migrations.count + 1
                try await scratch.execute("create table may_end ()")
                let sql = """
                    do $$ begin
                        while not exists (select from may_end) loop perform pg_sleep(0.05); end loop;
                    end $$
                    """
                let long = Schemas.Migration(number: number, name: "long", sql: sql)
                let migration = Task { try await store.migrate(Schemas.migrations + [long], report: report) }
                var told: [MigrationEvent] = []
                var sinceTold: Duration?
                for await event in events {
                    told.append(event)
                    if case .works(_, let since, _) = event {
                        sinceTold = since
                        try await scratch.execute("insert into may_end default values")
                    }
                    if case .applied = event { break }
                }
                #expect(try await migration.value.map(\.number) == [number])
                #expect(told.first == .begins("\(number) long"))
                #expect(told.dropFirst().first.map { "\($0)".hasPrefix("\(number) long: at work for ") } == true)
                guard case .applied(_, let took) = told.last else { return }
                let since = try #require(sinceTold)
                #expect(took > since)
            }
        }
    }
}
