// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import Postgres
import TestBasics
import TestSupport
import Testing

/// Consent is kept by the number, the last word counts, and it brings nobody back who is not to be called.
@Suite(.timeLimit(.minutes(20)))
struct ConsentTests {
    private static func row(_ index: Int, consent: Bool?, doNotCall: Bool = false) throws -> CallStore.NewContact {
        CallStore.NewContact(
            externalID: nil,
            phoneNumber: try Fixtures.number(index),
            email: nil,
            language: nil,
            hasPriorConsent: consent,
            doNotCall: doNotCall,
            timeZone: nil
        )
    }

    private static func campaign(
        _ scratch: Scratch,
        name: String = "test",
        _ change: (inout CampaignSettings) -> Void = { _ in }
    ) async throws -> UUID {
        try await Fixtures.runningCampaign(in: scratch.store, name: name, contacts: 1) {
            $0.requiresConsent = true
            $0.retryIntervalMinutes = 60
            change(&$0)
        }
    }

    private static func state(_ scratch: Scratch, _ index: Int = 0) async throws -> String {
        try await scratch.value(
            """
            select concat_ws('|', state, has_prior_consent, coalesce(excluded_reason, '-'), next_attempt_at is not null)
            from contacts where phone_number = $1
            """,
            [try Fixtures.number(index).e164],
            as: String.self
        )
    }

    @Test(
        "what was said of a number before it was a contact counts for every later import; the stricter word does",
        arguments: [
            (false, true, "excluded|f|no consent|f"), (false, nil, "excluded|f|no consent|f"),
            (true, nil, "pending|t|-|t"), (true, false, "excluded|f|no consent|f"), (nil, true, "pending|t|-|t"),
            (nil, nil, "excluded|f|no consent|f"),
        ] as [(Bool?, Bool?, String)],
        [true, false]
    )
    func beforeTheImport(words: (said: Bool?, file: Bool?, state: String), isOfCampaign: Bool) async throws {
        try await Scratch.run { scratch in
            let campaign = try await Self.campaign(scratch)
            let number = try Fixtures.number(7)
            if let said = words.said {
                let name = isOfCampaign ? "test" : nil
                #expect(try await scratch.store.setConsent(said, number: number, campaign: name) == 0)
            }
            let count = try await scratch.store.addContacts(
                [try Self.row(7, consent: words.file)],
                campaign: campaign
            )
            #expect(count.withdrawn == (words.said == false && words.file == true ? 1 : 0))
            #expect(try await Self.state(scratch, 7) == words.state)
        }
    }

    @Test("what was said of one campaign holds for that one, until something is said of all")
    func scopes() async throws {
        try await Scratch.run { scratch in
            let (store, number) = (scratch.store, try Fixtures.number(7))
            let first = try await Self.campaign(scratch, name: "first")
            let second = try await Self.campaign(scratch, name: "second")
            _ = try await store.setConsent(true, number: number, campaign: nil)
            _ = try await store.setConsent(false, number: number, campaign: "first")
            _ = try await store.addContacts([try Self.row(7, consent: nil)], campaign: first)
            _ = try await store.addContacts([try Self.row(7, consent: nil)], campaign: second)
            #expect(try await Calls.claim(scratch, first).count == 1)
            #expect(try await Calls.claim(scratch, second).count == 2)
            #expect(try await store.setConsent(true, number: number, campaign: nil) == 2)
            #expect(try await Calls.claim(scratch, first).count == 1)
            #expect(try await scratch.value("select count(*) from consents", as: Int.self) == 1)
        }
    }

    @Test("every form of a number is withdrawn")
    func forms() async throws {
        try await Scratch.run { scratch in
            _ = try await Self.campaign(scratch)
            let other = try PhoneNumber("+19990000999")
            let count = try await scratch.store.setConsent(
                false,
                number: other,
                otherForms: [try Fixtures.number(0)],
                campaign: nil
            )
            #expect(count == 1)
            #expect(try await Self.state(scratch) == "excluded|f|no consent|f")
        }
    }

