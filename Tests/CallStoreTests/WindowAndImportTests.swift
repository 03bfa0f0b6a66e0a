// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(20)))
struct WindowAndImportTests {
    /// Start, end, weekdays, zone, instant, and when it closes ("-" for closed).
    private static let windows: [(String, String, String, String, String, String)] = [
        ("09:00", "20:00", "{1,2,3,4,5,6,7}", "Europe/Berlin", "2026-11-23 08:00+01", "-"),
        ("09:00", "20:00", "{1,2,3,4,5,6,7}", "Europe/Berlin", "2026-11-23 09:00+01", "2026-11-23 19:00:00"),
        ("09:00", "20:00", "{1,2,3,4,5,6,7}", "Europe/Berlin", "2026-11-23 19:59:59+01", "2026-11-23 19:00:00"),
        ("09:00", "20:00", "{1,2,3,4,5,6,7}", "Europe/Berlin", "2026-11-23 20:00+01", "-"),
        ("09:00", "20:00", "{6,7}", "Europe/Berlin", "2026-11-23 12:00+01", "-"),
        ("22:00", "06:00", "{5}", "UTC", "2026-11-27 23:00+00", "2026-11-28 06:00:00"),
        ("22:00", "06:00", "{5}", "UTC", "2026-11-28 05:59+00", "2026-11-28 06:00:00"),
        ("22:00", "06:00", "{5}", "UTC", "2026-11-28 06:00+00", "-"),
        ("22:00", "06:00", "{5}", "UTC", "2026-11-28 23:00+00", "-"),
        // Spring forward: 02:30 does not exist on that day; autumn: the window counts local time.
        ("01:00", "03:30", "{7}", "America/New_York", "2026-03-08 06:30+00", "2026-03-08 07:30:00"),
        ("09:00", "20:00", "{7}", "America/New_York", "2026-03-08 13:00+00", "2026-03-09 00:00:00"),
        ("09:00", "20:00", "{6}", "America/New_York", "2026-03-07 13:30+00", "-"),
        ("09:00", "20:00", "{7}", "America/New_York", "2026-11-01 14:00+00", "2026-11-02 01:00:00"),
    ]

    @Test("the calling window is open and closes as the contact's own clock says", arguments: 0..<13)
    func window(index: Int) async throws {
        let (start, end, days, zone, instant, closes) = Self.windows[index]
        try await Scratch.run { scratch in
            let answer = try await scratch.value(
                """
                select coalesce(to_char(call_window_closes_at(
                    $1::text::time, $2::text::time, $3::text::smallint[], $4, $5::text::timestamptz)
                    at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'), '-')
                """,
                [start, end, days, zone, instant],
                as: String.self
            )
            #expect(answer == closes, "window \(start)-\(end) on \(days) in \(zone) at \(instant)")
            let weekly = try await scratch.value(
                """
                select coalesce(to_char(call_window_closes_at(
                    week_of($1::text::time, $2::text::time, $3::text::smallint[]), '{}', $4, $5::text::timestamptz)
                    at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'), '-')
                """,
                [start, end, days, zone, instant],
                as: String.self
            )
            #expect(weekly == closes, "week of \(start)-\(end) on \(days) in \(zone) at \(instant)")
        }
    }

    @Test("on a blocked date nobody is claimed, queued requests are given back, and a freed date is open again")
    func blockedDates() async throws {
        try await Scratch.run { scratch in
            let store = scratch.store
            let campaign = try await Fixtures.runningCampaign(in: store, contacts: 3)
            let today = try await scratch.value("select (now() at time zone 'utc')::date::text", as: String.self)
            let queued = try await store.claim(campaign: campaign, limit: 1, leaseDuration: .seconds(60)).requests
            try await store.setBlocked(true, dates: [today, "2099-12-25", "2099-12-26"], campaign: "test")
            #expect(try await store.blockedDates(campaign: "test") == [today, "2099-12-25 to 2099-12-26"])
            let claim = try await store.claim(campaign: campaign, limit: 5, leaseDuration: .seconds(60))
            #expect(claim.requests.isEmpty)
            let verdicts = try await store.beginAttempts(
                queued.map { .init(callID: $0.callID, contactID: $0.contactID, expiresAt: $0.expiresAt) },
                dialerID: "d1",
                trunk: "default",
                margin: .seconds(10)
            )
            guard case .notAllowed("window_closed")? = verdicts.first else {
                Issue.record("\(verdicts)")
                return
            }
            try await store.setBlocked(false, dates: [today], campaign: "test")
            let again = try await store.claim(campaign: campaign, limit: 5, leaseDuration: .seconds(60))
            #expect(again.requests.count == 3)
        }
    }

