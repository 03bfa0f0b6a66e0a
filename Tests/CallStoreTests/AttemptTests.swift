// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(20)))
struct AttemptTests {
    /// Claims one contact of a fresh campaign.
    private static func claimOne(_ scratch: Scratch, contacts: Int = 1) async throws -> [DialRequest] {
        let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: contacts)
        return try await scratch.store
            .claim(campaign: campaign, limit: contacts, leaseDuration: .seconds(60)).requests
    }

    private static func begin(_ scratch: Scratch, _ requests: [DialRequest]) async throws -> [String] {
        let wishes = requests.map {
            CallStore.AttemptRequest(callID: $0.callID, contactID: $0.contactID, expiresAt: $0.expiresAt)
        }
        return try await scratch.store
            .beginAttempts(wishes, dialerID: "d1", trunk: "default", margin: .seconds(10))
            .map { verdict in
                switch verdict {
                case .created: "created"
                case .exists(let attempt): "exists:" + attempt.status
                case .stale: "stale"
                case .notAllowed(let reason): reason
                case .undecided: "undecided"
                case .failed: "failed"
                }
            }
    }

    @Test("a request creates one attempt; the same request again adopts it")
    func createThenAdopt() async throws {
        try await Scratch.run { scratch in
            let requests = try await Self.claimOne(scratch)
            #expect(try await Self.begin(scratch, requests) == ["created"])
            #expect(try await Self.begin(scratch, requests) == ["exists:placing"])
            #expect(try await scratch.value("select count(*) from call_attempts", as: Int.self) == 1)
            #expect(try await scratch.value("select attempts_count::bigint from contacts", as: Int.self) == 1)
        }
    }

    @Test("dialers that get the same requests at once create each attempt once")
    func concurrent() async throws {
        try await Scratch.run { scratch in
            let requests = try await Self.claimOne(scratch, contacts: 50)
            let created = try await withThrowingTaskGroup(of: Int.self) { group in
                for seed in 0..<8 {
                    group.addTask {
                        let mine = seed.isMultiple(of: 2) ? requests : requests.reversed()
                        return try await Self.begin(scratch, mine).count { $0 == "created" }
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(created == 50)
            #expect(try await scratch.value("select count(*) from call_attempts", as: Int.self) == 50)
        }
    }

    @Test(
        "what has become forbidden since the claim is not dialed, and the contact goes back",
        arguments: [
            ("update campaigns set status = 'paused'", "campaign_not_running", "pending"),
            ("update campaigns set ends_at = now()", "campaign_ended", "pending"),
            ("insert into trunks values ('default', now(), 'test')", "trunk_paused", "pending"),
            ("update contacts set do_not_call = true", "excluded", "excluded"),
            (
                "insert into exclusion_list_entries (phone_number) select phone_number from contacts", "excluded",
                "excluded"
            ),
            ("update contacts set attempts_count = 3", "attempts_used_up", "not_reached"),
            (
                """
                update campaigns set allowed_call_start_local = ((now() at time zone 'UTC') + interval '2 hours')::time,
                    allowed_call_end_local = ((now() at time zone 'UTC') + interval '3 hours')::time
                """, "window_closed", "pending"
            ),
        ]
    )
    func forbidden(change: String, verdict: String, state: String) async throws {
        try await Scratch.run { scratch in
            let requests = try await Self.claimOne(scratch)
            try await scratch.execute(change)
            #expect(try await Self.begin(scratch, requests) == [verdict])
            #expect(try await scratch.value("select state from contacts", as: String.self) == state)
            #expect(try await scratch.value("select call_id is null from contacts", as: Bool.self))
            #expect(try await scratch.value("select count(*) from call_attempts", as: Int.self) == 0)
        }
    }

    @Test("a request that has expired is dropped without penalty")
    func expired() async throws {
        try await Scratch.run { scratch in
            var requests = try await Self.claimOne(scratch)
            requests[0].expiresAt = Date(timeIntervalSinceNow: -1)
            #expect(try await Self.begin(scratch, requests) == ["request_expired"])
            #expect(try await scratch.value("select attempts_count::bigint from contacts", as: Int.self) == 0)
        }
    }

    @Test("a number has one open attempt at most, across campaigns; the second contact waits a minute")
    func numberBusy() async throws {
        try await Scratch.run { scratch in
            let first = try await Fixtures.runningCampaign(in: scratch.store, name: "a", contacts: 1)
            let second = try await Fixtures.runningCampaign(in: scratch.store, name: "b", contacts: 1)
            let one = try await scratch.store.claim(campaign: first, limit: 1, leaseDuration: .seconds(60)).requests
            let two = try await scratch.store.claim(campaign: second, limit: 1, leaseDuration: .seconds(60)).requests
            #expect(try await Self.begin(scratch, one) == ["created"])
            #expect(try await Self.begin(scratch, two) == ["number_busy"])
            let waits = try await scratch.value(
                """
                select state = 'pending' and next_attempt_at > now() + interval '50 seconds' and call_id is null
                from contacts where campaign_id = $1
                """,
                [second],
                as: Bool.self
            )
            #expect(waits)
        }
    }

    @Test("a definite refusal leaves the contact as it was, rested and uncharged")
    func revert() async throws {
        try await Scratch.run { scratch in
            let requests = try await Self.claimOne(scratch)
            _ = try await Self.begin(scratch, requests)
            let callID = requests[0].callID
            #expect(
                try await scratch.store.revertAttempt(
                    callID: callID,
                    errorCode: "20429",
                    backOff: .seconds(90)
                )
            )
            let reverted = try await scratch.value(
                """
                select state = 'pending' and attempts_count = 0 and call_id is null and lease_until is null
                    and next_attempt_at between now() + interval '80 seconds' and now() + interval '91 seconds'
                from contacts
                """,
                as: Bool.self
            )
            #expect(reverted)
            let closed = try await scratch.value(
                "select status = 'ended' and not counted and error_code = '20429' from call_attempts",
                as: Bool.self
            )
            #expect(closed)
            #expect(try await !scratch.store.revertAttempt(callID: callID, errorCode: "x", backOff: .zero))
            #expect(try await Self.begin(scratch, requests) == ["stale"])
        }
    }

    @Test("an ambiguous placement cannot be reverted")
    func unknownStays() async throws {
        try await Scratch.run { scratch in
            let requests = try await Self.claimOne(scratch)
            _ = try await Self.begin(scratch, requests)
            try await scratch.store.markUnknown(callID: requests[0].callID, errorCode: "timeout")
            #expect(
                try await !scratch.store.revertAttempt(callID: requests[0].callID, errorCode: "x", backOff: .zero)
            )
            #expect(try await Self.begin(scratch, requests) == ["exists:unknown"])
        }
    }
}
