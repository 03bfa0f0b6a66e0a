// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import Postgres
import TestBasics
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(20)))
struct OutcomeTests {
    /// A placed call.
    private static func place(
        _ scratch: Scratch,
        maximumAttempts: Int = 3,
        _ change: (inout CampaignSettings) -> Void = { _ in }
    ) async throws -> UUID {
        let name = "c" + String(UInt32.random(in: 0...UInt32.max))
        let first = Int.random(in: 0..<9_000_000)
        let campaign = try await Fixtures.runningCampaign(in: scratch.store, name: name, contacts: 1, first: first) {
            $0.maximumAttempts = maximumAttempts
            change(&$0)
        }
        let request = try await scratch.store
            .claim(campaign: campaign, limit: 1, leaseDuration: .seconds(60)).requests[0]
        _ = try await scratch.store.beginAttempts(
            [.init(callID: request.callID, contactID: request.contactID, expiresAt: request.expiresAt)],
            dialerID: "d1",
            trunk: "default",
            margin: .seconds(10)
        )
        try await scratch.store.markPlaced([(request.callID, "CA" + request.callID.lowercased, "queued")])
        return request.callID
    }

    private static func record(_ scratch: Scratch, _ events: [CallEvent]) async throws -> CallStore.RecordedBatch {
        try await scratch.store.record(CallReport.merge(events))
    }

    private static func event(
        _ callID: UUID,
        _ status: CallStatus,
        at seconds: Double = 0,
        answeredBy: AnsweredBy? = nil,
        errorCode: String? = nil
    ) -> CallEvent {
        CallEvent(
            callID: callID,
            status: status,
            occurredAt: Date(timeIntervalSince1970: 1_800_000_000 + seconds),
            answeredBy: answeredBy,
            errorCode: errorCode,
            rawStatus: status.rawValue
        )
    }