    @Test("a second import adds nothing; excluded numbers and wishes are excluded from the start")
    func importTwice() async throws {
        try await Scratch.run { scratch in
            let campaign = try await scratch.store.createCampaign(CampaignSettings(name: "c", timeZone: "UTC"))
            try await scratch.store.addExclusions([Fixtures.number(3)], reason: nil, source: "manual")
            let rows = try (0..<10).map { index in
                CallStore.NewContact(
                    externalID: "tab\t\\back\nline",
                    phoneNumber: try Fixtures.number(index),
                    email: nil,
                    language: nil,
                    hasPriorConsent: false,
                    doNotCall: index == 5,
                    timeZone: nil
                )
            }
            let first = try await scratch.store.addContacts(rows + rows, campaign: campaign)
            #expect(first == CallStore.ImportCount(added: 10, excluded: 2))
            let second = try await scratch.store.addContacts(rows, campaign: campaign)
            #expect(second.added == 0)
            let text = try await scratch.value("select min(external_contact_id) from contacts", as: String.self)
            #expect(text == "tab\t\\back\nline")
        }
    }

    @Test("an exclusion withdraws what is queued, in every campaign, and is listed")
    func exclusion() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, name: "a", contacts: 2)
            _ = try await Fixtures.runningCampaign(in: scratch.store, name: "b", contacts: 2)
            let requests = try await scratch.store
                .claim(campaign: campaign, limit: 2, leaseDuration: .seconds(60)).requests
            let result = try await scratch.store.addExclusions([Fixtures.number(0)], reason: "asked", source: "manual")
            #expect(result == (1, 2))
            let verdicts = try await scratch.store.beginAttempts(
                requests.map { .init(callID: $0.callID, contactID: $0.contactID, expiresAt: $0.expiresAt) },
                dialerID: "d",
                trunk: "default",
                margin: .seconds(1)
            )
            #expect(verdicts.count { if case .created = $0 { true } else { false } } == 1)
            let number = try Fixtures.number(0)
            #expect(try await scratch.store.exclusions().map(\.phoneNumber) == [number])
            #expect(try await scratch.store.removeExclusion(number))
            #expect(try await !scratch.store.removeExclusion(number))
        }
    }

    @Test("a campaign starts only when it is complete, and says what is missing")
    func start() async throws {
        try await Scratch.run { scratch in
            _ = try await scratch.store.createCampaign(CampaignSettings(name: "c", timeZone: "UTC"))
            let error = await #expect(throws: StoreError.self) {
                try await scratch.store.perform(.start, onCampaign: "c", reason: nil, actor: "test")
            }
            for part in ["caller_id", "answer_url", "no contacts"] {
                #expect(error?.message.contains(part) == true, "\(part)")
            }
            await #expect(throws: StoreError.self) { try await scratch.store.campaign(named: "none") }
            await #expect(throws: StoreError.self) {
                try await scratch.store.createCampaign(CampaignSettings(name: "c", timeZone: "UTC"))
            }
        }
    }

    @Test("the check names each problem by its field, errors first, and none when all is well")
    func check() async throws {
        try await Scratch.run { scratch in
            let store = scratch.store
            _ = try await store.createCampaign(CampaignSettings(name: "draft", timeZone: "UTC"))
            let draft = try await store.checkCampaign(named: "draft")
            #expect(draft.filter(\.isError).map(\.field) == ["caller_id", "answer_url", "contacts"])
            _ = try await Fixtures.runningCampaign(in: store, contacts: 2) { $0.ringTimeoutSeconds = 20 }
            #expect(try await store.checkCampaign(named: "test").isEmpty)
            // Half an hour on no day of the little time that is left.
            try await scratch.execute(
                """
                update campaigns set ends_at = now() + interval '1 hour', ring_timeout_seconds = 5,
                    allowed_call_start_local = (now() at time zone 'utc' + interval '3 hours')::time(0),
                    allowed_call_end_local = (now() at time zone 'utc' + interval '4 hours')::time(0)
                where name = 'test'
                """
            )
            let problems = try await store.checkCampaign(named: "test")
            #expect(problems.filter(\.isError).map(\.field) == ["window"])
            #expect(problems.filter { !$0.isError }.map(\.field) == ["ends_at", "ring_timeout_seconds"])
            await #expect(throws: StoreError.self) { () async throws in
                _ = try await store.checkCampaign(named: "nobody")
            }
        }
    }
}
