// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import TestSupport
import Testing

/// Calls that we cancel because they must not ring any more.
@Suite(.timeLimit(.minutes(20)))
struct CanceledByUsTests {
    /// What is reported of a call that we asked to be canceled, in this order, and whether it is charged then.
    private struct Story: Sendable, CustomTestStringConvertible {
        let reports: [CallStatus]
        let isCharged: Bool
        var testDescription: String { self.reports.map(\.rawValue).joined(separator: ", ") }

        init(_ reports: [CallStatus], isCharged: Bool) {
            self.reports = reports
            self.isCharged = isCharged
        }
    }

    private static let stories = [
        Story([.canceled], isCharged: false),
        Story([.ringing, .canceled], isCharged: false),
        Story([.canceled, .ringing], isCharged: false),
        Story([.canceled, .canceled], isCharged: false),
        Story([.initiated, .canceled, .initiated], isCharged: false),
        // Somebody was quicker, whatever comes first.
        Story([.answered, .canceled], isCharged: true),
        Story([.canceled, .answered], isCharged: true),
        Story([.canceled, .canceled, .answered, .answered], isCharged: true),
        Story([.canceled, .completed], isCharged: true),
        Story([.completed, .canceled], isCharged: true),
        // It had ended otherwise before it could be canceled.
        Story([.canceled, .noAnswer], isCharged: true),
        Story([.noAnswer, .canceled], isCharged: true),
        Story([.busy], isCharged: true),
        // Nobody knows: it may have rung to its end.
        Story([.lost], isCharged: true),
        Story([.lost, .canceled], isCharged: false),
    ]

