// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import Postgres
import Schemas
import TestSupport
import Testing

/// That counters agree with the rows is checked behind every test that has a database.
@Suite(.timeLimit(.minutes(20)))
struct CounterTests {
    @Test("what was there before there were counters is counted by the migration")
    func backfill() async throws {
        try await Scratch.run(isMigrated: false) { scratch in
            _ = try await scratch.store.migrate(Schemas.migrations.filter { $0.number < 16 })
            for statement in [
                """
                insert into campaigns (name, time_zone, caller_id, answer_url, status)
                values ('c', 'UTC', '+493000000', 'https://a.example', 'running')
                """,
                """
                insert into contacts (campaign_id, phone_number, state, next_attempt_at, attempts_count)
                select k.id, '+4930' || 1000000 + n, case when n < 4 then 'pending' else 'not_reached' end,
                    case when n <> 5 then now() end, 2
                from campaigns k, generate_series(1, 6) n
                """,
                """
                insert into call_attempts (call_id, contact_id, campaign_id, attempt_number, phone_number, dialer_id,
                    status, ended_at, outcome, deadline_at)
                select uuid_v7(), c.id, c.campaign_id, n, c.phone_number, 'd1', 'ended', now(),
                    case n when 1 then 'busy' else 'no_answer' end, now()
                from contacts c, generate_series(1, 2) n
                where c.state = 'not_reached'
                """,
            ] { try await scratch.execute(statement) }
            _ = try await scratch.store.migrate()
            #expect(try await Counters.differences(in: scratch.client) == nil)
            let campaign = try await scratch.store.campaign(named: "c").id
            let report = try await scratch.store.report(campaign: campaign)
            #expect(report.contacts == [.pending: 3, .notReached: 3])
            #expect(report.exhausted == 1)
            #expect(report.attempts == [.busy: 3, .noAnswer: 3])
            let dispositions = try await scratch.store.dispositions(campaign: campaign)
            #expect(dispositions.counts == [.notAttempted: 3, .noAnswer: 3])
        }
    }

    @Test("a number that does not work is what the product takes for a permanent failure")
    func permanentFailures() async throws {
        try await Scratch.run { scratch async throws in
            for (code, expected) in PermanentFailure.codes.map({ ($0, 5) }) + [("sip_503", 8), ("21215", 8)] {
                let disposition = try await scratch.value(
                    "select attempt_disposition('failed', true, null, $1, null)::bigint",
                    [code],
                    as: Int.self
                )
                #expect(disposition == expected, "\(code)")
            }
        }
    }

    @Test("merged sums say the same, and take less room; while one merges, another gives way")
    func merge() async throws {
        try await Scratch.run { scratch in
            let store = scratch.store
            let campaign = try await Fixtures.runningCampaign(in: store, contacts: 2)
            for _ in 0..<10 {
                let claimed = try await store.claim(campaign: campaign, limit: 2, leaseDuration: .seconds(60)).requests
                _ = try await store.revertClaims(claimed.map(\.callID), contacts: claimed.map(\.contactID))
            }
            // As a thousand more would leave them.
            try await scratch.execute(
                """
                insert into contact_counts (campaign_id, state, is_waiting, disposition, contacts)
                select $1, 'pending', true, 9, 1 - 2 * (n % 2) from generate_series(1, 1000) n
                """,
                [campaign]
            )
            func rows() async throws -> Int {
                try await scratch.value("select count(*) from contact_counts", as: Int.self)
            }
            let before = try await store.report(campaign: campaign)
            #expect(before.contacts == [.pending: 2])
            let many = try await rows()
            #expect(many > 1000)
            try await scratch.client.withTransaction { connection in
                try await connection.execute(.init("select pg_advisory_xact_lock(16, 1)", prepared: false))
                try await store.mergeCounts()
            }
            #expect(try await rows() == many)
            async let first: Void = store.mergeCounts()
            async let second: Void = store.mergeCounts()
            _ = try await (first, second)
            #expect(try await rows() == 1)
            let after = try await store.report(campaign: campaign)
            #expect(after.contacts == before.contacts)
        }
    }

    @Test("the word of an interview takes an earlier judgement back, also of a contact that has lost its name")
    func correction() async throws {
        try await Scratch.run { scratch async throws in
            let store = scratch.store
            let campaign = try await Fixtures.runningCampaign(in: store, contacts: 2)
            let claimed = try await store.claim(campaign: campaign, limit: 2, leaseDuration: .seconds(60)).requests
            _ = try await store.beginAttempts(
                claimed.map { .init(callID: $0.callID, contactID: $0.contactID, expiresAt: $0.expiresAt) },
                dialerID: "d1",
                trunk: "default",
                margin: .seconds(10)
            )
            let events = claimed.map { CallEvent(callID: $0.callID, status: .completed, occurredAt: Date()) }
            _ = try await store.record(CallReport.merge(events))
            #expect(try await store.dispositions(campaign: campaign).counts == [.interview: 2])
            let key = SuppressionKey(secret: "a key of some length")
            let number = try #require(try await store.phoneNumber(ofContact: claimed[0].contactID))
            _ = try await store.erase(number, key: key)
            let refusals = claimed.map { SurveyOutcomeReport(callID: $0.callID, outcome: .refused, occurredAt: Date()) }
            _ = try await store.record(refusals)
            let dispositions = try await scratch.value(
                "select array_agg(disposition::text) from contacts",
                as: [String].self
            )
            #expect(dispositions == ["2", "2"])
        }
    }
}
