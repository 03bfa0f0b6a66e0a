// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import ProviderSimulator
import TestBasics
import TestSupport
import Testing

/// The whole house as separate processes: two selectors, three dialers, two recorders, webhooks and the simulator.
@Suite(.timeLimit(.minutes(20)), .serialized)
struct PipelineTests {
    private static let scenario = """
        {"seed": 7, "outcomes": {"completed": 60, "no_answer": 20, "busy": 15, "failed": 5},
         "ring_seconds": {"min": 0.05, "max": 0.3}, "talk_seconds": {"min": 0.1, "max": 0.6},
         "faults": {"callback_duplicated": 0.1, "callback_reordered": 0.1, "refuse_429": 0.02,
                    "server_error_after": 0.02}}
        """

    @Test("separate selectors and dialers share the work, survive a killed dialer, and nobody is called twice")
    func wholeHouse() async throws {
        try await Scratch.run { scratch in
            let contacts = 150
            let webhookPort = try Ports.free()
            let rehearsal = try await Rehearsal.start(scenario: Self.scenario)
            let provider = rehearsal.url
            var roles = [rehearsal.role]
            do {
                let environment = [
                    "DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL,
                    "TWILIO_ACCOUNT_SID": Rehearsal.account,
                    "TWILIO_AUTH_TOKEN": Rehearsal.token, "TWILIO_BASE_URL": provider,
                    "WEBHOOK_PUBLIC_URL": "http://127.0.0.1:\(webhookPort)", "WEBHOOK_PORT": "\(webhookPort)",
                    "SELECTOR_INTERVAL_SECONDS": "0.5", "DIALER_MAX_CONCURRENT_CALLS": "8",
                    "DIALER_CALLS_PER_SECOND": "100", "DIALER_CALL_MARGIN_SECONDS": "3",
                    "DIALER_FAILURE_BACKOFF_SECONDS": "1", "DATABASE_MAX_CONNECTIONS": "3",
                ]
                for role in ["selector", "selector", "recorder", "recorder", "webhooks"] {
                    roles.append(try RunningRole([role], environment))
                }
                for id in ["d1", "d2", "d3"] {
                    roles.append(
                        try RunningRole(["dialer"], environment.merging(["DIALER_ID": id]) { _, new in new })
                    )
                }
                try await rehearsal.hold(.end)
                _ = try await Fixtures.runningCampaign(in: scratch.store, name: "whole", contacts: contacts) {
                    $0.maximumAttempts = 2
                    $0.maximumCallSeconds = 3600
                    $0.retryIntervalMinutes = 0
                    $0.answerURL = provider + "/simulator/answer"
                }
                let victim = roles[roles.count - 1]
                // A third of the calls end; then all that are live are held: the victim dies with its own.
                try await rehearsal.pass(.end, calls: contacts / 3)
                let over = "select count(*) from call_attempts where ended_at is not null"
                try await eventually(
                    "a third of the calls are over",
                    of: { try await scratch.value(over, as: Int.self) },
                    { $0 >= contacts / 3 }
                )
                let busy = "select count(distinct dialer_id) from call_attempts where ended_at is null"
                try await eventually("each dialer has calls") { try await scratch.value(busy, as: Int.self) == 3 }
                victim.send(SIGKILL)
                try await eventually("it is dead") { !victim.isRunning }
                try await rehearsal.release(.end)
                let open = """
                    select count(*) from contacts
                    where state in ('pending', 'in_progress') or state = 'not_reached' and next_attempt_at is not null
                    """
                try await eventually(
                    "every contact is final",
                    of: { try await scratch.value(open, as: Int.self) },
                    { $0 == 0 }
                )
                try await self.check(scratch, try await rehearsal.ledger())
                let verified = try await Product.run(
                    [
                        "verify-ledger", "--ledger", provider + "/simulator/ledger", "--campaign", "whole",
                        "--max-live", "24",
                    ],
                    environment
                )
                #expect(verified.exitCode == 0, "\(verified.output)\(verified.errors)")
            } catch {
                for role in roles where !role.log.isEmpty { print("--- \(role.name)\n\(role.log.suffix(3000))") }
                for role in roles.reversed() { await role.stop() }
                throw error
            }
            for role in roles.reversed() { await role.stop() }
        }
    }

    private func check(_ scratch: Scratch, _ ledger: Ledger) async throws {
        #expect(ledger.summary.doubleCalls == 0)
        #expect(ledger.summary.maximumLive <= 24)
        let asked = Dictionary(grouping: ledger.calls) { $0.callID ?? "" }
        #expect(asked.values.allSatisfy { $0.count == 1 }, "a call was placed twice")
        let dialers = try await scratch.value("select count(distinct dialer_id) from call_attempts", as: Int.self)
        #expect(dialers == 3)
        let early = try await scratch.value(
            "select max(attempts_count)::bigint from contacts",
            as: Int.self
        )
        #expect(early <= 2)
        let events = try await scratch.value(
            "select count(*) from survey_events where published_at is not null",
            as: Int.self
        )
        let contacts = try await scratch.value("select count(*) from contacts", as: Int.self)
        #expect(events == contacts)
    }
}