    private static func place(
        _ scratch: Scratch,
        _ change: (inout CampaignSettings) -> Void = { _ in }
    ) async throws -> UUID {
        let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1) {
            $0.dayParts = [DayPart(name: "all", week: CallingWeek(window: nil, weekdays: Array(1...7)), attempts: 2)]
            change(&$0)
        }
        let callID = try #require(try await Calls.begin(scratch, try await Calls.claim(scratch, campaign)).first)
        try await scratch.store.markPlaced([(callID, "CA1", "queued")])
        return callID
    }

    private static func cancel(_ scratch: Scratch, _ callID: UUID) async throws {
        _ = try await scratch.store.pauseAllCampaigns(reason: "stop", actor: "test")
        #expect(try await scratch.store.callsToCancel(among: [callID]) == [callID])
    }

    private static func report(_ scratch: Scratch, _ callID: UUID, _ status: CallStatus) async throws {
        _ = try await scratch.store.record(
            CallReport.merge([CallEvent(callID: callID, status: status, occurredAt: Date())])
        )
    }

    /// What is charged to the contact: attempts, those of its only day part, and those that the call's row says.
    private static func charged(_ scratch: Scratch) async throws -> [Int] {
        [
            try await scratch.value("select attempts_count::bigint from contacts", as: Int.self),
            try await scratch.value("select coalesce(day_part_attempts[1], 0)::bigint from contacts", as: Int.self),
            try await scratch.value("select count(*) from call_attempts where counted", as: Int.self),
        ]
    }

    @Test(
        "a call that we cancel before anybody answers is not charged; in whatever order it is told",
        arguments: stories
    )
    private func orders(story: Story) async throws {
        try await Scratch.run { scratch in
            let callID = try await Self.place(scratch)
            try await Self.cancel(scratch, callID)
            for status in story.reports { try await Self.report(scratch, callID, status) }
            let expected = story.isCharged ? 1 : 0
            #expect(try await Self.charged(scratch) == [expected, expected, expected])
            // Why it is not charged stands in the row, and only then.
            let hasReason = try await scratch.value(
                "select counted = (error_code is distinct from 'canceled_by_us') from call_attempts",
                as: Bool.self
            )
            #expect(hasReason)
            let isOver = try await scratch.value(
                "select ended_at is not null and outcome is not null from call_attempts",
                as: Bool.self
            )
            #expect(isOver)
            #expect(try await scratch.value("select call_id is null from contacts", as: Bool.self))
            if story.isCharged {
                #expect(try await scratch.value("select state <> 'pending' from contacts", as: Bool.self))
            } else {
                let isBack = try await scratch.value(
                    """
                    select state = 'pending' and next_attempt_at <= now() + interval '1 minute' from contacts
                    """,
                    as: Bool.self
                )
                #expect(isBack)
            }
        }
    }

    @Test("reports of one call in one batch count as if they came one by one", arguments: stories)
    private func together(story: Story) async throws {
        try await Scratch.run { scratch in
            let callID = try await Self.place(scratch)
            try await Self.cancel(scratch, callID)
            let now = Date()
            _ = try await scratch.store.record(
                CallReport.merge(story.reports.map { CallEvent(callID: callID, status: $0, occurredAt: now) })
            )
            let expected = story.isCharged ? 1 : 0
            #expect(try await Self.charged(scratch) == [expected, expected, expected])
        }
    }

    @Test(
        "who reports an interview has heard somebody: the call is charged, whichever of the two is told first",
        arguments: ["completed", "refused", "opt_out"],
        [
            [true], [false], [true, false], [false, true], [true, true, false], [false, false, true],
            [false, true, false],
        ]
    )
    func interview(word: String, isWord: [Bool]) async throws {
        try await Scratch.run { scratch in
            let outcome = try #require(SurveyOutcomeReport.Outcome(rawValue: word))
            let callID = try await Self.place(scratch)
            try await Self.cancel(scratch, callID)
            for isWord in isWord {
                if isWord {
                    let report = SurveyOutcomeReport(callID: callID, outcome: outcome, occurredAt: Date())
                    _ = try await scratch.store.record([report])
                } else {
                    try await Self.report(scratch, callID, .canceled)
                }
            }
            let hasWord = isWord.contains(true)
            let expected = hasWord ? 1 : 0
            #expect(try await Self.charged(scratch) == [expected, expected, expected])
            guard isWord.contains(false), hasWord else { return }
            let row = try await scratch.value(
                """
                select a.outcome || ' ' || coalesce(a.error_code, '-') || ' ' || coalesce(c.next_attempt_at::text, '-')
                    || ' ' || coalesce(c.call_id::text, '-') || ' ' || (c.state in ('pending', 'not_reached'))
                from call_attempts a, contacts c
                """,
                as: String.self
            )
            #expect(row == "\(word == "completed" ? "completed" : "refused") - - - false")
        }
    }

    @Test("a call that was given back, and is an interview all the same, is charged again")
    func revertedInterview() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1) {
                $0.dayParts = [
                    DayPart(name: "all", week: CallingWeek(window: nil, weekdays: Array(1...7)), attempts: 2)
                ]
            }
            let callID = try #require(try await Calls.begin(scratch, try await Calls.claim(scratch, campaign)).first)
            try await scratch.store.revertAttempt(callID: callID, errorCode: "429", backOff: .zero)
            _ = try await scratch.store.record([
                SurveyOutcomeReport(callID: callID, outcome: .completed, occurredAt: Date())
            ])
            #expect(try await Self.charged(scratch) == [1, 1, 1])
            #expect(try await scratch.value("select state from contacts", as: String.self) == "completed")
        }
    }

    @Test("a call that is canceled without our asking is charged, as before")
    func canceledByOthers() async throws {
        try await Scratch.run { scratch in
            let callID = try await Self.place(scratch)
            try await Self.report(scratch, callID, .canceled)
            #expect(try await Self.charged(scratch) == [1, 1, 1])
        }
    }

    @Test("ringing calls are canceled too; answered ones are left alone, and count")
    func ringing() async throws {
        try await Scratch.run { scratch in
            let callID = try await Self.place(scratch)
            try await Self.report(scratch, callID, .ringing)
            try await Self.cancel(scratch, callID)
            try await Self.report(scratch, callID, .answered)
            #expect(try await scratch.store.callsToCancel(among: [callID]).isEmpty)
            try await Self.report(scratch, callID, .completed)
            #expect(try await Self.charged(scratch) == [1, 1, 1])
            #expect(try await scratch.value("select state from contacts", as: String.self) == "completed")
        }
    }

    @Test("an answer that is told after the last attempt was given back uses it up again, and says so")
    func lastAttempt() async throws {
        try await Scratch.run { scratch in
            let callID = try await Self.place(scratch) { $0.maximumAttempts = 1 }
            try await Self.cancel(scratch, callID)
            try await Self.report(scratch, callID, .canceled)
            #expect(try await scratch.store.unpublishedSurveyEvents(olderThan: .zero).isEmpty)
            try await Self.report(scratch, callID, .answered)
            let isOver = try await scratch.value(
                "select state = 'not_reached' and next_attempt_at is null from contacts",
                as: Bool.self
            )
            #expect(isOver)
            #expect(try await scratch.store.unpublishedSurveyEvents(olderThan: .zero).map(\.kind) == [.notReached])
        }
    }

    @Test("what is told of a call after its contact is being called again charges it, and leaves the new call alone")
    func calledAgain() async throws {
        try await Scratch.run { scratch in
            let callID = try await Self.place(scratch)
            try await Self.cancel(scratch, callID)
            try await Self.report(scratch, callID, .canceled)
            try await scratch.store.perform(.resume, onCampaign: "test", reason: nil, actor: "test")
            try await scratch.execute("update contacts set next_attempt_at = now()")
            let campaign = try await scratch.value("select id from campaigns", as: UUID.self)
            let again = try await Calls.begin(scratch, try await Calls.claim(scratch, campaign))
            #expect(again.count == 1)
            try await Self.report(scratch, callID, .answered)
            #expect(try await Self.charged(scratch) == [2, 2, 2])
            let isUnderWay = try await scratch.value(
                "select state = 'in_progress' and call_id = $1 from contacts",
                [again[0]],
                as: Bool.self
            )
            #expect(isUnderWay)
            try await Self.report(scratch, again[0], .completed)
            #expect(try await Self.charged(scratch) == [2, 2, 2])
            #expect(try await scratch.value("select state from contacts", as: String.self) == "completed")
        }
    }

    @Test("a number that is excluded while it rings stays excluded, and is not charged")
    func excluded() async throws {
        try await Scratch.run { scratch in
            let callID = try await Self.place(scratch)
            let number = try Fixtures.number(0)
            try await scratch.store.addExclusions([number], reason: "wish", source: "api")
            #expect(try await scratch.store.callsToCancel(among: [callID]) == [callID])
            try await Self.report(scratch, callID, .canceled)
            #expect(try await Self.charged(scratch) == [0, 0, 0])
            #expect(try await scratch.value("select state from contacts", as: String.self) == "excluded")
        }
    }

    @Test("a placement that was given back and is reported after all is charged again")
    func revertedAndReported() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1) {
                $0.dayParts = [
                    DayPart(name: "all", week: CallingWeek(window: nil, weekdays: Array(1...7)), attempts: 2)
                ]
            }
            let callID = try #require(try await Calls.begin(scratch, try await Calls.claim(scratch, campaign)).first)
            try await scratch.store.revertAttempt(callID: callID, errorCode: "429", backOff: .zero)
            #expect(try await Self.charged(scratch) == [0, 0, 0])
            try await Self.report(scratch, callID, .ringing)
            #expect(try await Self.charged(scratch) == [1, 1, 1])
            try await Self.report(scratch, callID, .noAnswer)
            #expect(try await Self.charged(scratch) == [1, 1, 1])
        }
    }
}
