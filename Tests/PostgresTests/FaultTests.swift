// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Postgres
import TestBasics
import Testing

@Suite("faults", .timeLimit(.minutes(20)))
struct FaultTests {
    @Test("a terminated backend is a lost connection for its statement, and no trouble for the next")
    func terminated() async throws {
        try await withClient { client in
            let marker = uniqueName("marker")
            let kill = PostgresStatement(
                "select pg_terminate_backend(pid) from pg_stat_activity where query like '%' || $1 || '%' and state = 'active' and pid <> pg_backend_pid()"
            )
            let task = Task { try await client.execute(PostgresStatement("select pg_sleep(60) /* \(marker) */")) }
            try await eventually("it is there") { try await client.execute(kill, [marker]).count == 1 }
            let error = await postgresError { _ = try await task.value }
            #expect(error?.code == .connectionLost || error?.sqlState == "57P01")
            #expect(error?.isRetryable == true)
            for _ in 0..<20 { try await client.execute("select 1") }
        }
    }

    @Test("a statement whose client has gone is ended by the server, and lets go of its locks")
    func goneClient() async throws {
        try await withClient { other in
            let marker = uniqueName("marker")
            let running = PostgresStatement(
                "select count(*) from pg_stat_activity where state = 'active' and query like '%' || $1 || '%' and pid <> pg_backend_pid()"
            )
            let count = { try await other.execute(running, [marker]).first?.decode(Int.self, at: 0) ?? 0 }
            try await withClient { client in
                let lock = Int.random(in: 0..<(1 << 40))
                let sleep = PostgresStatement("select pg_advisory_lock(\(lock)), pg_sleep(600) /* \(marker) */")
                let task = Task { try await client.execute(sleep) }
                try await eventually("it runs") { try await count() == 1 }
                let take = PostgresStatement("select pg_try_advisory_lock(\(lock))", prepared: false)
                let isFree = { try await other.execute(take).first?.decode(Bool.self, at: 0) == true }
                #expect(try await !isFree())
                await client.close()
                #expect(await postgresError { _ = try await task.value }?.code == .closed)
                try await eventually("its lock is free") { try await isFree() }
            }
            try await eventually("it has ended") { try await count() == 0 }
        }
    }

    @Test("connections that die while nobody uses them are noticed, and cost no statement")
    func idleDeaths() async throws {
        try await withClient { client in
            let marker = uniqueName("app")
            try await withClient({ $0.applicationName = marker }) { victim in
                try await victim.withConnection { _ in
                    try await victim.withConnection { _ in try await victim.execute("select 1") }
                }
                #expect(victim.statistics.idle == 3)
                let kill = PostgresStatement(
                    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1"
                )
                #expect(try await client.execute(kill, [marker]).count == 3)
                try await eventually("they are noticed") { victim.statistics.open == 0 }
                for _ in 0..<5 { try await victim.execute("select 1") }
                #expect(victim.statistics.open == 1)
            }
        }
    }

    @Test("callers outlast a restart of the server")
    func restart() async throws {
        try await PrivateServer.with { server in
            try await withClient(uri: server.uri()) { client in
                for _ in 0..<5 { try await client.execute("select 1") }
                let inFlight = Task { try await client.execute("select pg_sleep(60)") }
                try await eventually("it is busy") { client.statistics.busy == 1 }
                await server.stop()
                #expect(await postgresError { _ = try await inFlight.value }?.isRetryable == true)
                let waiting = Task { try await client.execute("select 1") }
                try await eventually("it waits") { client.statistics.waiting == 1 }
                try await server.start()
                _ = try await waiting.value
                #expect(client.statistics.reconnects >= 1)
            }
        }
    }

    @Test("a frozen server does not hold a caller for good")
    func frozen() async throws {
        try await PrivateServer.with { server in
            try await withClient({ $0.statementTimeout = .seconds(1) }, uri: server.uri()) { client in
                var backend: Int32?
                // A server that is slow may need more tries than one.
                try await eventually("the server answers in time") {
                    backend = try? await client.execute("select pg_backend_pid()").first?.decode(Int32.self, at: 0)
                    return backend != nil
                }
                let frozen = try #require(backend)
                kill(frozen, SIGSTOP)
                let error = await postgresError { try await client.execute("select 1") }
                kill(frozen, SIGCONT)
                #expect(error?.code == .timeout)
                try await eventually("the server ends what takes too long") {
                    await postgresError { try await client.execute("select pg_sleep(3600)") }?.sqlState == "57014"
                }
            }
        }
    }

