// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestBasics
import Testing

@testable import Postgres

/// Several places where the server may be.
@Suite("hosts", .timeLimit(.minutes(20)))
struct HostTests {
    /// The test server's URI with these host and port lists.
    private static func uri(_ hosts: String, query: String = "") throws -> String {
        let components = try #require(URLComponents(string: testURI()))
        return "postgresql://\(components.user ?? "app")@\(hosts)\(components.path)\(query)"
    }

    private static func port() throws -> Int { try #require(URLComponents(string: testURI())?.port) }

    @Test(
        "a host that does not answer is passed over, and later connections do not wait for it",
        arguments: BlackHole.Kind.allCases
    )
    func blackHole(kind: BlackHole.Kind) async throws {
        let hole = try BlackHole(kind)
        let uri = try Self.uri("127.0.0.1:\(hole.port),127.0.0.1:\(Self.port())")
        try await Self.passesOver(hole, kind) { body in try await withClient(uri: uri, body) }
    }

    @Test("an address of a name that does not answer is passed over for the name's next one")
    func blackHoledAddress() async throws {
        let port = try Self.port()
        let hole = try BlackHole(.silent, address: "127.0.0.2", port: port)
        let uri = try Self.uri("server.example:\(port)")
        try await Self.passesOver(hole, .silent) { body in
            try await withClient({ $0.resolve = { _ in ["127.0.0.2", "127.0.0.1"] } }, uri: uri, body)
        }
    }

    /// Shows that the first connection goes by way of the hole, and the second straight to the server. A server that answers
    /// late for once is passed over itself, and the hole tried again: then a new client has its try.
    private static func passesOver(
        _ hole: BlackHole,
        _ kind: BlackHole.Kind,
        _ connected: ((PostgresClient) async throws -> Void) async throws -> Void
    ) async throws {
        var goesStraight = false
        for _ in 0..<20 where !goesStraight {
            try await connected { client in
                try await client.execute("select 1")
                let visitors = hole.visitors()
                // Behind the first of those that were dropped another is let in, late.
                if kind == .silent { #expect(visitors > 0) }
                try await client.withConnection { first in
                    try await client.withConnection { second in
                        try await first.execute("select 1")
                        try await second.execute("select 1")
                    }
                }
                #expect(client.statistics.open == 2)
                goesStraight = kind != .silent || hole.visitors() == 0
            }
        }
        #expect(goesStraight)
    }

    @Test("a time-out for connecting in the URI is that of each host")
    func connectTimeout() async throws {
        let hole = try BlackHole(.silent)
        let uri = try Self.uri("127.0.0.1:\(hole.port)", query: "?connect_timeout=2")
        try await withClient(
            {
                $0.acquireTimeout = .seconds(60)
                $0.connectTimeout = .seconds(600)
            },
            uri: uri
        ) { client in
            let waiting = Task { try await client.execute("select 1") }
            var visitors = 0
            try await eventually("it is tried again") {
                visitors += hole.visitors()
                return visitors > 1
            }
            waiting.cancel()
            #expect(await postgresError { _ = try await waiting.value }?.code == .cancelled)
        }
    }

    @Test("of several hosts the one that takes writes is used, unless told otherwise")
    func primary() async throws {
        try await PrivateServer.with(settings: "default_transaction_read_only=on") { standby in
            let lists = try "127.0.0.1:\(standby.port),127.0.0.1:\(Self.port())"
            let question = PostgresStatement("select current_setting('transaction_read_only')")
            let isReadOnly = { (client: PostgresClient) in
                try await client.execute(question).first?.decode(String.self, at: 0)
            }
            #expect(try await withClient(uri: "postgresql://app@\(lists)/postgres", isReadOnly) == "off")
            let any = "postgresql://app@\(lists)/postgres?target_session_attrs="
            for (attributes, answer) in [("any", "on"), ("read-only", "on"), ("prefer-standby", "on")] {
                #expect(try await withClient(uri: any + attributes, isReadOnly) == answer)
            }
            // A single host is taken as it is.
            #expect(try await withClient(uri: standby.uri(), isReadOnly) == "on")
        }
    }

    @Test("after a failover no connection that cannot write is used a second time")
    func failover() async throws {
        try await PrivateServer.with { former in
            try await PrivateServer.with { next in
                let uri = "postgresql://app@127.0.0.1:\(former.port),127.0.0.1:\(next.port)/postgres"
                for server in [former, next] {
                    try await withClient(uri: server.uri()) { try await $0.executeOnce("create table t (port int)") }
                }
                let write = PostgresStatement("insert into t values (inet_server_port()) returning port")
                try await withClient(uri: uri) { client in
                    try await client.withConnection { first in
                        try await client.withConnection { second in
                            try await first.execute(write)
                            try await second.execute(write)
                        }
                    }
                    #expect(client.statistics.open == 2)
                    // As it is behind a proxy, or when a primary is demoted without a restart.
                    try await withClient(uri: former.uri()) { admin in
                        try await admin.executeOnce("alter system set default_transaction_read_only = on")
                        try await admin.executeOnce("select pg_reload_conf()")
                        let isReadOnly = PostgresStatement("select current_setting('default_transaction_read_only')")
                        try await eventually("it takes no writes") {
                            try await admin.execute(isReadOnly).first?.decode(String.self, at: 0) == "on"
                        }
                    }
                    let error = await postgresError { try await client.execute(write) }
                    #expect(error?.sqlState == "25006")
                    #expect(error?.isRetryable == true)
                    for _ in 0..<3 {
                        let port = try await client.execute(write).first?.decode(Int.self, at: 0)
                        #expect(port == next.port)
                    }
                }
            }
        }
    }

    @Test("a fault of each host is told; it is final only if it is everywhere")
    func faults() async throws {
        try await withClient(
            { $0.acquireTimeout = .milliseconds(300) },
            uri: Self.uri("127.0.0.1:1,127.0.0.1:\(Self.port())", query: "?target_session_attrs=standby")
        ) { client in
            let error = try await client.connectionFault()
            #expect(error?.code == .connectionFailed)
            #expect(error?.message.contains("refused") == true)
            #expect(error?.message.contains("not in hot standby mode") == true)
        }
        for uri in ["host=a,b,c port=1,2", "host=a,b hostaddr=127.0.0.1"] {
            #expect(await postgresError { _ = try PostgresConfiguration(uri: uri) }?.code == .invalidConfiguration)
        }
    }

    @Test("a refusal at the door is told by its code, whatever its words")
    func refusal() async throws {
        try await PrivateServer.with { server in
            try await withClient(uri: server.uri()) { admin in
                try await admin.executeOnce("create role limited login connection limit 0")
            }
            try await withClient({ $0.acquireTimeout = .milliseconds(300) }, uri: server.uri(user: "limited")) {
                client in
                let error = try await client.connectionFault()
                #expect(error?.sqlState == "53300")
                #expect(error?.isRetryable == true)
                #expect(error?.message.contains("LOCATION") == false)
                #expect(error?.message.contains("53300") == false)
            }
        }
    }
}

extension PostgresClient {
    /// For what is said once only.
    func executeOnce(_ sql: String) async throws { try await self.execute(PostgresStatement(sql, prepared: false)) }
}
