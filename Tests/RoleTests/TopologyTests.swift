// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallQueues
import CallStore
import Foundation
import TestBasics
import TestSupport
import Testing

/// Queues and exchanges that somebody deletes under running roles, as `rabbitmqctl delete_queue` does.
@Suite(.timeLimit(.minutes(20)), .serialized)
struct TopologyTests {
    private static let scenario = """
        {"seed": 3, "outcomes": {"completed": 100}, "ring_seconds": {"min": 0.05, "max": 0.2},
         "talk_seconds": {"min": 0.1, "max": 0.4}}
        """

    /// What the roles use; `d1` is the dialer.
    private static let used: [(kind: String, name: String)] =
        [
            CallTopology.callEvents, CallTopology.dialQueue(trunk: "default"), CallTopology.hintQueue(dialerID: "d1"),
            CallTopology.dead, CallTopology.unplaced,
        ].map { ("queues", $0) }
        + [
            CallTopology.dialExchange, CallTopology.dead, CallTopology.unplaced, CallTopology.callEvents,
            CallTopology.callEnded,
            CallTopology.surveyEvents,
        ].map { ("exchanges", $0) }

    /// Queues, and how many bindings each exchange has.
    private static func shape(_ scratch: Scratch) async throws -> [String] {
        var shape: [String] = []
        for part in Self.used {
            let bindings = try await scratch.bindings(part.kind, part.name)
            shape.append("\(part.kind) \(part.name): \(bindings.map { "\($0)" } ?? "gone")")
        }
        return shape
    }

    @Test("each of them is there again within seconds, with its bindings, and the campaign goes on to its end")
    func deleted() async throws {
        try await Scratch.run { scratch in
            let rehearsal = try await Rehearsal.start(scenario: Self.scenario)
            let webhookPort = try Ports.free()
            var roles = [rehearsal.role]
            var healthPorts: [Int] = []
            do {
                for role in ["selector", "recorder", "webhooks", "dialer"] {
                    healthPorts.append(try Ports.free())
                    roles.append(
                        try RunningRole(
                            [role],
                            [
                                "DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL,
                                "TWILIO_ACCOUNT_SID": Rehearsal.account, "TWILIO_AUTH_TOKEN": Rehearsal.token,
                                "TWILIO_BASE_URL": rehearsal.url, "WEBHOOK_PORT": "\(webhookPort)",
                                "WEBHOOK_PUBLIC_URL": "http://127.0.0.1:\(webhookPort)", "DIALER_ID": "d1",
                                "SELECTOR_INTERVAL_SECONDS": "0.5", "SELECTOR_CLAIM_TTL_SECONDS": "30",
                                "SELECTOR_QUEUE_DEPTH": "6",
                                "DIALER_MAX_CONCURRENT_CALLS": "4", "DIALER_CALLS_PER_SECOND": "3",
                                "DIALER_CALL_MARGIN_SECONDS": "2",
                                "HEALTH_PORT": "\(healthPorts[healthPorts.count - 1])",
                            ]
                        )
                    )
                }
                for port in healthPorts {
                    try await eventually("all are ready") {
                        await Rehearsal.isReady("http://127.0.0.1:\(port)/health/ready")
                    }
                }
                _ = try await Fixtures.runningCampaign(in: scratch.store, contacts: 60) {
                    $0.answerURL = rehearsal.url + "/simulator/answer"
                }
                try await eventually("calls are made") {
                    try await scratch.value("select count(*) from contacts where state = 'completed'", as: Int.self) > 4
                }
                let before = try await Self.shape(scratch)
                #expect(!before.contains { $0.hasSuffix("gone") })
                // The queue of hints is its connection's own, and nobody else can delete it here.
                for part in Self.used where part.name != CallTopology.hintQueue(dialerID: "d1") {
                    try await scratch.delete(part.kind, part.name)
                    try await eventually("\(part.kind) \(part.name) is back") {
                        try await Self.shape(scratch) == before
                    }
                }
                _ = try await Fixtures.runningCampaign(in: scratch.store, name: "later", contacts: 20, first: 100) {
                    $0.answerURL = rehearsal.url + "/simulator/answer"
                }
                for port in healthPorts {
                    try await eventually("all are ready again") {
                        await Rehearsal.isReady("http://127.0.0.1:\(port)/health/ready")
                    }
                }
                let open = "select count(*) from contacts where state in ('pending', 'in_progress')"
                try await eventually(
                    "every contact is final",
                    of: { try await scratch.value(open, as: Int.self) },
                    { $0 == 0 }
                )
                // Everybody answers, so that a second call would be one too many.
                #expect(try await scratch.value("select count(*) from call_attempts", as: Int.self) == 80)
                let told = "select count(*) from survey_events where published_at is not null"
                try await eventually(
                    "every end is told",
                    of: { try await scratch.value(told, as: Int.self) },
                    { $0 == 80 }
                )
            } catch {
                print(
                    try await scratch.value(
                        "select string_agg(concat_ws(' ', state, call_id, lease_until - now()), e'\n') from contacts",
                        as: String?.self
                    ) ?? ""
                )
                for role in roles where !role.log.isEmpty { print("--- \(role.name)\n\(role.log.suffix(2000))") }
                for role in roles.reversed() { await role.stop() }
                throw error
            }
            for role in roles.reversed() { await role.stop() }
        }
    }
}
