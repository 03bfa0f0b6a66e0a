// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import CallModel
import Foundation
import NIOCore
import NIOHTTP1
import ProviderSimulator
import TestBasics
import TestSupport
import Testing

/// What operators do to a house that works: tell a dialer to drain, kill one, take a server away.
@Suite(.serialized, .alone, .timeLimit(.minutes(20)))
struct HandOverTests {
    private static let live = 500
    private static let scenario = """
        {"seed": 1, "outcomes": {"completed": 1}, "ring_seconds": {"min": 0.2, "max": 0.5},
         "talk_seconds": {"min": 0.1, "max": 0.5}}
        """

    private static func withRoles(
        _ rehearsal: Rehearsal,
        _ scratch: Scratch,
        _ body: ([String: String], inout [RunningRole]) async throws -> Void
    ) async throws {
        let port = try Ports.free()
        let environment = [
            "DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL,
            "TWILIO_ACCOUNT_SID": Rehearsal.account, "TWILIO_AUTH_TOKEN": Rehearsal.token,
            "TWILIO_BASE_URL": rehearsal.url, "WEBHOOK_PUBLIC_URL": "http://127.0.0.1:\(port)",
            "WEBHOOK_PORT": "\(port)", "SELECTOR_INTERVAL_SECONDS": "0.5", "SELECTOR_QUEUE_DEPTH": "1000",
            "SELECTOR_BATCH_SIZE": "500", "DIALER_MAX_CONCURRENT_CALLS": "\(Self.live)",
            "DIALER_CALLS_PER_SECOND": "1000", "DIALER_CALL_MARGIN_SECONDS": "10",
        ]
        var roles = [rehearsal.role]
        do {
            for role in ["selector", "recorder", "webhooks"] { roles.append(try RunningRole([role], environment)) }
            try await body(environment, &roles)
        } catch {
            for role in roles { print("--- \(role.name)\n\(role.log.suffix(2000))") }
            for role in roles.reversed() { await role.stop() }
            throw error
        }
        for role in roles.reversed() { await role.stop() }
    }

    private static func dialer(_ id: String, _ environment: [String: String]) throws -> RunningRole {
        try RunningRole(["dialer"], environment.merging(["DIALER_ID": id]) { _, new in new })
    }

    @Test(
        "a dialer with 500 live calls goes, told or killed; another adopts them all and every outcome is recorded",
        arguments: [SIGTERM, SIGKILL]
    )
    func handOver(signal: Int32) async throws {
        try await Scratch.run { scratch in
            let rehearsal = try await Rehearsal.start(scenario: Self.scenario)
            try await Self.withRoles(rehearsal, scratch) { environment, roles in
                try await rehearsal.hold(.end)
                _ = try await Fixtures.runningCampaign(in: scratch.store, contacts: Self.live) {
                    $0.answerURL = rehearsal.url + "/simulator/answer"
                    $0.maximumAttempts = 1
                    $0.maximumCallSeconds = 3600
                }
                let first = try Self.dialer("first", environment)
                roles.append(first)
                func count(_ condition: String) async throws -> Int {
                    try await scratch.value("select count(*) from " + condition, as: Int.self)
                }
                try await eventually(
                    "all are answered",
                    of: { try await count("call_attempts where status = 'answered'") },
                    { $0 == Self.live }
                )
                roles.append(try Self.dialer("second", environment))
                let start = ContinuousClock.now
                first.send(signal)
                try await eventually("it is gone") { !first.isRunning }
                print("HANDOVER signal \(signal): gone after \(ContinuousClock.now - start)")
                try await eventually(
                    "all are adopted, before one has ended",
                    of: {
                        try await count("call_attempts where counted and dialer_id = 'second' and ended_at is null")
                    },
                    { $0 == Self.live }
                )
                print("HANDOVER signal \(signal): adopted after \(ContinuousClock.now - start)")
                try await rehearsal.release(.end)
                try await eventually(
                    "every outcome is recorded",
                    of: { try await count("contacts where state = 'completed'") },
                    { $0 == Self.live }
                )
                let ledger = try await rehearsal.ledger()
                #expect(ledger.calls.count == Self.live)
                #expect(ledger.summary.maximumLive == Self.live)
            }
        }
    }

    /// Whether it answers 503 and names the one server and not the other.
    private static func says(_ url: String, _ server: String) async throws -> Bool {
        let response = try await HTTPClient.patient.execute(HTTPClientRequest(url: url), timeout: .seconds(600))
        let text = String(buffer: try await response.body.collect(upTo: 1 << 16))
        let other = server == "database" ? "broker" : "database"
        return response.status == .serviceUnavailable && text.contains(server) && !text.contains(other)
    }

    @Test("readiness says which server is away, and comes back by itself", arguments: [Wire.database, .broker])
    func readiness(wire: Wire) async throws {
        try await Scratch.run { scratch in
            let target = wire == .database ? scratch.databaseURL : scratch.brokerURL
            let proxy = try await TCPProxy(port: try Ports.free(), targets: [Servers.port(of: target)])
            let detour = Servers.url(target, port: proxy.port)
            let health = try Ports.free()
            let role = try RunningRole(
                ["recorder"],
                [
                    "DATABASE_URL": wire == .database ? detour : scratch.databaseURL,
                    "AMQP_URL": wire == .broker ? detour : scratch.brokerURL,
                    "HEALTH_PORT": "\(health)",
                ]
            )
            let ready = "http://127.0.0.1:\(health)/health/ready"
            do {
                try await eventually("it is ready") { await Rehearsal.isReady(ready) }
                proxy.takeAway()
                try await eventually("it is unready, and says for which server") {
                    try await Self.says(ready, wire == .database ? "database" : "broker")
                }
                #expect(await Rehearsal.isReady("http://127.0.0.1:\(health)/health/live"))
                #expect(role.isRunning)
                proxy.bringBack()
                try await eventually("it is ready again") { await Rehearsal.isReady(ready) }
            } catch {
                print(role.log.suffix(2000))
                await role.stop()
                await proxy.close()
                throw error
            }
            await role.stop()
            await proxy.close()
        }
    }
}
