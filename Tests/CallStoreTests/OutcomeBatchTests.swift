// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import Postgres
import TestBasics
import TestSupport
import Testing

/// Reports that come together, or about a contact that somebody has moved meanwhile.
@Suite(.timeLimit(.minutes(20)))
struct OutcomeBatchTests {
    private static func event(_ callID: UUID, _ status: CallStatus, _ errorCode: String? = nil) -> CallEvent {
        CallEvent(
            callID: callID,
            status: status,
            occurredAt: Date(),
            errorCode: errorCode,
            rawStatus: status.rawValue
        )
    }

    /// A contact whose first call ended and whose second is live.
    private static func twoCalls(
        _ scratch: Scratch,
        first: CallStatus = .noAnswer,
        _ change: (inout CampaignSettings) -> Void = { _ in }
    ) async throws -> (earlier: UUID, own: UUID) {
        let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1) {
            $0.maximumAttempts = 5
            change(&$0)
        }
        let earlier = try #require(try await Calls.begin(scratch, try await Calls.claim(scratch, campaign)).first)
        try await Calls.end(scratch, [earlier], first)
        try await scratch.execute("update contacts set next_attempt_at = now()")
        let own = try #require(try await Calls.begin(scratch, try await Calls.claim(scratch, campaign)).first)
        return (earlier, own)
    }

    private static func record(_ scratch: Scratch, _ events: [CallEvent]) async throws -> CallStore.RecordedBatch {
        try await scratch.store.record(CallReport.merge(events))
    }

    private static func contact(_ scratch: Scratch) async throws -> String {
        try await scratch.value(
            """
            select concat_ws('|', state, call_id is null, lease_until is null, next_attempt_at is null, attempts_count)
            from contacts
            """,
            as: String.self
        )
    }

    @Test(
        "a late word about an earlier call that comes with the end of the contact's own is not lost",
        arguments: [CallStatus.noAnswer, .busy, .failed, .lost],
        [true, false]
    )
    func lateCompleted(own: CallStatus, isTogether: Bool) async throws {
        // Twelve times: which of two rows an update takes is nobody's promise.
        for _ in 0..<(isTogether ? 12 : 1) {
            try await Scratch.run { scratch in
                let calls = try await Self.twoCalls(scratch)
                let events = [Self.event(calls.earlier, .completed), Self.event(calls.own, own)]
                var kinds: [SurveyEvent.Kind] = []
                for batch in isTogether ? [events] : events.map({ [$0] }) {
                    kinds += try await Self.record(scratch, batch).surveyEvents.map(\.kind)
                }
                #expect(kinds == [.completed])
                #expect(try await Self.contact(scratch) == "completed|t|t|t|2")
                let outcomes = try await scratch.value(
                    "select string_agg(outcome, ',' order by attempt_number) from call_attempts",
                    as: String.self
                )
                #expect(outcomes.hasPrefix("completed,"))
                let claimed = try await Calls.claim(
                    scratch,
                    try await scratch.value("select id from campaigns", as: UUID.self)
                )
                #expect(claimed.isEmpty)
            }
        }
    }

    @Test("a refusal of an earlier call stands against a completed that comes with it", arguments: [true, false])
    func refusal(isTogether: Bool) async throws {
        try await Scratch.run { scratch in
            let calls = try await Self.twoCalls(scratch)
            let refusal = SurveyOutcomeReport(callID: calls.earlier, outcome: .refused, occurredAt: Date())
            _ = try await scratch.store.record([refusal])
            let ends = [Self.event(calls.earlier, .completed), Self.event(calls.own, .completed)]
            for batch in isTogether ? [ends] : ends.map({ [$0] }) { _ = try await Self.record(scratch, batch) }
            #expect(try await Self.contact(scratch) == "refused|t|t|t|2")
        }
    }

    @Test("attempts by outcome are counted over all that a batch says", arguments: [true, false])
    func outcomeMaximum(isTogether: Bool) async throws {
        try await Scratch.run { scratch in
            let calls = try await Self.twoCalls(scratch, first: .failed) { $0.outcomeMaximums = [.rejected: 2] }
            let ends = [Self.event(calls.earlier, .busy, "sip_603"), Self.event(calls.own, .busy, "sip_603")]
            for batch in isTogether ? [ends] : ends.map({ [$0] }) { _ = try await Self.record(scratch, batch) }
            #expect(try await Self.contact(scratch) == "not_reached|t|t|t|2")
            #expect(try await scratch.value("select count(*) from survey_events", as: Int.self) == 1)
        }
    }

    @Test("the same end twice, in one batch or in two, moves the contact once")
    func twice() async throws {
        try await Scratch.run { scratch in
            let calls = try await Self.twoCalls(scratch)
            let end = Self.event(calls.own, .completed)
            let first = try await Self.record(scratch, [end, end, Self.event(calls.own, .completed)])
            #expect(first.surveyEvents.count == 1)
            #expect(first.outcomes.count == 1)
            let second = try await Self.record(scratch, [end])
            #expect(second.surveyEvents.isEmpty && second.outcomes.isEmpty && second.changed == 0)
            #expect(second.ended.map(\.callID) == [calls.own])
            #expect(try await Self.contact(scratch) == "completed|t|t|t|2")
        }
    }

    @Test("many contacts with two calls each end in one batch, and each by its own words")
    func manyTogether() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 40) {
                $0.maximumAttempts = 5
            }
            try await Calls.callAll(scratch, campaign, .noAnswer)
            try await scratch.execute("update contacts set next_attempt_at = now()")
            let own = try await Calls.begin(scratch, try await Calls.claim(scratch, campaign))
            #expect(own.count == 40)
            let earlier = try await scratch.client.execute(
                PostgresStatement("select call_id from call_attempts where attempt_number = 1", prepared: false)
            ).map { try $0.decode(UUID.self, at: 0) }
            let late = Set(earlier.prefix(20))
            _ = try await Self.record(
                scratch,
                own.map { Self.event($0, .busy) } + late.map { Self.event($0, .completed) }
            )
            let states = try await scratch.value(
                """
                select string_agg(n, ',' order by n) from (
                    select state || ' ' || (next_attempt_at is null) || ' ' || count(*) as n from contacts
                    where call_id is null group by state, next_attempt_at is null) s
                """,
                as: String.self
            )
            #expect(states == "completed true 20,not_reached false 20")
        }
    }

    @Test("a contact that was moved to another campaign during its call is settled there")
    func movedToAnotherCampaign() async throws {
        try await Scratch.run { scratch in
            let calls = try await Self.twoCalls(scratch)
            let other = try await Fixtures.runningCampaign(in: scratch.store, name: "other", contacts: 1, first: 100) {
                $0.maximumAttempts = 2
            }
            try await scratch.execute(
                """
                update contacts set campaign_id = $1, stratum_id = (
                    select stratum_id from contacts where campaign_id = $1)
                where campaign_id <> $1
                """,
                [other]
            )
            try await scratch.execute("delete from contacts where attempts_count = 0")
            let batch = try await Self.record(scratch, [Self.event(calls.own, .busy)])
            // Its two attempts are all that it has there.
            #expect(batch.surveyEvents.map(\.campaignID) == [other])
            #expect(try await Self.contact(scratch) == "not_reached|t|t|t|2")
            _ = try await Self.record(scratch, [Self.event(calls.own, .completed)])
            #expect(try await Self.contact(scratch) == "completed|t|t|t|2")
        }
    }

    @Test(
        "a contact whose state was set by hand during its call keeps it, unless it was reached",
        arguments: [
            ("pending", "pending|t|t|f|2", "completed|t|t|t|2"),
            ("not_reached", "not_reached|t|t|f|2", "completed|t|t|t|2"),
            ("excluded", "excluded|t|t|t|2", "excluded|t|t|t|2"),
            ("refused", "refused|t|t|t|2", "refused|t|t|t|2"),
            ("completed", "completed|t|t|t|2", "completed|t|t|t|2"),
        ]
    )
    func movedByHand(state: String, afterBusy: String, afterCompleted: String) async throws {
        for keepsCall in [false, true] where !(keepsCall && ["pending", "not_reached"].contains(state)) {
            try await Scratch.run { scratch in
                let calls = try await Self.twoCalls(scratch)
                let isOpen = ["pending", "not_reached"].contains(state)
                try await scratch.execute(
                    """
                    update contacts set state = '\(state)', next_attempt_at = \(isOpen ? "now()" : "null")
                        \(keepsCall ? "" : ", call_id = null, lease_until = null")
                    """
                )
                _ = try await Self.record(scratch, [Self.event(calls.own, .busy)])
                #expect(try await Self.contact(scratch) == afterBusy)
                _ = try await Self.record(scratch, [Self.event(calls.own, .completed)])
                #expect(try await Self.contact(scratch) == afterCompleted)
            }
        }
    }

    @Test("the end of a call whose person was erased meanwhile is recorded, and nobody is called again")
    func erased() async throws {
        try await Scratch.run { scratch in
            let calls = try await Self.twoCalls(scratch)
            // Not by the command, which refuses while a phone may ring.
            try await scratch.execute(
                """
                update contacts set phone_number = null, external_contact_id = null, state = 'not_reached',
                    next_attempt_at = null, erased_at = now()
                """
            )
            let batch = try await Self.record(scratch, [Self.event(calls.own, .noAnswer)])
            #expect(batch.ended.map(\.callID) == [calls.own])
            #expect(try await Self.contact(scratch) == "not_reached|t|t|t|2")
        }
    }
}
