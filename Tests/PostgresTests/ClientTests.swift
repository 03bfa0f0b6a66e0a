// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Postgres
import TestBasics
import Testing

@Suite("client", .timeLimit(.minutes(20)))
struct ClientTests {
    @Test("an error tells SQLSTATE, constraint, table and detail, and keeps values out of its description")
    func uniqueViolation() async throws {
        try await withClient { client in
            let table = uniqueName("t")
            try await client.execute(
                PostgresStatement("create table \(table) (v text constraint once_\(table) unique)")
            )
            let insert = PostgresStatement("insert into \(table) values ($1)")
            #expect(try await client.execute(insert, ["secret-value"]).affectedRows == 1)
            let error = await postgresError { try await client.execute(insert, ["secret-value"]) }
            #expect(error?.code == .server)
            #expect(error?.sqlState == "23505")
            #expect(error?.constraintName == "once_\(table)")
            #expect(error?.tableName == table)
            #expect(error?.isRetryable == false)
            #expect(error?.description.contains("secret-value") == false)
            #expect(error?.debugDescription.contains("secret-value") == true)
            try await client.execute(PostgresStatement("drop table \(table)"))
        }
    }

    @Test("a transaction commits when its body returns, and rolls back when it throws")
    func transactions() async throws {
        struct Wish: Error {}
        try await withClient { client in
            let table = uniqueName("t")
            try await client.execute(PostgresStatement("create table \(table) (v int8)"))
            let insert = PostgresStatement("insert into \(table) values ($1)")
            try await client.withTransaction { try await $0.execute(insert, [1]) }
            await #expect(throws: Wish.self) {
                try await client.withTransaction(isolation: .serializable) { connection in
                    try await connection.execute(insert, [2])
                    throw Wish()
                }
            }
            let swallowed = await postgresError {
                try await client.withTransaction { connection in
                    try await connection.execute(insert, [3])
                    _ = try? await connection.execute("select 1/0")
                }
            }
            #expect(swallowed?.sqlState == "25P02")
            let rows = try await client.execute(PostgresStatement("select v from \(table)"))
            #expect(try rows.map { try $0.decode(Int.self, at: 0) } == [1])
            try await client.execute(PostgresStatement("drop table \(table)"))
        }
    }

    @Test("ten thousand concurrent statements get their own answers")
    func tenThousand() async throws {
        try await withClient { client in
            let sum = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<10_000 {
                    group.addTask {
                        let row = try await client.execute("select $1::int8", [number]).first
                        return try row?.decode(Int.self, at: 0) == number ? 1 : 0
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(sum == 10_000)
            #expect(client.statistics.open <= 8)
            #expect(client.statistics.executed == 10_000)
            #expect(client.statistics.waiting == 0)
        }
    }

    @Test("cancelling a statement stops it on the server")
    func cancellation() async throws {
        try await withClient { client in
            let marker = uniqueName("marker")
            let running = PostgresStatement(
                "select count(*) from pg_stat_activity where state = 'active' and query like '%' || $1 || '%' and pid <> pg_backend_pid()"
            )
            let count = { try await client.execute(running, [marker]).first?.decode(Int.self, at: 0) ?? 0 }
            let task = Task { try await client.execute(PostgresStatement("select pg_sleep(60) /* \(marker) */")) }
            try await eventually("one waits") { try await count() == 1 }
            task.cancel()
            let error = await postgresError { _ = try await task.value }
            #expect(error?.code == .cancelled)
            try await eventually("none waits") { try await count() == 0 }
            try await client.execute("select 1")
        }
    }

    @Test("a cancelled transaction is rolled back")
    func cancelledTransaction() async throws {
        try await withClient { client in
            let table = uniqueName("t")
            try await client.execute(PostgresStatement("create table \(table) (v int8)"))
            let (started, signal) = AsyncStream.makeStream(of: Void.self)
            let task = Task {
                try await client.withTransaction { connection in
                    try await connection.execute(PostgresStatement("insert into \(table) values (1)"))
                    signal.finish()
                    try await connection.execute("select pg_sleep(60)")
                }
            }
            for await _ in started {}
            task.cancel()
            #expect(await postgresError { try await task.value }?.code == .cancelled)
            let rows = try await client.execute(PostgresStatement("select count(*) from \(table)")).first
            #expect(try rows?.decode(Int.self, at: 0) == 0)
            try await client.execute(PostgresStatement("drop table \(table)"))
        }
    }

    @Test("a caller that finds no free connection in time is told so, and one that is cancelled leaves at once")
    func exhaustion() async throws {
        try await withClient {
            $0.maximumConnections = 1
            $0.acquireTimeout = .milliseconds(200)
        } _: { client in
            // To connect may take longer.
            try await eventually("there is a connection") { (try? await client.execute("select 1")) != nil }
            try await client.withConnection { connection in
                #expect(await postgresError { try await client.execute("select 1") }?.code == .timeout)
                try await connection.execute("select 1")
            }
            try await client.execute("select 1")
        }
        try await withClient {
            $0.maximumConnections = 1
            $0.acquireTimeout = .seconds(3600)
        } _: { client in
            try await client.withConnection { connection in
                let task = Task { try await client.execute("select 1") }
                try await eventually("it waits") { client.statistics.waiting == 1 }
                task.cancel()
                #expect(await postgresError { _ = try await task.value }?.code == .cancelled)
                try await connection.execute("select 1")
            }
            try await client.execute("select 1")
        }
    }

    @Test("a closed client refuses, twice too")
    func closing() async throws {
        try await withClient { client in
            try await client.execute("select 1")
            await client.close()
            await client.close()
            #expect(await postgresError { try await client.execute("select 1") }?.code == .closed)
        }
    }

    @Test("a statement is prepared once per connection, and again when its table changed")
    func preparing() async throws {
        try await withClient {
            $0.maximumConnections = 1
        } _: { client in
            let table = uniqueName("t")
            try await client.execute(PostgresStatement("create table \(table) (v int8)", prepared: false))
            let select = PostgresStatement(name: "reused", "select * from \(table)")
            for _ in 0..<10 { try await client.execute(select) }
            let count = PostgresStatement(
                "select count(*) from pg_prepared_statements where name = 'reused'",
                prepared: false
            )
            #expect(try await client.execute(count).first?.decode(Int.self, at: 0) == 1)
            try await client.execute(PostgresStatement("alter table \(table) add w int8", prepared: false))
            try await client.execute(select)
            try await client.execute(PostgresStatement("deallocate all", prepared: false))
            try await client.execute(select)
            try await client.execute(PostgresStatement("drop table \(table)", prepared: false))
        }
    }

    @Test("a transaction that meets a plan of an earlier table fails once, and can be done again")
    func stalePlanInTransaction() async throws {
        try await withClient {
            $0.maximumConnections = 1
        } _: { client in
            let table = uniqueName("t")
            try await client.executeOnce("create table \(table) (v int8)")
            let select = PostgresStatement(name: "reused", "select * from \(table)")
            try await client.execute(select)
            for change in ["alter table \(table) add w int8", "deallocate all"] {
                try await client.executeOnce(change)
                let error = await postgresError {
                    _ = try await client.withTransaction { try await $0.execute(select) }
                }
                #expect(error?.isRetryable == true)
                try await client.withTransaction { try await $0.execute(select) }
                try await client.execute(select)
            }
            #expect(client.statistics.reconnects == 0)
            // Somebody else's, left behind by a pooler that does not clear up.
            try await client.executeOnce("deallocate all")
            try await client.execute("select 1")
            try await client.executeOnce("prepare foreign_plan as select 2")
            let foreign = PostgresStatement(name: "foreign_plan", "select 3")
            #expect(try await client.execute(foreign).first?.decode(Int.self, at: 0) == 3)
            try await client.executeOnce("drop table \(table)")
        }
    }

    @Test("what the server refuses at COMMIT costs no connection")
    func refusedCommit() async throws {
        try await withClient {
            $0.maximumConnections = 1
        } _: { client in
            let table = uniqueName("t")
            try await client.executeOnce("create table \(table) (v int8 unique deferrable initially deferred)")
            let backend = { try await client.execute("select pg_backend_pid()").first?.decode(Int.self, at: 0) }
            let before = try await backend()
            let error = await postgresError {
                _ = try await client.withTransaction {
                    try await $0.execute(PostgresStatement("insert into \(table) values (1), (1)"))
                }
            }
            #expect(error?.sqlState == "23505")
            #expect(try await backend() == before)
            try await client.executeOnce("drop table \(table)")
        }
    }

    @Test("an error in a pipeline undoes all of it and leaves the connection usable")
    func pipeline() async throws {
        try await withClient { client in
            let table = uniqueName("t")
            try await client.execute(PostgresStatement("create table \(table) (v int8 primary key)"))
            let insert = PostgresStatement("insert into \(table) values ($1)")
            try await client.withConnection { connection in
                let results = try await connection.pipeline((0..<2000).map { (insert, [$0]) })
                #expect(results.count == 2000)
                let error = await postgresError {
                    _ = try await connection.pipeline([5000, 1, 5001].map { (insert, [$0]) })
                }
                #expect(error?.sqlState == "23505")
                let count = try await connection.execute(PostgresStatement("select count(*) from \(table)")).first
                #expect(try count?.decode(Int.self, at: 0) == 2000)
            }
            try await client.execute(PostgresStatement("drop table \(table)"))
        }
    }

    @Test("a transaction left open does not reach the next caller")
    func leftOpen() async throws {
        try await withClient {
            $0.maximumConnections = 1
        } _: { client in
            try await client.withConnection { try await $0.executeScript("begin; create table left_open (v int)") }
            let row = try await client.execute("select to_regclass('left_open')::text").first
            #expect(try row?.decode(String?.self, at: 0) == nil)
        }
    }
}