    @Test(
        "each end moves the contact",
        arguments: [
            (CallStatus.completed, AnsweredBy?.none, String?.none, "completed", "completed", false),
            (.completed, .machine, nil, "answering_machine", "not_reached", true),
            (.busy, nil, "sip_486", "busy", "not_reached", true),
            (.noAnswer, nil, "sip_487", "no_answer", "not_reached", true),
            (.failed, nil, "sip_503", "failed", "not_reached", true),
            (.failed, nil, "sip_404", "failed", "not_reached", false),
            (.lost, nil, "lost", "failed", "not_reached", true),
        ]
    )
    func ends(
        status: CallStatus,
        answeredBy: AnsweredBy?,
        errorCode: String?,
        outcome: String,
        state: String,
        retries: Bool
    ) async throws {
        try await Scratch.run { scratch in
            let callID = try await Self.place(scratch)
            let batch = try await Self.record(
                scratch,
                [Self.event(callID, status, answeredBy: answeredBy, errorCode: errorCode)]
            )
            #expect(batch.ended.map(\.callID) == [callID])
            #expect(batch.ended.map(\.dialerID) == ["d1"])
            #expect(try await scratch.value("select outcome from call_attempts", as: String.self) == outcome)
            #expect(try await scratch.value("select state from contacts", as: String.self) == state)
            #expect(try await scratch.value("select call_id is null from contacts", as: Bool.self))
            #expect(
                try await scratch.value("select next_attempt_at is not null from contacts", as: Bool.self) == retries
            )
            #expect(batch.surveyEvents.count == (retries ? 0 : 1))
        }
    }

    @Test("the next attempt comes after the campaign's interval, and none after the last")
    func retries() async throws {
        try await Scratch.run { scratch in
            let callID = try await Self.place(scratch)
            _ = try await Self.record(scratch, [Self.event(callID, .busy)])
            let minutes = try await scratch.value(
                """
                select extract(epoch from c.next_attempt_at - a.ended_at)::bigint / 60
                from contacts c join call_attempts a on a.contact_id = c.id
                """,
                as: Int.self
            )
            #expect(minutes == 60)
            let last = try await Self.place(scratch, maximumAttempts: 1)
            let batch = try await Self.record(scratch, [Self.event(last, .busy)])
            #expect(batch.surveyEvents.map(\.kind) == [.notReached])
        }
    }

    @Test(
        "the pause depends on the outcome, and the jitter only adds to it",
        arguments: [(CallStatus.busy, 15), (.noAnswer, 240), (.failed, 60)]
    )
    func retryByOutcome(status: CallStatus, minutes: Int) async throws {
        try await Scratch.run { scratch in
            for jitter in [0, 50] {
                let callID = try await Self.place(scratch) {
                    $0.retryMinutes = [.busy: 15, .noAnswer: 240]
                    $0.retryJitterPercent = jitter
                }
                _ = try await Self.record(scratch, [Self.event(callID, status)])
                let pause = try await scratch.value(
                    """
                    select extract(epoch from c.next_attempt_at - a.ended_at)::float8 / 60
                    from contacts c join call_attempts a on a.contact_id = c.id where a.call_id = $1
                    """,
                    [callID],
                    as: Double.self
                )
                let longest = Double(minutes) * (1 + Double(jitter) / 100)
                #expect(pause >= Double(minutes) - 0.001 && pause <= longest + 0.001, "\(pause) minutes")
            }
        }
    }

    @Test("any order and any repetition of a call's reports gives the same row", arguments: 0..<12)
    func permutations(seed: UInt64) async throws {
        var random = SeededRandom(seed: seed)
        var order: [(CallStatus, Double, AnsweredBy?)] = [
            (.initiated, 0, nil), (.ringing, 1, nil), (.answered, 2, .machine), (.completed, 3, .machine),
        ]
        order += (0..<3).compactMap { _ in order.randomElement(using: &random) }
        order.shuffle(using: &random)
        let shuffled = order
        try await Scratch.run { scratch in
            let callID = try await Self.place(scratch)
            for (status, seconds, answeredBy) in shuffled {
                _ = try await Self.record(
                    scratch,
                    [Self.event(callID, status, at: seconds, answeredBy: answeredBy)]
                )
            }
            let row = try await scratch.value(
                """
                select concat_ws('|', status, report_rank, outcome, answered_by, provider_raw_status,
                    extract(epoch from answered_at)::bigint, counted) from call_attempts
                """,
                as: String.self
            )
            #expect(
                row == "ended|10|answering_machine|machine|completed|1800000002|t",
                "order \(shuffled), seed \(seed)"
            )
            #expect(try await scratch.value("select state from contacts", as: String.self) == "not_reached")
        }
    }

    @Test("a late completed beats the end that was recorded first, and the contact is called no more")
    func lateCompleted() async throws {
        try await Scratch.run { scratch in
            let callID = try await Self.place(scratch)
            _ = try await Self.record(scratch, [Self.event(callID, .lost, errorCode: "lost")])
            #expect(try await scratch.value("select state from contacts", as: String.self) == "not_reached")
            let batch = try await Self.record(scratch, [Self.event(callID, .completed)])
            #expect(batch.surveyEvents.map(\.kind) == [.completed])
            #expect(try await scratch.value("select state from contacts", as: String.self) == "completed")
            #expect(try await scratch.value("select next_attempt_at is null from contacts", as: Bool.self))
        }
    }

    @Test("a survey event is written once, with one id, and stays in the outbox until it is published")
    func outbox() async throws {
        try await Scratch.run { scratch in
            let callID = try await Self.place(scratch)
            let first = try await Self.record(scratch, [Self.event(callID, .completed)])
            let again = try await Self.record(scratch, [Self.event(callID, .completed)])
            #expect(first.surveyEvents.count == 1)
            #expect(again.surveyEvents.isEmpty)
            let waiting = try await scratch.store.unpublishedSurveyEvents(olderThan: .zero)
            #expect(waiting == first.surveyEvents)
            try await scratch.store.markPublished(waiting.map(\.eventID))
            #expect(try await scratch.store.unpublishedSurveyEvents(olderThan: .zero).isEmpty)
        }
    }

    @Test("a contact that is excluded during its call stays excluded when the call ends")
    func excludedMeanwhile() async throws {
        try await Scratch.run { scratch in
            let callID = try await Self.place(scratch)
            let number = try PhoneNumber(try await scratch.value("select phone_number from contacts", as: String.self))
            let result = try await scratch.store.addExclusions([number], reason: "wish", source: "api")
            #expect(result == (1, 1))
            #expect(try await scratch.store.callsToCancel(among: [callID]) == [callID])
            _ = try await Self.record(scratch, [Self.event(callID, .noAnswer)])
            let done = try await scratch.value(
                "select state = 'excluded' and call_id is null and next_attempt_at is null from contacts",
                as: Bool.self
            )
            #expect(done)
        }
    }

    @Test("a report about a call that is not ours is named and changes nothing")
    func unknownCall() async throws {
        try await Scratch.run { scratch in
            _ = try await Self.place(scratch)
            let rows = "select a::text || c::text from call_attempts a join contacts c on c.id = a.contact_id"
            let before = try await scratch.value(rows, as: String.self)
            let callID = CallID.make()
            let batch = try await Self.record(scratch, [Self.event(callID, .completed)])
            #expect(batch.unknownCalls == [callID])
            #expect(try await scratch.value(rows, as: String.self) == before)
        }
    }

    @Test("the provider's id of a call is the first that it told, whatever a later report says")
    func otherProviderID() async throws {
        try await Scratch.run { scratch in
            let callID = try await Self.place(scratch)
            var event = Self.event(callID, .ringing)
            event.providerCallID = "CA1"
            _ = try await Self.record(scratch, [event])
            let id = try await scratch.value("select provider_call_id from call_attempts", as: String?.self)
            #expect(id == "CA" + callID.lowercased)
        }
    }
}
