// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Postgres
import TestBasics
import Testing

/// Debian's PgBouncer in session mode, with nothing set that the article "Running it" does not name.
@Suite("pooler", .timeLimit(.minutes(20)))
struct PoolerTests {
    private static func withPooler<R>(connections: Int = 20, _ body: (String) async throws -> R) async throws -> R {
        let server = try #require(URLComponents(string: testURI()))
        let directory = FileManager.default.temporaryDirectory.path + "/" + uniqueName("pooler")
        let port = try Ports.free()
        try await Shell.run("install -d -m 700 \(getuid() == 0 ? "-o postgres " : "")'\(directory)'")
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let settings = """
            [databases]
            * = host=127.0.0.1 port=\(server.port ?? 5432)
            [pgbouncer]
            pool_mode = session
            default_pool_size = \(connections)
            listen_addr = 127.0.0.1
            listen_port = \(port)
            unix_socket_dir =
            auth_type = trust
            auth_file = \(directory)/users

            """
        try settings.write(toFile: directory + "/pgbouncer.ini", atomically: false, encoding: .utf8)
        try "\"\(server.user ?? "app")\" \"\"\n".write(toFile: directory + "/users", atomically: false, encoding: .utf8)
        try await Shell.run("cd '\(directory)' && chmod 644 users pgbouncer.ini")
        let pooler = try PrivateServer.startAsServer(
            ["/usr/sbin/pgbouncer", directory + "/pgbouncer.ini"],
            log: directory + "/log"
        )
        defer { pooler.send(SIGKILL) }
        try await eventually("the pooler listens") {
            (try? await Shell.run(": <>/dev/tcp/127.0.0.1/\(port)")) != nil
        }
        return try await body("postgresql://\(server.user ?? "app")@127.0.0.1:\(port)\(server.path)")
    }

    @Test("everything that the client does works through PgBouncer")
    func pooled() async throws {
        try await Self.withPooler { uri in
            try await withClient(
                {
                    $0.statementTimeout = .seconds(30)
                    $0.sessionSettings = ["enable_seqscan": "off", "jit": "off"]
                },
                uri: uri
            ) { client in
                let shown = { (name: String) in
                    try await client.execute("select current_setting($1)", [name]).first?.decode(String.self, at: 0)
                }
                #expect(try await shown("statement_timeout") == "30s")
                #expect(try await shown("enable_seqscan") == "off")
                #expect(try await shown("DateStyle") == "ISO, MDY")
                try await client.withTransaction { connection in
                    try await connection.executeScript("create temp table bulk (v int8) on commit drop")
                    let copied = try await connection.copyIn("copy bulk from stdin") { writer in
                        for number in 0..<10_000 { try await writer.write(Array("\(number)\n".utf8)) }
                    }
                    #expect(copied == 10_000)
                    let statements = (0..<500).map {
                        (PostgresStatement("select $1::int8"), [$0] as [any PostgresEncodable])
                    }
                    #expect(try await connection.pipeline(statements).count == 500)
                    var lines = 0
                    try await connection.copyOut("copy bulk to stdout") { lines += $0.count { $0 == 10 } }
                    #expect(lines == 10_000)
                }
                let task = Task { try await client.execute("select pg_sleep(600)") }
                try await eventually("it runs") { client.statistics.busy == 1 }
                task.cancel()
                #expect(await postgresError { _ = try await task.value }?.code == .cancelled)
            }
        }
    }

    @Test("clients that come one after the other to the same server's connection do not meet each other's leavings")
    func oneAfterTheOther() async throws {
        try await Self.withPooler(connections: 1) { uri in
            for round in 0..<3 {
                try await withClient(
                    {
                        $0.maximumConnections = 1
                        $0.sessionSettings = round == 0 ? ["jit": "off"] : [:]
                    },
                    uri: uri
                ) { client in
                    let same = PostgresStatement(name: "same", "select \(round)::int8, current_setting('jit')")
                    let row = try await client.execute(same).first
                    #expect(try row?.decode(Int.self, at: 0) == round)
                    #expect(try row?.decode(String.self, at: 1) == (round == 0 ? "off" : "on"))
                }
            }
        }
    }
}
