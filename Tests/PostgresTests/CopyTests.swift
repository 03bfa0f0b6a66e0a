// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Postgres
import Testing

@Suite("copy", .timeLimit(.minutes(20)))
struct CopyTests {
    private struct Wish: Error {}

    @Test("a hundred thousand rows go in and come out the same")
    func bulk() async throws {
        try await withClient { client in
            try await client.withTransaction { connection in
                try await connection.executeScript("create temp table bulk (v int8, t text) on commit drop")
                let copied = try await connection.copyIn("copy bulk from stdin") { writer in
                    for number in 0..<100_000 {
                        let field = PostgresCopyWriter.textField("tab\tline\nslash\\ \(number)")
                        try await writer.write(Array("\(number)\t".utf8) + field + Array("\n".utf8))
                    }
                }
                #expect(copied == 100_000)
                let row = try await connection.execute("select sum(v)::int8, min(t) from bulk").first
                #expect(try row?.decode(Int.self, at: 0) == 4_999_950_000)
                #expect(try row?.decode(String.self, at: 1) == "tab\tline\nslash\\ 0")
                var lines = 0
                try await connection.copyOut("copy bulk to stdout") { chunk in
                    lines += chunk.count { $0 == UInt8(ascii: "\n") }
                }
                #expect(lines == 100_000)
                try await connection.execute("select 1")
            }
        }
    }

    @Test("a bad row fails the copy and leaves the connection usable")
    func badRow() async throws {
        try await withClient { client in
            try await client.withConnection { connection in
                try await connection.executeScript("create temp table target (v int8)")
                let error = await postgresError {
                    _ = try await connection.copyIn("copy target from stdin") { writer in
                        try await writer.write(Array("1\nnot a number\n".utf8))
                    }
                }
                #expect(error?.sqlState == "22P02")
                let count = try await connection.execute("select count(*) from target").first
                #expect(try count?.decode(Int.self, at: 0) == 0)
                #expect(
                    try await connection.copyIn("copy target from stdin") { try await $0.write([0x31, 0x0A]) } == 1
                )
            }
        }
    }

    @Test("a copy whose body throws copies nothing and leaves the connection usable")
    func givenUp() async throws {
        try await withClient { client in
            try await client.withConnection { connection in
                try await connection.executeScript("create temp table target (v int8)")
                await #expect(throws: Wish.self) {
                    _ = try await connection.copyIn("copy target from stdin") { writer in
                        try await writer.write([0x31, 0x0A])
                        throw Wish()
                    }
                }
                let count = try await connection.execute("select count(*) from target").first
                #expect(try count?.decode(Int.self, at: 0) == 0)
            }
        }
    }

    @Test("a copy out that is given up does not disturb the next caller")
    func abandoned() async throws {
        try await withClient {
            $0.maximumConnections = 1
        } _: { client in
            await #expect(throws: Wish.self) {
                try await client.withConnection { connection in
                    try await connection.copyOut("copy (select generate_series(1, 1000000)) to stdout") { _ in
                        throw Wish()
                    }
                }
            }
            try await client.execute("select 1")
        }
    }

    @Test("a slow reader of a copy holds the server back, and gathers nothing")
    func backPressure() async throws {
        try await withClient { client in
            try await client.withConnection { connection in
                let row = try await connection.execute("select pg_backend_pid()").first
                let backend = try #require(try row?.decode(Int32.self, at: 0))
                let waits = PostgresStatement("select coalesce(wait_event, '') from pg_stat_activity where pid = $1")
                var isHeldBack = false
                // Far more than sockets hold.
                try await connection.copyOut(
                    "copy (select repeat('x', 1000) from generate_series(1, 300000)) to stdout"
                ) {
                    _ in
                    guard !isHeldBack else { return }
                    var held = 0
                    // Between two pieces a server that is read from waits as well, but not for long.
                    for _ in 0..<500 where held < 25 {
                        let event = try await client.execute(waits, [backend]).first?.decode(String.self, at: 0)
                        held = event == "ClientWrite" ? held + 1 : 0
                        try await Task.sleep(for: .milliseconds(20))
                    }
                    isHeldBack = held == 25
                    try #require(isHeldBack)
                }
                #expect(isHeldBack)
                try await connection.execute("select 1")
            }
        }
    }

    @Test("COPY by another door, and a statement by COPY's, are refused")
    func wrongDoor() async throws {
        try await withClient { client in
            #expect(await postgresError { try await client.execute("copy (select 1) to stdout") }?.code == .unsupported)
            try await client.withConnection { connection in
                let error = await postgresError { _ = try await connection.copyIn("select 1") { _ in } }
                #expect(error?.code == .unsupported)
                try await connection.execute("select 1")
            }
            let script = await postgresError {
                try await client.withConnection { try await $0.executeScript("select 1; select 1/0; select 2") }
            }
            #expect(script?.sqlState == "22012")
        }
    }
}
