// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import Postgres
import TestSupport
import Testing

/// "Call me on Thursday at half past six."
@Suite(.timeLimit(.minutes(20)))
struct AppointmentTests {
    private static func time(_ seconds: Double) throws -> AppointmentTime {
        try #require(AppointmentTime(Date(timeIntervalSinceNow: seconds).formatted(.iso8601)))
    }

    private static func appoint(
        _ scratch: Scratch,
        _ index: Int,
        _ seconds: Double = 3600
    ) async throws -> CallStore.AppointmentVerdict.Answer? {
        let number = try Fixtures.number(index)
        return try await scratch.store.appoint(
            numbers: [number],
            id: nil,
            at: try Self.time(seconds),
            until: nil,
            campaign: nil
        ).first?.answer
    }

    /// As if the appointment's time, or the second try's, had come.
    private static func itIsTime(_ scratch: Scratch) async throws {
        try await scratch.execute(
            """
            update appointments
            set try_at = now() - interval '1 second', try_until = now() + interval '30 minutes',
                appointed_at = now() - interval '1 second', appointed_until = now() + interval '30 minutes'
            where done_at is null
            """
        )
        try await scratch.execute(
            """
            update contacts set next_attempt_at = now() - interval '1 second'
            where id in (select contact_id from appointments where done_at is null)
            """
        )
    }

    private static func appointment(_ scratch: Scratch) async throws -> String {
        try await scratch.value(
            """
            select concat_ws('|', tries, done_at is not null, is_kept, missed_at is not null) from appointments
            """,
            as: String.self
        )
    }

    /// Its state, and in how many minutes it is due, to five: the test takes its time.
    private static func contact(_ scratch: Scratch, _ index: Int = 0) async throws -> String {
        let number = try Fixtures.number(index).e164
        return try await scratch.value(
            """
            select concat_ws('|', state, round(extract(epoch from next_attempt_at - now()) / 300)::int * 5)
            from contacts where phone_number = '\(number)'
            """,
            as: String.self
        )
    }

    private static func call(_ scratch: Scratch, _ campaign: UUID, _ limit: Int = 1) async throws -> [DialRequest] {
        let requests = try await Calls.claim(scratch, campaign, limit)
        _ = try await Calls.begin(scratch, requests)
        return requests
    }

