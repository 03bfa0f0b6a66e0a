// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import CallStore
import Foundation
import NIOCore
import NIOHTTP1
import Postgres
import TestBasics
import TestSupport
import Testing

/// What a role says while it starts, where it cannot, and when a server is back.
@Suite(.timeLimit(.minutes(10)), .serialized)
struct StartTests {
    private static func provider(_ scratch: Scratch) -> [String: String] {
        [
            "DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL, "TWILIO_ACCOUNT_SID": Rehearsal.account,
            "TWILIO_AUTH_TOKEN": Rehearsal.token, "WEBHOOK_PUBLIC_URL": "http://127.0.0.1:9",
            "TWILIO_BASE_URL": "http://127.0.0.1:9",
        ]
    }

    private static func health(_ port: Int, _ path: String) async -> (code: UInt, text: String)? {
        let request = HTTPClientRequest(url: "http://127.0.0.1:\(port)\(path)")
        guard let response = try? await HTTPClient.shared.execute(request, timeout: .seconds(600)),
            let body = try? await response.body.collect(upTo: 1 << 16)
        else { return nil }
        return (response.status.code, String(buffer: body))
    }

    @Test("the health port answers while the servers are waited for, with the reason")
    func starting() async throws {
        try await Scratch.run { scratch in
            let ports = try [Ports.free(), Ports.free(), Ports.free()]
            for (name, url, words) in [
                (
                    "DATABASE_URL", "postgresql://app@127.0.0.1:\(ports[1])/x",
                    "starting: waits for the database, 127.0.0.1"
                ),
                ("AMQP_URL", "amqp://127.0.0.1:\(ports[2])/", "starting: waits for the broker, amqp://guest@127.0.0.1"),
            ] {
                var environment = Self.provider(scratch)
                environment["HEALTH_PORT"] = "\(ports[0])"
                environment[name] = url
                let role = try RunningRole(["recorder"], environment)
                do {
                    for path in ["/health", "/health/ready"] {
                        try await eventually("it says what it waits for") {
                            guard let answer = await Self.health(ports[0], path) else { return false }
                            return answer.code == 503 && answer.text.contains(words)
                        }
                    }
                    #expect(await Self.health(ports[0], "/health/live")?.code == 200)
                } catch {
                    print(role.log)
                    await role.stop()
                    throw error
                }
                await role.stop()
            }
        }
    }

    @Test("a port in use is told with its number and its setting, and 69")
    func ports() async throws {
        try await Scratch.run { scratch in
            let rehearsal = try await Rehearsal.start(scenario: "{}")
            let port = try #require(URLComponents(string: rehearsal.url)?.port)
            for (role, setting) in [("recorder", "HEALTH_PORT"), ("webhooks", "WEBHOOK_PORT")] {
                var environment = Self.provider(scratch)
                environment[setting] = "\(port)"
                let ended = try await Product.run([role], environment)
                #expect(ended.exitCode == 69)
                let words = "\(setting): cannot listen on 127.0.0.1 port \(port): address already in use"
                #expect(ended.errors.contains(words), "\(ended.errors)")
            }
            await rehearsal.role.stop()
        }
    }

    @Test("a dialer whose id another one has says so and ends with 69; the other goes on")
    func duplicate() async throws {
        try await Scratch.run { scratch in
            var environment = Self.provider(scratch)
            environment["DIALER_ID"] = "d1"
            let first = try RunningRole(["dialer"], environment)
            do {
                try await eventually("the first is ready") {
                    try await scratch.store.roles().contains { $0.report.fault == nil }
                }
                let second = try await Product.run(["dialer"], environment)
                #expect(second.exitCode == 69)
                #expect(second.errors.contains("DIALER_ID: another dialer with the id 'd1'"), "\(second.errors)")
                #expect(!second.errors.contains("Cannot reach the broker"))
                let roles = try await scratch.store.roles()
                #expect(roles.count == 1 && roles[0].report.fault == nil && roles[0].presence == .running, "\(roles)")
            } catch {
                await first.stop()
                throw error
            }
            await first.stop()
        }
    }

    @Test("a server that was away is told to be back")
    func back() async throws {
        try await Scratch.run { scratch in
            let role = try RunningRole(["recorder"], Self.provider(scratch))
            do {
                try await eventually("it runs") { try await !scratch.store.roles().isEmpty }
                try await scratch.emptyBroker()
                for words in ["Lost the broker", "The broker is back"] {
                    try await eventually(words) { role.log.contains(words) }
                }
                let name = try await scratch.value("select current_database()", as: String.self)
                let admin = PostgresClient(
                    configuration: try PostgresConfiguration(uri: TestServers.database),
                    logger: scratch.logger
                )
                _ = try await admin.execute(
                    PostgresStatement("alter database \(name) allow_connections false", prepared: false)
                )
                _ = try await admin.execute(
                    """
                    select pg_terminate_backend(pid) from pg_stat_activity
                    where datname = $1 and application_name = 'call-scheduler/recorder'
                    """,
                    [name]
                )
                try await eventually("it misses the database") { role.log.contains("Cannot reach the database") }
                _ = try await admin.execute(
                    PostgresStatement("alter database \(name) allow_connections true", prepared: false)
                )
                await admin.close()
                try await eventually("it is back") { role.log.contains("The database is back") }
            } catch {
                print(role.log)
                await role.stop()
                throw error
            }
            await role.stop()
        }
    }
}
