// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import Postgres
import TestSupport
import Testing

/// Consent, exclusions by scope and time, regions, candidate zones, day parts, maxima by outcome.
@Suite(.timeLimit(.minutes(20)))
struct RuleTests {
    private static func contact(
        _ index: Int,
        zone: String? = nil,
        region: String? = nil,
        consent: Bool = true
    ) throws -> CallStore.NewContact {
        CallStore.NewContact(
            externalID: "y\(index)",
            phoneNumber: try Fixtures.number(index),
            email: nil,
            language: nil,
            hasPriorConsent: consent,
            doNotCall: false,
            timeZone: zone,
            timeZoneSource: zone == nil ? nil : "number",
            region: region
        )
    }

    @Test("without consent nobody is called where it is required; given later, the contact is; withdrawn, it is not")
    func consent() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1) {
                $0.requiresConsent = true
            }
            _ = try await scratch.store.addContacts([try Self.contact(50, consent: false)], campaign: campaign)
            #expect(try await Calls.claim(scratch, campaign).count == 1)
            let number = try Fixtures.number(50)
            #expect(try await scratch.store.setConsent(true, number: number, campaign: nil) == 1)
            let requests = try await Calls.claim(scratch, campaign)
            #expect(requests.count == 1)
            // Withdrawn while the request waits in the queue.
            #expect(try await scratch.store.setConsent(false, number: number, campaign: "test") == 1)
            #expect(try await Calls.begin(scratch, requests).isEmpty)
            let state = try await scratch.value(
                "select concat_ws('|', state, excluded_reason) from contacts where phone_number = '\(number.e164)'",
                as: String.self
            )
            #expect(state == "excluded|no consent")
        }
    }

    @Test("an exclusion of one campaign leaves the others alone")
    func scopedExclusion() async throws {
        try await Scratch.run { scratch in
            let first = try await Fixtures.runningCampaign(in: scratch.store, name: "first", contacts: 1)
            let second = try await Fixtures.runningCampaign(in: scratch.store, name: "second", contacts: 1)
            let queued = try await Calls.claim(scratch, first)
            let number = try Fixtures.number(0)
            let result = try await scratch.store.addExclusions([number], reason: "r", source: "manual", campaign: first)
            #expect(result == (1, 1))
            #expect(try await Calls.begin(scratch, queued).isEmpty)
            #expect(try await Calls.claim(scratch, first).isEmpty)
            #expect(try await Calls.callAll(scratch, second, .busy) == 1)
            let list = try await scratch.store.exclusions()
            #expect(list.map(\.campaign) == ["first"])
            #expect(try await !scratch.store.removeExclusion(number))
            #expect(try await scratch.store.removeExclusion(number, campaign: first))
        }
    }

    @Test("an exclusion that ends keeps a contact resting until then, also a queued one, and then it is called")
    func expiringExclusion() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1)
            let queued = try await Calls.claim(scratch, campaign)
            let number = try Fixtures.number(0)
            let end = Date().addingTimeInterval(3600)
            try await scratch.store.addExclusions([number], reason: nil, source: "manual", expiresAt: end)
            #expect(try await Calls.begin(scratch, queued).isEmpty)
            #expect(try await Calls.claim(scratch, campaign).isEmpty)
            let explanation = try await scratch.store.explainContacts(phoneNumber: number, id: nil, campaign: nil)
            let next = try #require(explanation[0].nextPossible)
            #expect(abs(next.timeIntervalSince(end)) < 1)
            #expect(explanation[0].rules.first { $0.rule == "exclusion over" }?.passed == false)
            // A shorter one does not shorten it, one for good makes it so.
            try await scratch.store.addExclusions(
                [number],
                reason: nil,
                source: "manual",
                expiresAt: end.addingTimeInterval(-1800)
            )
            let kept = try await scratch.store.exclusions()[0].expiresAt
            #expect(abs(try #require(kept).timeIntervalSince(end)) < 1)
            try await scratch.execute("update exclusion_list_entries set expires_at = now() - interval '1 second'")
            try await scratch.execute("update contacts set next_attempt_at = now()")
            #expect(try await Calls.callAll(scratch, campaign, .busy) == 1)
        }
    }

    @Test("a campaign whose contacts all live in a country that rests is not asked, until the rest is over")
    func countryRests() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1)
            try await scratch.execute("update contacts set next_attempt_at = null")
            _ = try await scratch.store.addContacts([try Self.contact(70, region: "FR")], campaign: campaign)
            func hasWork() async throws -> Bool {
                try await scratch.store.campaignsWithWork().contains { $0.hasWork }
            }
            #expect(try await hasWork())
            try await scratch.execute(
                """
                insert into country_rests (trunk, region, refused_at, rests_until, pause, error_code)
                values ('default', 'FR', now(), now() + interval '1 hour', 3600, '21215')
                """
            )
            #expect(try await hasWork() == false)
            _ = try await scratch.store.addContacts([try Self.contact(71, region: "DE")], campaign: campaign)
            #expect(try await hasWork())
            try await scratch.execute("update contacts set next_attempt_at = null where external_contact_id = 'y71'")
            try await scratch.execute("update country_rests set rests_until = now() - interval '1 second'")
            #expect(try await hasWork())
        }
    }

    @Test("a blocked date of a region stops its contacts only, also those that are queued")
    func regions() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 0 + 1)
            _ = try await scratch.store.addContacts(
                [try Self.contact(60, region: "FR"), try Self.contact(61, region: "DE")],
                campaign: campaign
            )
            let queued = try await Calls.claim(scratch, campaign)
            #expect(queued.count == 3)
            let today = try await scratch.value("select (now() at time zone 'UTC')::date::text", as: String.self)
            try await scratch.store.setBlocked(true, dates: [today], region: "FR")
            #expect(try await Calls.begin(scratch, queued).count == 2)
            #expect(try await Calls.claim(scratch, campaign).isEmpty)
            #expect(try await scratch.store.explainCampaign(named: "test").windowClosed == 1)
            try await scratch.store.setBlocked(false, dates: [today], region: "FR")
            #expect(try await Calls.callAll(scratch, campaign, .busy) == 1)
        }
    }

    @Test("of several zones that a contact may be in, all must be open")
    func candidateZones() async throws {
        try await Scratch.run { scratch in
            let hour = try await scratch.value(
                "select extract(hour from now() at time zone 'UTC')::bigint",
                as: Int.self
            )
            func clock(_ hours: Int) -> String { "\((hour + hours + 24) % 24):00" }
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1)
            // Two hours around this one: two hours further east it is closed.
            try await scratch.execute(
                "update campaigns set allowed_call_start_local = '\(clock(0))', allowed_call_end_local = '\(clock(2))'"
            )
            _ = try await scratch.store.addContacts(
                [
                    try Self.contact(70, zone: "Etc/GMT,Etc/GMT-3"), try Self.contact(71, zone: "Etc/GMT,Etc/UTC"),
                ],
                campaign: campaign
            )
            #expect(try await Calls.claim(scratch, campaign).count == 2)
            let explanations = try await scratch.store.explainContacts(
                phoneNumber: try Fixtures.number(70),
                id: nil,
                campaign: nil
            )
            let window = try #require(explanations[0].rules.first { $0.rule == "window open" })
            #expect(!window.passed && window.detail.contains("by the country of its number"))
            #expect(explanations[0].nextPossible == nil)
            #expect(explanations[0].rules.allSatisfy { $0.rule != "not excluded" || $0.passed })
        }
    }

    @Test("attempts are spread: after one in a part its turn comes in another, up to each part's maximum")
    func dayParts() async throws {
        try await Scratch.run { scratch in
            let now = try await scratch.value(
                """
                select ((extract(isodow from t) - 1) * 1440 + extract(hour from t) * 60 + extract(minute from t))::bigint
                from (select now() at time zone 'UTC' as t) x
                """,
                as: Int.self
            )
            // The first part holds this minute and the next hours, the second begins in twelve hours.
            func part(_ first: Int, _ length: Int) throws -> CallingWeek {
                let ranges = (first..<first + length).reduce(into: Set<Int>()) { $0.insert($1 % 10_080) }.sorted()
                return try CallingWeek(
                    multirange: "{" + ranges.map { "[\($0),\($0 + 1))" }.joined(separator: ",") + "}"
                )
            }
            let parts = [
                DayPart(name: "now", week: try part(now, 300), attempts: 2),
                DayPart(name: "later", week: try part(now + 720, 300), attempts: 1),
            ]
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1) {
                $0.dayParts = parts
                $0.retryIntervalMinutes = 0
                $0.maximumAttempts = 9
            }
            #expect(try await Calls.callAll(scratch, campaign, .busy) == 1)
            #expect(try await Calls.callAll(scratch, campaign, .busy) == 0)
            let wait = try await scratch.value(
                "select extract(epoch from next_attempt_at - now())::bigint from contacts",
                as: Int.self
            )
            #expect(wait > 11 * 3600 && wait <= 12 * 3600, "\(wait)")
            // Claimed too early, because somebody has moved its due date: put off again.
            try await scratch.execute("update contacts set next_attempt_at = now() - interval '1 minute'")
            #expect(try await Calls.claim(scratch, campaign).isEmpty)
            // Its later turn has come and gone: the first part is due again, for its second and last attempt.
            try await scratch.execute(
                "update contacts set next_attempt_at = now() - interval '1 minute', day_part_attempts = '{1,1}'"
            )
            #expect(try await Calls.callAll(scratch, campaign, .busy) == 1)
            let end = try await scratch.value(
                "select concat_ws('|', state, day_part_attempts::text, next_attempt_at is null) from contacts",
                as: String.self
            )
            #expect(end == "not_reached|{2,1}|t")
            let events = try await scratch.value("select count(*) from survey_events", as: Int.self)
            #expect(events == 1)
            let recorded = try await scratch.value(
                "select array_agg(day_part::bigint order by id) from call_attempts",
                as: [Int].self
            )
            #expect(recorded == [1, 1])
        }
    }

    @Test("an attempt that was never placed is not counted in its part")
    func revertedDayPart() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1) {
                $0.dayParts = [DayPart(name: "always", week: Self.wholeWeek, attempts: 1)]
            }
            let callIDs = try await Calls.begin(scratch, try await Calls.claim(scratch, campaign))
            #expect(try await scratch.store.revertAttempt(callID: callIDs[0], errorCode: "x", backOff: .zero))
            #expect(try await Calls.callAll(scratch, campaign, .busy) == 1)
            #expect(try await Calls.callAll(scratch, campaign, .busy) == 0)
        }
    }

    private static let wholeWeek: CallingWeek = {
        guard let week = try? CallingWeek(multirange: "{[0,10080)}") else { fatalError("not a week") }
        return week
    }()

    @Test("an outcome's own maximum ends the story before the attempts are used up")
    func outcomeMaximum() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1) {
                $0.retryIntervalMinutes = 0
                $0.maximumAttempts = 9
                $0.outcomeMaximums = [.busy: 2]
            }
            for status in [CallStatus.busy, .noAnswer, .noAnswer, .busy] {
                #expect(try await Calls.callAll(scratch, campaign, status) == 1)
            }
            #expect(try await Calls.callAll(scratch, campaign, .busy) == 0)
            let attempts = try await scratch.value("select count(*) from call_attempts", as: Int.self)
            #expect(attempts == 4)
        }
    }

    @Test("a call that was declined is told apart from one that nobody answered", arguments: ["sip_603", "sip_608"])
    func rejected(code: String) async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1) {
                $0.retryMinutes = [.rejected: 1440]
            }
            let callIDs = try await Calls.begin(scratch, try await Calls.claim(scratch, campaign))
            _ = try await scratch.store.record([
                CallReport(CallEvent(callID: callIDs[0], status: .noAnswer, occurredAt: Date(), errorCode: code))
            ])
            let end = try await scratch.value(
                """
                select concat_ws('|', a.outcome, c.state, c.next_attempt_at = a.ended_at + interval '1 day')
                from call_attempts a, contacts c
                """,
                as: String.self
            )
            #expect(end == "rejected|not_reached|t")
        }
    }

    @Test(
        "the check says which cap makes the end unreachable, which cell has nobody, and which part of the day is never open",
        arguments: [
            ("number_limits = '[{\"attempts\": 1, \"hours\": 720}]', max_attempts = 3", "number_limits", false),
            ("max_concurrent_calls = 1, ends_at = now() + interval '2 hours'", "max_concurrent_calls", false),
            ("calls_per_hour = 1", "calls_per_hour", false),
            ("day_parts = '[{\"name\": \"never\", \"week\": \"{}\"}]'", "day_parts", true),
            ("starts_at = now() + interval '1 day'", "none", false),
        ]
    )
    func check(change: String, field: String, isError: Bool) async throws {
        let found = try await Scratch.run { scratch in
            _ = try await Fixtures.runningCampaign(in: scratch.store, contacts: 2000) { $0.maximumAttempts = 1 }
            try await scratch.execute("update campaigns set ends_at = now() + interval '2 days'")
            try await scratch.execute("update campaigns set " + change)
            return try await scratch.store.checkCampaign(named: "test")
        }
        let others = found.filter { $0.field != "ring_timeout_seconds" }
        #expect(others.map(\.field) == (field == "none" ? [] : [field]), "\(found)")
        #expect(others.map(\.isError) == (field == "none" ? [] : [isError]), "\(found)")
    }

    @Test("targets of cells that nobody is in, and cells without a target, are noted")
    func checkCells() async throws {
        try await Scratch.run { scratch in
            _ = try await Fixtures.runningCampaign(in: scratch.store, contacts: 2) { $0.cellTargets = ["north": 5] }
            let problems = try await scratch.store.checkCampaign(named: "test").filter { $0.field == "cell_targets" }
            #expect(problems.count == 2 && problems.allSatisfy { !$0.isError })
            #expect(problems[0].problem.contains("north") && problems[1].problem.contains("without a cell"))
        }
    }
}