    @Test(
        "given again, consent brings a contact back to where its calls have left it",
        arguments: [
            // In its pause of an hour.
            ([CallStatus.busy], nil, 3, "not_reached|t|-|t", 50...60),
            // Never called: at once.
            ([], nil, 3, "pending|t|-|t", -1...0),
            // Out of attempts.
            ([.busy], nil, 1, "not_reached|t|-|f", nil),
            // A number that cannot exist.
            ([.failed], "sip_404", 3, "not_reached|t|-|f", nil),
            // It had its interview.
            ([.completed], nil, 3, "completed|t|-|f", nil),
        ] as [([CallStatus], String?, Int, String, ClosedRange<Int>?)],
        [true, false]
    )
    func givenAgain(
        past: (calls: [CallStatus], error: String?, attempts: Int, state: String, minutes: ClosedRange<Int>?),
        isWithdrawnDuringTheCall: Bool
    ) async throws {
        try await Scratch.run { scratch in
            let (store, number) = (scratch.store, try Fixtures.number(0))
            let campaign = try await Self.campaign(scratch) { $0.maximumAttempts = past.attempts }
            for status in past.calls {
                let callIDs = try await Calls.begin(scratch, try await Calls.claim(scratch, campaign))
                #expect(callIDs.count == 1)
                if isWithdrawnDuringTheCall { _ = try await store.setConsent(false, number: number, campaign: nil) }
                let event = CallEvent(
                    callID: callIDs[0],
                    status: status,
                    occurredAt: Date(),
                    errorCode: past.error
                )
                _ = try await store.record([CallReport(event)])
            }
            _ = try await store.setConsent(false, number: number, campaign: nil)
            #expect(try await Calls.claim(scratch, campaign).isEmpty)
            #expect(try await store.setConsent(true, number: number, campaign: nil) == 1)
            #expect(try await Self.state(scratch) == past.state)
            if let minutes = past.minutes {
                let wait = try await scratch.value(
                    "select floor(extract(epoch from next_attempt_at - now()) / 60)::bigint from contacts",
                    as: Int.self
                )
                #expect(minutes.contains(wait), "\(wait)")
            } else {
                let events = try await scratch.value("select count(*) from survey_events", as: Int.self)
                #expect(events == 1, "its end is told of once")
            }
        }
    }

    @Test("given again while the call is live, the contact is in that call, and its end is recorded")
    func givenDuringTheCall() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Self.campaign(scratch)
            let number = try Fixtures.number(0)
            let callIDs = try await Calls.begin(scratch, try await Calls.claim(scratch, campaign))
            for isGiven in [false, true] {
                _ = try await scratch.store.setConsent(isGiven, number: number, campaign: "test")
            }
            #expect(try await Calls.claim(scratch, campaign).isEmpty)
            try await Calls.end(scratch, callIDs, .completed)
            #expect(try await Self.state(scratch) == "completed|t|-|f")
        }
    }

    @Test("consent brings nobody back who is to be left alone for another reason", arguments: ["row", "list"])
    func otherReasons(reason: String) async throws {
        try await Scratch.run { scratch in
            let (store, number) = (scratch.store, try Fixtures.number(0))
            let campaign = try await Self.campaign(scratch)
            _ = try await store.setConsent(false, number: number, campaign: nil)
            if reason == "row" {
                let count = try await store.addContacts(
                    [try Self.row(0, consent: true, doNotCall: true)],
                    campaign: campaign
                )
                #expect(count.barred == 1)
            } else {
                try await store.addExclusions([number], reason: nil, source: "manual")
            }
            _ = try await store.setConsent(true, number: number, campaign: nil)
            #expect(try await Calls.claim(scratch, campaign).isEmpty)
            #expect(try await Self.state(scratch).hasPrefix("excluded|t"))
        }
    }

    /// The withdrawal has taken its look at the row before the recording commits, and goes on after it.
    @Test("a withdrawal that waits for the recording of an outcome keeps what was recorded", arguments: [true, false])
    func races(isCompleted: Bool) async throws {
        try await Scratch.run { scratch in
            let campaign = try await Self.campaign(scratch)
            let number = try Fixtures.number(0)
            let callIDs = try await Calls.begin(scratch, try await Calls.claim(scratch, campaign))
            let status: CallStatus = isCompleted ? .completed : .busy
            try await scratch.execute(
                """
                create function wait_for_withdrawal() returns trigger language plpgsql as $$
                begin
                    -- Until another waits for this row's lock, a minute at most.
                    for i in 1..600 loop
                        perform pg_stat_clear_snapshot();
                        exit when exists (
                            select from pg_stat_activity
                            where datname = current_database() and wait_event_type = 'Lock');
                        perform pg_sleep(0.1);
                    end loop;
                    return null;
                end $$
                """
            )
            try await scratch.execute(
                """
                create trigger wait after update on contacts for each row when (old.last_outcome is null
                    and new.last_outcome is not null) execute function wait_for_withdrawal()
                """
            )
            async let recorded: Void = Calls.end(scratch, callIDs, status)
            try await eventually("the recording holds the row") {
                try await scratch.value(
                    "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()",
                    as: Int.self
                ) == 1
            }
            #expect(try await scratch.store.setConsent(false, number: number, campaign: nil) == 1)
            try await recorded
            #expect(
                try await Self.state(scratch) == (isCompleted ? "completed|f|-|f" : "excluded|f|no consent|f")
            )
            #expect(try await scratch.value("select last_outcome from contacts", as: String.self) == status.rawValue)
        }
    }
}
