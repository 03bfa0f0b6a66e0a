// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import ProviderSimulator
import TestBasics
import TestSupport
import Testing

/// A disaster of `ops/RUNBOOK.md`, rehearsed; the lost database is in `RecoveryTests`.
@Suite(.serialized, .timeLimit(.minutes(6)))
struct DisasterTests {
    private static let contacts = 80
    private static let scenario = """
        {"seed": 6, "outcomes": {"completed": 70, "no_answer": 30},
         "ring_seconds": {"min": 0.1, "max": 0.4}, "talk_seconds": {"min": 0.3, "max": 1}}
        """

    @Test("the broker is gone with all its messages, in the middle of a campaign: nothing is lost, nobody called twice")
    func brokerEmptied() async throws {
        try await Self.campaign { scratch in
            try await Self.wait(scratch, attempts: 25)
            try await scratch.emptyBroker()
        }
    }

    /// Runs a campaign with a disaster in it to its end, and compares the provider's ledger with the tables.
    private static func campaign(
        _ disaster: @Sendable (Scratch) async throws -> Void
    ) async throws {
        try await Scratch.run { scratch in
            let rehearsal = try await Rehearsal.start(scenario: Self.scenario)
            let port = try Rehearsal.freePort()
            let roles = try RunningRole(
                ["all"],
                [
                    "DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL,
                    "TWILIO_ACCOUNT_SID": Rehearsal.account, "TWILIO_AUTH_TOKEN": Rehearsal.token,
                    "TWILIO_BASE_URL": rehearsal.url, "TWILIO_REQUEST_TIMEOUT_SECONDS": "3",
                    "WEBHOOK_PUBLIC_URL": "http://127.0.0.1:\(port)", "WEBHOOK_PORT": "\(port)",
                    "SELECTOR_INTERVAL_SECONDS": "0.5",
                    "SELECTOR_CLAIM_TTL_SECONDS": "5", "DIALER_MAX_CONCURRENT_CALLS": "8",
                    "DIALER_CALLS_PER_SECOND": "20", "DIALER_CALL_MARGIN_SECONDS": "3",
                    "DIALER_FAILURE_BACKOFF_SECONDS": "1", "DIALER_BREAKER_PAUSE_SECONDS": "0.5",
                ]
            )
            let outcome: Result<Void, any Error>
            do {
                _ = try await Fixtures.runningCampaign(in: scratch.store, name: "disaster", contacts: Self.contacts) {
                    $0.maximumAttempts = 1
                    $0.answerURL = rehearsal.url + "/simulator/answer"
                }
                try await disaster(scratch)
                try await eventually("every contact is final, and all are told of", within: .seconds(150)) {
                    try await scratch.value(
                        """
                        select (select count(*) from contacts where state in ('pending', 'in_progress')
                                or state = 'not_reached' and next_attempt_at is not null)
                            + (select count(*) from call_attempts where ended_at is null)
                            + (select count(*) from survey_events where published_at is null)
                        """,
                        as: Int.self
                    ) == 0
                }
                let calls = try await rehearsal.ledger().calls.filter { $0.sid != nil }
                #expect(Dictionary(grouping: calls, by: \.to).values.allSatisfy { $0.count == 1 })
                #expect(Set(calls.map(\.to)).count == Self.contacts)
                let placed = try await scratch.value(
                    "select count(distinct provider_call_id) from call_attempts where counted",
                    as: Int.self
                )
                #expect(placed == Self.contacts)
                outcome = .success(())
            } catch {
                print(roles.log.suffix(3000))
                outcome = .failure(error)
            }
            await roles.stop()
            await rehearsal.role.stop()
            try outcome.get()
        }
    }

    private static func wait(_ scratch: Scratch, attempts: Int) async throws {
        try await eventually("there are \(attempts) attempts", within: .seconds(60)) {
            try await scratch.value("select count(*) from call_attempts", as: Int.self) >= attempts
        }
    }
}
