// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(20)))
struct SurveyOutcomeTests {
    private typealias Outcome = SurveyOutcomeReport.Outcome

    /// A live call.
    private static func place(_ scratch: Scratch) async throws -> UUID {
        let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1)
        let request = try await scratch.store
            .claim(campaign: campaign, limit: 1, leaseDuration: .seconds(60)).requests[0]
        _ = try await scratch.store.beginAttempts(
            [.init(callID: request.callID, contactID: request.contactID, expiresAt: request.expiresAt)],
            dialerID: "d1",
            trunk: "default",
            margin: .seconds(10)
        )
        return request.callID
    }

    private static func end(
        _ scratch: Scratch,
        _ callID: UUID,
        _ status: CallStatus = .completed,
        answeredBy: AnsweredBy? = nil
    ) async throws -> CallStore.RecordedBatch {
        let event = CallEvent(callID: callID, status: status, occurredAt: Date(), answeredBy: answeredBy)
        return try await scratch.store.record([CallReport(event)])
    }

    private static func say(
        _ scratch: Scratch,
        _ callID: UUID,
        _ outcomes: Outcome...
    ) async throws -> CallStore.RecordedBatch {
        try await scratch.store.record(
            SurveyOutcomeReport.merge(
                outcomes.map { SurveyOutcomeReport(callID: callID, outcome: $0, occurredAt: Date()) }
            )
        )
    }

    private static func state(_ scratch: Scratch) async throws -> String {
        try await scratch.value(
            "select concat_ws('|', c.state, a.outcome, a.survey_outcome) from contacts c, call_attempts a",
            as: String.self
        )
    }

    @Test("a refusal wins over the provider's completed, whichever comes first", arguments: [true, false])
    func refusal(isEarly: Bool) async throws {
        try await Scratch.run { scratch in
            let callID = try await Self.place(scratch)
            if isEarly {
                #expect(try await Self.say(scratch, callID, .refused).surveyEvents.isEmpty)
                #expect(try await Self.state(scratch) == "in_progress|refused")
                #expect(try await Self.end(scratch, callID).surveyEvents.map(\.kind) == [.refused])
            } else {
                #expect(try await Self.end(scratch, callID).surveyEvents.map(\.kind) == [.completed])
                #expect(try await Self.say(scratch, callID, .refused).surveyEvents.map(\.kind) == [.refused])
            }
            #expect(try await Self.state(scratch) == "refused|refused|refused")
            #expect(try await scratch.value("select next_attempt_at is null from contacts", as: Bool.self))
        }
    }

    @Test("an interview that was held is complete, also when the provider took the respondent for a machine")
    func heldAfterAll() async throws {
        try await Scratch.run { scratch in
            let callID = try await Self.place(scratch)
            _ = try await Self.end(scratch, callID, answeredBy: .machine)
            #expect(try await Self.state(scratch) == "not_reached|answering_machine")
            #expect(try await Self.say(scratch, callID, .completed).surveyEvents.map(\.kind) == [.completed])
            #expect(try await Self.state(scratch) == "completed|completed|completed")
        }
    }

    @Test("an opt-out excludes the number at once, in every campaign, while the call is live")
    func optOut() async throws {
        try await Scratch.run { scratch in
            let callID = try await Self.place(scratch)
            _ = try await Fixtures.runningCampaign(in: scratch.store, name: "other", contacts: 2)
            _ = try await Self.say(scratch, callID, .optOut)
            #expect(try await scratch.value("select count(*) from exclusion_list_entries", as: Int.self) == 1)
            let excluded = try await scratch.value(
                "select count(*) from contacts where state = 'excluded'",
                as: Int.self
            )
            #expect(excluded == 2)
            _ = try await Self.end(scratch, callID)
            let outcome = try await scratch.value("select outcome from call_attempts", as: String.self)
            #expect(outcome == "refused")
        }
    }

    @Test("any order and any repetition gives the same row", arguments: 0..<8)
    func permutations(seed: Int) async throws {
        try await Scratch.run { scratch in
            let callID = try await Self.place(scratch)
            // What is said, in an order that the seed chooses; nil is the provider's end.
            let words: [Outcome?] = [.completed, .refused, nil]
            let order = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]][seed % 6]
            for index in order + (seed > 5 ? order.reversed() : order) {
                if let word = words[index] {
                    _ = try await Self.say(scratch, callID, word)
                } else {
                    _ = try await Self.end(scratch, callID)
                }
            }
            #expect(try await Self.state(scratch) == "refused|refused|refused", "order \(order)")
        }
    }

    @Test("a report about a call that is not ours is named and changes nothing")
    func unknown() async throws {
        try await Scratch.run { scratch in
            let callID = CallID.make()
            let batch = try await Self.say(scratch, callID, .optOut)
            #expect(batch.unknownCalls == [callID])
            #expect(try await scratch.value("select count(*) from exclusion_list_entries", as: Int.self) == 0)
        }
    }
}
