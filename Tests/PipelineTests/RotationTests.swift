// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import CallModel
import CallStore
import Foundation
import NIOCore
import NIOHTTP1
import TestBasics
import TestSupport
import Testing

/// Tokens are rotated under running roles, by writing their files anew.
@Suite(.timeLimit(.minutes(5)))
struct RotationTests {
    /// The provider, which knows one token.
    private static func provider(_ port: Int, token: String) async throws -> RunningRole {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: file) }
        let scenario =
            #"{"outcomes": {"completed": 1}, "ring_seconds": {"min": 0.05, "max": 0.1}, "talk_seconds": {"min": 0.05, "max": 0.1}}"#
        try scenario.write(to: file, atomically: true, encoding: .utf8)
        let role = try RunningRole(
            [
                "provider-simulator", "--port", "\(port)", "--account-sid", Rehearsal.account, "--auth-token", token,
                "--scenario", file.path,
            ],
            [:]
        )
        try await eventually("the provider answers") { await Rehearsal.isReady("http://127.0.0.1:\(port)/health") }
        return role
    }

    /// How an outcome of a call that nobody knows is answered: 404 for whoever may report.
    private static func report(_ port: Int, _ token: String) async throws -> UInt {
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)/v1/calls/\(UUID().uuidString)/outcome")
        request.method = .POST
        request.headers.add(name: "Authorization", value: "Bearer " + token)
        request.headers.add(name: "Content-Type", value: "application/json")
        request.body = .bytes(ByteBuffer(string: #"{"outcome": "completed"}"#))
        return try await HTTPClient.patient.execute(request, timeout: .seconds(600)).status.code
    }

    @Test("requests, callbacks and outcomes go on with new tokens, and what was signed with the old ones still counts")
    func rotation() async throws {
        try await Scratch.run { scratch in
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            func write(_ name: String, _ value: String) throws -> String {
                let path = folder.appendingPathComponent(name).path
                try (value + "\n").write(toFile: path, atomically: true, encoding: .utf8)
                return path
            }
            let (providerPort, port) = (try Ports.free(), try Ports.free())
            let environment = [
                "DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL, "DIALER_ID": "d1",
                "TWILIO_ACCOUNT_SID": Rehearsal.account, "TWILIO_AUTH_TOKEN_FILE": try write("auth", "first-token"),
                "WEBHOOK_OUTCOME_TOKEN_FILE": try write("outcome", "the-first-outcome-token"),
                "TWILIO_BASE_URL": "http://127.0.0.1:\(providerPort)", "WEBHOOK_PORT": "\(port)",
                "WEBHOOK_PUBLIC_URL": "http://127.0.0.1:\(port)", "SELECTOR_INTERVAL_SECONDS": "0.5",
                "DIALER_CALLS_PER_SECOND": "50",
            ]
            var provider = try await Self.provider(providerPort, token: "first-token")
            var roles: [RunningRole] = []
            func stopAll() async {
                for role in roles + [provider] { await role.stop() }
            }
            func call(_ name: String, first: Int) async throws {
                let campaign = try await Fixtures.runningCampaign(
                    in: scratch.store,
                    name: name,
                    contacts: 5,
                    first: first
                ) { $0.answerURL = "http://127.0.0.1:\(providerPort)/simulator/answer" }
                try await eventually("everybody of \(name) is called") {
                    try await scratch.store.report(campaign: campaign)[.completed] == 5
                }
            }
            do {
                for role in ["selector", "recorder", "webhooks", "dialer"] {
                    roles.append(try RunningRole([role], environment))
                }
                let (webhooks, dialer) = (roles[2], roles[3])
                try await call("before", first: 0)
                #expect(try await Self.report(port, "the-first-outcome-token") == 404)
                #expect(try await Self.report(port, "the-second-outcome-token") == 401)

                await provider.stop()
                _ = try write("auth", "second-token")
                _ = try write("outcome", "the-second-outcome-token")
                for role in [webhooks, dialer] {
                    try await eventually("the token is renewed") {
                        role.log.contains("TWILIO_AUTH_TOKEN_FILE has changed")
                    }
                }
                provider = try await Self.provider(providerPort, token: "second-token")
                try await call("after", first: 100)
                try await eventually("the new outcome token counts") {
                    try await Self.report(port, "the-second-outcome-token") == 404
                }
                #expect(try await Self.report(port, "the-first-outcome-token") == 404)
                #expect(try await Self.report(port, "the-third-outcome-token") == 401)
                #expect(!webhooks.log.contains("signature does not match"), "\(webhooks.log)")
                #expect(try await scratch.store.pausedTrunks().isEmpty)

                // What cannot be a token leaves the former one in force.
                _ = try write("outcome", "short")
                try await eventually("it is told") { webhooks.log.contains("A changed secret cannot be used") }
                #expect(try await Self.report(port, "the-second-outcome-token") == 404)
                #expect(!webhooks.log.contains("second-token") && !webhooks.log.contains("short"))
            } catch {
                for role in roles { print("--- \(role.name)\n\(role.log.suffix(2000))") }
                await stopAll()
                throw error
            }
            await stopAll()
        }
    }
}