    @Test("a contact is claimed first at its time, whatever its pause and its day part say, and not before")
    func first() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 300) {
                $0.retryIntervalMinutes = 600
                $0.dayParts = [
                    DayPart(name: "now", week: CallingWeek(window: nil, weekdays: Array(1...7)), attempts: 1)
                ]
                $0.maximumAttempts = 5
            }
            #expect(try await Calls.claim(scratch, campaign, 1).count == 1)
            try await scratch.execute("update contacts set next_attempt_at = now() - interval '1 day'")
            let last = try Fixtures.number(299)
            try await scratch.execute(
                "update contacts set day_part_attempts = '{1}' where phone_number = '\(last.e164)'"
            )
            #expect(try await Self.appoint(scratch, 299) == .appointed)
            #expect(try await Self.contact(scratch, 299) == "pending|60")
            try await Self.itIsTime(scratch)
            let request = try #require(try await Self.call(scratch, campaign).first)
            let attempt = try await scratch.value("select phone_number from call_attempts", as: String.self)
            #expect(attempt == last.e164)
            #expect(try await Self.appointment(scratch) == "1|f|f")
            try await Calls.end(scratch, [request.callID], .completed)
            #expect(try await Self.appointment(scratch) == "1|t|t|f")
        }
    }

    @Test("nobody answers: once more after ten minutes, then as before")
    func unanswered() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1) {
                $0.retryIntervalMinutes = 240
                $0.maximumAttempts = 4
            }
            #expect(try await Self.appoint(scratch, 0) == .appointed)
            #expect(try await Calls.claim(scratch, campaign).isEmpty)
            for (tries, state) in [("1|f|f", "not_reached|10"), ("2|t|f|f", "not_reached|240")] {
                try await Self.itIsTime(scratch)
                let request = try #require(try await Self.call(scratch, campaign).first)
                try await Calls.end(scratch, [request.callID], .noAnswer)
                #expect(try await Self.appointment(scratch) == tries)
                #expect(try await Self.contact(scratch) == state)
            }
            let counts = try await scratch.store.appointments(campaign: campaign)
            #expect(counts.unanswered == 1 && counts.open == 0 && counts.missed == 0)
        }
    }

    @Test("a call that is given back uncharged has not tried")
    func givenBack() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1)
            #expect(try await Self.appoint(scratch, 0) == .appointed)
            try await Self.itIsTime(scratch)
            let request = try #require(try await Self.call(scratch, campaign).first)
            try await scratch.store.revertAttempt(callID: request.callID, errorCode: "429", backOff: .seconds(1))
            #expect(try await Self.appointment(scratch) == "0|f|f")
        }
    }

    @Test("the interview's callback calls again at its time, before or after the call's end", arguments: [true, false])
    func callback(isEarly: Bool) async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1) {
                $0.retryIntervalMinutes = 20
            }
            let request = try #require(try await Self.call(scratch, campaign).first)
            let report = SurveyOutcomeReport(
                callID: request.callID,
                outcome: .callback,
                occurredAt: Date(),
                callbackAt: Date(timeIntervalSinceNow: 7200)
            )
            if !isEarly { try await Calls.end(scratch, [request.callID], .completed) }
            for _ in 0..<2 { _ = try await scratch.store.record([report]) }
            if isEarly { try await Calls.end(scratch, [request.callID], .completed) }
            #expect(try await Self.contact(scratch) == "not_reached|120")
            let outcome = try await scratch.value(
                "select concat_ws('|', outcome, survey_outcome) from call_attempts",
                as: String.self
            )
            #expect(outcome == "callback|callback")
            #expect(try await Self.appointment(scratch) == "0|f|f")
            try await Self.itIsTime(scratch)
            let second = try #require(try await Self.call(scratch, campaign).first)
            try await Calls.end(scratch, [second.callID], .completed)
            // A report that comes again does not call again.
            _ = try await scratch.store.record([report])
            #expect(try await Self.appointment(scratch) == "1|t|t|f")
            #expect(try await Self.contact(scratch) == "completed")
        }
    }

    @Test("'not now' is after the campaign's pause; a refusal in the same call is stronger")
    func notNow() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 2) {
                $0.retryMinutes = [.callback: 45]
                $0.retryIntervalMinutes = 20
            }
            let requests = try await Self.call(scratch, campaign, 2)
            let reports = requests.map {
                SurveyOutcomeReport(callID: $0.callID, outcome: .callback, occurredAt: Date())
            }
            _ = try await scratch.store.record(SurveyOutcomeReport.merge(reports))
            let refusal = SurveyOutcomeReport(callID: requests[0].callID, outcome: .refused, occurredAt: Date())
            _ = try await scratch.store.record([refusal])
            let late = SurveyOutcomeReport(
                callID: requests[0].callID,
                outcome: .callback,
                occurredAt: Date(),
                callbackAt: Date(timeIntervalSinceNow: 7200)
            )
            _ = try await scratch.store.record([late])
            try await Calls.end(scratch, requests.map(\.callID), .completed)
            let states = try await scratch.value(
                """
                select string_agg(concat_ws('|', state, round(extract(epoch from next_attempt_at - now()) / 300)::int * 5), ' '
                    order by state) from contacts
                """,
                as: String.self
            )
            #expect(states == "not_reached|45 refused")
            #expect(try await scratch.value("select count(*) from appointments", as: Int.self) == 0)
        }
    }

    @Test("what passes without a call is missed, tried once more, and then as before")
    func missed() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 2)
            #expect(try await Self.appoint(scratch, 0) == .appointed)
            #expect(try await scratch.store.noteMissedAppointments() == 0)
            let past =
                "update appointments set try_at = now() - interval '1 hour', try_until = now() - interval '1 minute'"
            try await scratch.execute(past)
            #expect(try await scratch.store.noteMissedAppointments() == 1)
            #expect(try await scratch.store.noteMissedAppointments() == 0)
            #expect(try await Self.appointment(scratch) == "1|f|t")
            try await scratch.execute(past)
            #expect(try await scratch.store.noteMissedAppointments() == 0)
            #expect(try await Self.appointment(scratch) == "2|t|f|t")
            #expect(try await scratch.store.appointments(campaign: campaign).missed == 1)
        }
    }

    @Test("never against the window, exclusions, limits, caps, the number of attempts, or what has passed")
    func never() async throws {
        try await Scratch.run { scratch in
            let limit = try NumberLimit(attemptsPer: "1/24h")
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 4) {
                $0.numberLimits = [limit]
                $0.maximumAttempts = 2
                $0.maximumConcurrentCalls = 1
            }
            #expect(try await Self.appoint(scratch, 0, -60) == .past)
            #expect(try await Self.appoint(scratch, 9) == nil)
            for index in 0..<3 { #expect(try await Self.appoint(scratch, index) == .appointed) }
            let used = "update contacts set attempts_count = 2 where phone_number = $1"
            try await scratch.execute(used, [try Fixtures.number(3).e164])
            #expect(try await Self.appoint(scratch, 3) == .attemptsUsedUp)
            _ = try await scratch.store.addExclusions([try Fixtures.number(2)], reason: nil, source: "manual")
            #expect(try await Self.appoint(scratch, 2) == .over)
            try await scratch.execute("update campaigns set weekly_windows = '{[0,1)}'")
            #expect(try await Self.appoint(scratch, 0) == .windowClosed)
            try await Self.itIsTime(scratch)
            #expect(try await Calls.claim(scratch, campaign).isEmpty)
            try await scratch.execute("update campaigns set weekly_windows = '{[0,10080)}'")
            // Of two that are due one has room, and then it is its number's limit.
            let requests = try await Self.call(scratch, campaign, 9)
            #expect(requests.count == 1)
            try await Calls.end(scratch, requests.map(\.callID), .noAnswer)
            try await Self.itIsTime(scratch)
            let others = try await Self.call(scratch, campaign, 9)
            #expect(others.count == 1 && others[0].contactID != requests[0].contactID)
        }
    }

    @Test("an appointment goes with its person")
    func erased() async throws {
        try await Scratch.run { scratch in
            _ = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1)
            #expect(try await Self.appoint(scratch, 0) == .appointed)
            let key = SuppressionKey(secret: "a key of some length")
            _ = try await scratch.store.erase(try Fixtures.number(0), key: key)
            #expect(try await scratch.value("select count(*) from appointments", as: Int.self) == 0)
        }
    }
}
