// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Foundation
import Logging
import TestBasics
import TestSupport
import Testing

/// The broker's users of `ops/rabbitmq/users.json`: enough for each role, and not for another's.
@Suite(.timeLimit(.minutes(20)), .serialized)
struct BrokerUserTests {
    private static let roles = ["selector", "dialer", "recorder", "webhooks"]

    @Test("with a user each, the roles run a campaign; none can do what is another's")
    func leastPrivilege() async throws {
        try await Scratch.run { scratch in
            let users = try await Self.makeUsers(scratch)
            try await Self.campaign(scratch, users)
            // What exists by now: nobody may publish where it has no business, or read what is not its own.
            let forbidden: [(role: String, exchange: String, routingKey: String)] = [
                ("selector", CallTopology.callEvents, CallTopology.callEvents),
                ("selector", CallTopology.surveyEvents, "survey.completed"),
                ("webhooks", CallTopology.dialExchange, "default"),
                ("webhooks", CallTopology.surveyEvents, "survey.completed"),
                ("recorder", CallTopology.dialExchange, "default"),
                ("dialer", CallTopology.dialExchange, "default"),
                ("dialer", CallTopology.surveyEvents, "survey.completed"),
                ("dialer", CallTopology.callEnded, "d1"),
            ]
            for (role, exchange, routingKey) in forbidden {
                let error = try await Self.failure(users, role) { connection in
                    try await connection.publish(AMQPMessage(body: [1]), exchange: exchange, routingKey: routingKey)
                }
                #expect(error?.replyCode == 403, "\(role) → \(exchange): \(error.map { "\($0)" } ?? "was let in")")
            }
            for (role, queue) in [
                ("webhooks", CallTopology.dialQueue(trunk: "default")), ("selector", CallTopology.callEvents),
                ("recorder", CallTopology.dialQueue(trunk: "default")),
            ] {
                let error = try await Self.failure(users, role) { _ = try await $0.get(queue) }
                #expect(error?.replyCode == 403, "\(role) reads \(queue)")
                let deletion = try await Self.failure(users, role) { try await $0.deleteQueue(queue) }
                #expect(deletion?.replyCode == 403, "\(role) deletes \(queue)")
            }
        }
    }

    /// The broker's URL for each role.
    private static func makeUsers(_ scratch: Scratch) async throws -> [String: String] {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        var users: [String: String] = [:]
        for role in Self.roles {
            let password = UUID().uuidString
            try password.write(to: folder.appendingPathComponent(role), atomically: true, encoding: .utf8)
            var components = try #require(URLComponents(string: scratch.brokerURL))
            components.user = "call-scheduler-" + role
            components.password = password
            users[role] = components.string
        }
        let virtualHost = scratch.brokerURL.split(separator: "/").last.map(String.init) ?? ""
        try await Shell.run(
            "'\(Shell.root.path)/ops/rabbitmq/apply-users' '\(try TestServers.management)' '\(virtualHost)' '\(folder.path)'"
        )
        return users
    }

    /// With its own credentials at both servers, no role is told that what is another's were wrong.
    private static func examine(_ scratch: Scratch, _ users: [String: String], _ rehearsal: Rehearsal) async throws {
        let script = Shell.root.appendingPathComponent("ops/postgres/roles.sql")
        try await Shell.run("psql -XAqt -v ON_ERROR_STOP=1 -f '\(script.path)' '\(scratch.databaseURL)'")
        try await eventually("all have said that they are ready") {
            try await scratch.store.roles().allSatisfy { $0.report.fault == nil }
        }
        for role in Self.roles {
            let ended = try await Product.run(
                ["doctor", "--role", role],
                [
                    "DATABASE_URL": scratch.databaseURL + "?options=-c%20role%3Dcall_scheduler_\(role)",
                    "AMQP_URL": users[role] ?? "", "TWILIO_ACCOUNT_SID": Rehearsal.account,
                    "TWILIO_AUTH_TOKEN": Rehearsal.token, "TWILIO_BASE_URL": rehearsal.url,
                    "WEBHOOK_PUBLIC_URL": "http://127.0.0.1:9",
                ]
            )
            #expect(ended.exitCode == 0, "\(role): \(ended.output)\(ended.errors)")
            #expect(ended.output.contains("roles: all run and are ready"), "\(role): \(ended.output)")
            #expect(!ended.output.contains("delete"), "\(role): \(ended.output)")
        }
    }

    private static func campaign(_ scratch: Scratch, _ users: [String: String]) async throws {
        let rehearsal = try await Rehearsal.start(
            scenario:
                #"{"seed": 1, "outcomes": {"completed": 1}, "ring_seconds": {"min": 0.1, "max": 0.1}, "talk_seconds": {"min": 0.1, "max": 0.1}}"#
        )
        let port = try Ports.free()
        var roles: [RunningRole] = []
        do {
            for role in Self.roles {
                roles.append(
                    try RunningRole(
                        [role],
                        [
                            "DATABASE_URL": scratch.databaseURL, "AMQP_URL": users[role] ?? "",
                            "TWILIO_ACCOUNT_SID": Rehearsal.account, "TWILIO_AUTH_TOKEN": Rehearsal.token,
                            "TWILIO_BASE_URL": rehearsal.url, "WEBHOOK_PUBLIC_URL": "http://127.0.0.1:\(port)",
                            "WEBHOOK_PORT": "\(port)", "SELECTOR_INTERVAL_SECONDS": "0.5",
                            "DIALER_CALLS_PER_SECOND": "50", "DIALER_ID": "d1",
                        ]
                    )
                )
            }
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 10) {
                $0.answerURL = rehearsal.url + "/simulator/answer"
            }
            let told = "select count(*) from survey_events where published_at is not null"
            try await eventually(
                "all contacts are completed, and all told of",
                of: {
                    let events = try await scratch.value(told, as: Int.self)
                    return [events, try await scratch.store.report(campaign: campaign)[.completed]]
                },
                { $0 == [10, 10] }
            )
            try await Self.examine(scratch, users, rehearsal)
        } catch {
            for role in roles { print("--- \(role.name)\n\(role.log.suffix(1500))") }
            for role in roles { await role.stop() }
            await rehearsal.role.stop()
            throw error
        }
        for role in roles { await role.stop() }
        await rehearsal.role.stop()
    }

    private static func failure(
        _ users: [String: String],
        _ role: String,
        _ body: (AMQPConnection) async throws -> Void
    ) async throws -> AMQPError? {
        let connection = AMQPConnection(
            configuration: try AMQPConfiguration(uri: users[role] ?? ""),
            logger: .init(label: "user")
        )
        var failure: AMQPError?
        do {
            try await connection.waitUntilReady(timeout: .seconds(120))
            try await body(connection)
        } catch let error as AMQPError {
            failure = error
        }
        await connection.close()
        return failure
    }
}