    @Test("a refused port is an error with host, port and reason")
    func refused() async throws {
        try await withClient({ $0.acquireTimeout = .milliseconds(300) }, uri: "postgresql://u:hunter2@127.0.0.1:1/x") {
            let error = try await $0.connectionFault()
            #expect(error?.code == .connectionFailed)
            #expect(error?.message.contains("127.0.0.1:1") == true)
            #expect(error?.message.contains("refused") == true)
            #expect(error?.debugDescription.contains("hunter2") == false)
        }
    }

    @Test("a wrong password and an unknown database fail at once")
    func denied() async throws {
        try await PrivateServer.with(hba: "host all app 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256") {
            let server = $0
            try await withClient(uri: server.uri()) { client in
                try await client.execute("create role locked login password 'right'")
                let url = server.uri(user: "locked", password: "right")
                _ = try await withClient(uri: url) { try await $0.execute("select 1") }
            }
            // Whoever tried again until the end of this hour would not come back here.
            func impatiently(_ uri: String, _ body: (PostgresClient) async throws -> Void) async throws {
                try await withClient({ $0.acquireTimeout = .seconds(3600) }, uri: uri, body)
            }
            try await impatiently(server.uri(user: "locked", password: "hunter2")) { client in
                let error = await postgresError { try await client.execute("select 1") }
                #expect(error?.sqlState == "28P01")
                #expect(error?.debugDescription.contains("hunter2") == false)
            }
            try await impatiently(server.uri(database: "nowhere")) { client in
                #expect(await postgresError { try await client.execute("select 1") }?.sqlState == "3D000")
            }
            try await withClient({ $0.acquireTimeout = .milliseconds(300) }, uri: server.uri(query: "?sslmode=require"))
            {
                let error = try await $0.connectionFault()
                #expect(error?.code == .connectionFailed)
                #expect(error?.message.contains("SSL") == true)
            }
        }
    }

    @Test("verify-full accepts the server's own authority and no other")
    func tls() async throws {
        try await PrivateServer.with(settings: "ssl=on") { server in
            let make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -addext subjectAltName=IP:127.0.0.1 -subj"
            try await server.asServer("\(make) /CN=127.0.0.1 -keyout data/server.key -out data/server.crt")
            try await server.asServer("\(make) /CN=other -keyout other.key -out other.crt")
            try await server.asServer("chmod 600 data/server.key")
        } _: { server in
            let right = server.uri(query: "?sslmode=verify-full&sslrootcert=\(server.data)/server.crt")
            try await withClient(uri: right) { client in
                let row = try await client.execute(
                    "select ssl from pg_stat_ssl where pid = pg_backend_pid()"
                ).first
                #expect(try row?.decode(Bool.self, at: 0) == true)
            }
            let wrong = server.uri(query: "?sslmode=verify-full&sslrootcert=\(server.directory)/other.crt")
            try await withClient({ $0.acquireTimeout = .milliseconds(300) }, uri: wrong) { client in
                let error = try await client.connectionFault()
                #expect(error?.code == .connectionFailed)
                #expect(error?.message.contains("certificate") == true)
            }
        }
    }

    @Test(
        "a malformed URI is refused without its password",
        arguments: [
            "postgresql://u:hunter2@host:port/db", "postgresql://u:hunter2@host/db?nonsense=1",
            "host=h password=hunter2 x",
            "postgresql://u:hunter2@[::1/db", "postgresql://u:hun%zzter2@host/db", "mysql://u:hunter2@host/db",
        ]
    )
    func malformed(uri: String) async {
        let error = await postgresError { _ = try PostgresConfiguration(uri: uri) }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.debugDescription.contains("ter2") == false)
    }

    @Test("the old driver's scheme is understood, and the description has no password")
    func schemes() throws {
        for scheme in ["postgresql", "postgres", "postgresql+asyncpg"] {
            let configuration = try PostgresConfiguration(
                uri: "\(scheme)://u:hunter2@example.org:5433/d?application_name=me"
            )
            #expect(configuration.redactedDescription == "example.org:5433 database=d user=u")
            #expect(configuration.applicationName == "me")
            #expect(!"\(configuration) \([configuration]) \(String(reflecting: configuration))".contains("hunter2"))
        }
    }
}
