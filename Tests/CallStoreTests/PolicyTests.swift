// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(20)))
struct PolicyTests {
    /// An instant, and what the cited text says of it.
    struct Case: Sendable, CustomTestStringConvertible {
        let policy: String
        let citation: String
        let zone: String
        /// Local time, as in the text.
        let local: String
        let isAllowed: Bool

        var testDescription: String {
            "\(self.policy) \(self.isAllowed ? "allows" : "forbids") \(self.local): \(self.citation)"
        }
    }

    private static func cases(
        _ policy: String,
        _ zone: String,
        _ rows: [(citation: String, allowed: [String], forbidden: [String])]
    ) -> [Case] {
        rows.flatMap { row in
            row.allowed.map { Case(policy: policy, citation: row.citation, zone: zone, local: $0, isAllowed: true) }
                + row.forbidden.map {
                    Case(policy: policy, citation: row.citation, zone: zone, local: $0, isAllowed: false)
                }
        }
    }

    // 2026-11-23 is a Monday.
    private static let instants: [Case] =
        Self.cases(
            "us",
            "America/New_York",
            [
                (
                    "47 CFR 64.1200(c)(1): not before 8 a.m. or after 9 p.m.",
                    ["2026-11-23 08:00", "2026-11-23 20:59:59", "2026-11-29 12:00"],
                    ["2026-11-23 07:59:59", "2026-11-23 21:00", "2026-11-29 21:30"]
                ),
                (
                    "5 U.S.C. 6103: Independence Day 2026, a Saturday, is observed on Friday", ["2026-07-06 12:00"],
                    ["2026-07-03 12:00", "2026-07-04 12:00"]
                ),
                ("5 U.S.C. 6103: Thanksgiving Day", ["2026-11-27 12:00"], ["2026-11-26 12:00"]),
            ]
        )
        + Self.cases(
            "us-strict",
            "America/Chicago",
            [
                ("Kentucky: not before 10 a.m.", ["2026-11-23 10:00"], ["2026-11-23 09:59"]),
                (
                    "Rhode Island, § 5-61-2: 9 a.m. to 6 p.m. on weekdays", ["2026-11-23 17:59:59"],
                    ["2026-11-23 18:00", "2026-11-27 19:00"]
                ),
                (
                    "Rhode Island, § 5-61-2: 10 a.m. to 5 p.m. on Saturdays", ["2026-11-28 10:00", "2026-11-28 16:59"],
                    ["2026-11-28 09:59", "2026-11-28 17:00"]
                ),
                (
                    "Rhode Island, § 5-61-2: neither on Sundays nor on holidays", [],
                    ["2026-11-29 12:00", "2026-11-26 12:00", "2026-12-25 12:00"]
                ),
                ("Alabama: not on Sundays", ["2026-11-28 12:00"], ["2026-11-29 12:00"]),
            ]
        )
        + Self.cases(
            "ca",
            "America/Toronto",
            [
                (
                    "CRTC: 9:00 a.m. to 9:30 p.m. on weekdays", ["2026-11-23 09:00", "2026-11-27 21:29"],
                    ["2026-11-23 08:59", "2026-11-27 21:30"]
                ),
                (
                    "CRTC: 10:00 a.m. to 6:00 p.m. on weekends", ["2026-11-28 10:00", "2026-11-29 17:59"],
                    ["2026-11-28 09:59", "2026-11-29 18:00"]
                ),
            ]
        )
        + Self.cases(
            "gb",
            "Europe/London",
            [
                (
                    "MRS Code: not before 9 a.m. from Monday to Saturday, or after 9 p.m. on any day",
                    ["2026-11-23 09:00", "2026-11-28 20:59"], ["2026-11-23 08:59", "2026-11-28 21:00"]
                ),
                ("MRS Code: not before 10 a.m. on Sundays", ["2026-11-29 10:00"], ["2026-11-29 09:59"]),
                (
                    "gov.uk/bank-holidays: Boxing Day 2026, a Saturday, is made up on Monday, 28 December",
                    ["2026-12-29 12:00"], ["2026-12-26 12:00", "2026-12-28 12:00"]
                ),
            ]
        )
        + Self.cases(
            "fr",
            "Europe/Paris",
            [
                (
                    "D. 223-9: de 10 heures à 13 heures et de 14 heures à 20 heures",
                    ["2026-11-23 10:00", "2026-11-23 12:59:59", "2026-11-23 14:00", "2026-11-23 19:59"],
                    ["2026-11-23 09:59", "2026-11-23 13:00", "2026-11-23 13:59:59", "2026-11-23 20:00"]
                ),
                (
                    "D. 223-9: du lundi au vendredi", ["2026-11-27 15:00"],
                    ["2026-11-28 15:00", "2026-11-29 15:00"]
                ),
                (
                    "D. 223-9: sauf lorsque ces jours sont fériés", ["2026-05-15 15:00"],
                    ["2026-05-14 15:00", "2026-07-14 15:00", "2026-11-11 15:00", "2028-06-05 15:00"]
                ),
            ]
        )
        + Self.cases(
            "fr",
            "America/Martinique",
            [
                (
                    "D. 223-9: ces heures correspondant à celles du fuseau horaire du consommateur",
                    ["2026-11-23 10:00"], ["2026-11-23 13:30"]
                )
            ]
        )
        + Self.cases(
            "it",
            "Europe/Rome",
            [
                (
                    "Codice: dalle 9 alle 20 nei giorni feriali", ["2026-11-23 09:00", "2026-11-23 19:59"],
                    ["2026-11-23 08:59", "2026-11-23 20:00"]
                ),
                (
                    "Codice: dalle 10 alle 19 il sabato", ["2026-11-28 10:00", "2026-11-28 18:59"],
                    ["2026-11-28 09:59", "2026-11-28 19:00"]
                ),
                (
                    "Codice: mai la domenica e i giorni festivi", ["2026-12-09 12:00"],
                    ["2026-11-29 12:00", "2026-12-08 12:00", "2027-10-04 12:00"]
                ),
                (
                    "Codice: dalle 10 alle 19 nei prefestivi, blocked wholly here", [],
                    ["2026-12-07 09:30", "2026-12-07 19:30", "2026-12-24 12:00"]
                ),
            ]
        )
        + Self.cases(
            "de",
            "Europe/Berlin",
            [
                (
                    "ADM: von Montag bis Freitag zwischen 9 und 21 Uhr", ["2026-11-23 09:00", "2026-11-23 20:59"],
                    ["2026-11-23 08:59", "2026-11-23 21:00"]
                ),
                (
                    "ADM: an Samstagen zwischen 10 und 20 Uhr", ["2026-11-28 10:00", "2026-11-28 19:59"],
                    ["2026-11-28 09:59", "2026-11-28 20:00"]
                ),
                (
                    "ADM: Sonntage und gesetzliche Feiertage nur bei methodischer Notwendigkeit", [],
                    ["2026-11-29 12:00", "2026-12-25 12:00", "2027-05-06 12:00"]
                ),
            ]
        )
        + Self.cases(
            "au",
            "Australia/Sydney",
            [
                (
                    "Standard 2017: research calls on weekdays between 9 am and 8:30 pm",
                    ["2026-11-23 09:00", "2026-11-23 20:29"], ["2026-11-23 08:59", "2026-11-23 20:30"]
                ),
                (
                    "Standard 2017: research calls on Saturdays and Sundays between 9 am and 5 pm",
                    ["2026-11-28 09:00", "2026-11-29 16:59"], ["2026-11-28 17:00", "2026-11-29 08:59"]
                ),
                (
                    "Standard 2017: not on national public holidays", ["2026-01-27 12:00"],
                    ["2026-01-26 12:00", "2026-04-25 12:00", "2027-04-26 12:00", "2027-12-28 12:00"]
                ),
            ]
        )
        + Self.cases(
            "fr-research",
            "Europe/Paris",
            [
                (
                    "the decree's hours, while the profession's are not known",
                    ["2026-11-23 10:00", "2026-11-23 12:59", "2026-11-23 14:00", "2026-11-23 19:59"],
                    [
                        "2026-11-23 09:59", "2026-11-23 13:30", "2026-11-23 20:00", "2026-11-28 15:00",
                        "2026-07-14 15:00",
                    ]
                )
            ]
        )
        + Self.cases(
            "it-research",
            "Europe/Rome",
            [
                (
                    "the telemarketing code's hours, while there are none for research",
                    ["2026-11-23 09:00", "2026-11-28 18:59"],
                    ["2026-11-23 20:00", "2026-11-28 09:59", "2026-11-29 12:00", "2026-12-08 12:00"]
                )
            ]
        )
        + Self.cases(
            "es",
            "Europe/Madrid",
            [
                (
                    "RDL 1/2007, art. 96.2: ni antes de las 9 horas ni más tarde de las 21 horas",
                    ["2026-11-23 09:00", "2026-11-27 20:59:59"], ["2026-11-23 08:59", "2026-11-27 21:00"]
                ),
                (
                    "RDL 1/2007, art. 96.2: ni festivos o fines de semana", ["2026-11-03 12:00"],
                    [
                        "2026-11-28 12:00", "2026-11-29 12:00", "2026-10-12 12:00", "2026-11-02 12:00",
                        "2026-12-07 12:00", "2027-03-26 12:00",
                    ]
                ),
            ]
        )
        + Self.cases(
            "es",
            "Atlantic/Canary",
            [("RDL 1/2007, art. 96.2, an hour behind", ["2026-11-23 20:30"], ["2026-11-23 08:30"])]
        )
        + Self.cases(
            "pt",
            "Europe/Lisbon",
            [
                (
                    "DL 134/2009, art. 7.º: nunca antes das 9 horas nem depois das 22 horas",
                    ["2026-11-23 09:00", "2026-11-23 21:59"], ["2026-11-23 08:59", "2026-11-23 22:00"]
                ),
                (
                    "DL 134/2009, art. 7.º: períodos de descanso em uso", ["2026-12-02 12:00"],
                    ["2026-11-28 12:00", "2026-11-29 12:00", "2026-12-01 12:00", "2026-06-04 12:00"]
                ),
            ]
        )
        + Self.cases(
            "br",
            "America/Sao_Paulo",
            [
                (
                    "Rio de Janeiro, Lei 7853: de segunda a sexta, das 8h às 18h",
                    ["2026-11-23 08:00", "2026-11-27 17:59"],
                    ["2026-11-23 07:59", "2026-11-23 18:00", "2026-11-28 12:00", "2026-11-29 12:00"]
                ),
                (
                    "Rio de Janeiro, Lei 7853: not on holidays", ["2026-11-19 12:00"],
                    ["2026-11-20 12:00", "2026-11-02 12:00", "2027-03-26 12:00"]
                ),
            ]
        )
        + Self.cases(
            "in",
            "Asia/Kolkata",
            [
                (
                    "TCCCPR 2018: 10 a.m. to 9 p.m.", ["2026-11-23 10:00", "2026-11-29 20:59"],
                    ["2026-11-23 09:59", "2026-11-29 21:00"]
                )
            ]
        )
        + Self.cases(
            "cautious",
            "Africa/Nairobi",
            [
                (
                    "the strictest of the others", ["2026-11-23 10:00", "2026-11-23 14:00", "2026-11-23 17:59"],
                    [
                        "2026-11-23 09:59", "2026-11-23 13:30", "2026-11-23 18:00", "2026-11-28 12:00",
                        "2026-12-07 12:00", "2026-07-03 12:00", "2026-11-11 12:00",
                    ]
                )
            ]
        )

    @Test("the window function allows and forbids what the cited texts do")
    func shipped() async throws {
        let policies = Dictionary(uniqueKeysWithValues: try CallStore.shippedPolicies().map { ($0.name, $0) })
        #expect(Set(Self.instants.map(\.policy)) == Set(policies.keys))
        try await Scratch.run { scratch in
            for one in Self.instants {
                let policy = try #require(policies[one.policy])
                let isOpen = try await scratch.value(
                    """
                    select call_window_closes_at($1::text::int4multirange, (
                        select coalesce(range_agg(daterange(d, d + 1)), '{}') from unnest($2::text[]::date[]) as d),
                        $3, $4::text::timestamp at time zone $3) is not null
                    """,
                    [policy.week.multirange, policy.blockedDates, one.zone, one.local],
                    as: Bool.self
                )
                #expect(isOpen == one.isAllowed, "\(one.testDescription)")
            }
        }
    }

    private static func settings(_ name: String, _ change: (inout CampaignSettings) -> Void = { _ in })
        -> CampaignSettings
    {
        var settings = CampaignSettings(name: name, timeZone: "Europe/Paris")
        change(&settings)
        return settings
    }

    private static func document(_ policy: Policy, version: String, _ replaced: String = "", _ by: String = "") throws
        -> Policy
    {
        try Policy.parse(
            policy.document.replacing("\"version\": \"\(policy.version)\"", with: "\"version\": \"\(version)\"")
                .replacing(replaced.isEmpty ? "\u{0}" : replaced, with: by)
        )
    }

    @Test("a campaign created under a policy is as strict as both")
    func create() async throws {
        try await Scratch.run { scratch async throws in
            let policy = try await scratch.store.policy(named: "gb")
            let own = [try NumberLimit(attemptsPer: "3/24h")]
            _ = try await scratch.store.createCampaign(
                Self.settings("c") {
                    $0.window = nil
                    $0.callDays = [1, 7]
                    $0.maximumAttempts = 15
                    $0.ringTimeoutSeconds = 5
                    $0.numberLimits = own
                },
                policy: policy
            )
            let rules = try await scratch.store.effectiveRules(campaign: "c")
            #expect(rules.policy == policy.label)
            #expect(rules.week.description == "Mon 09:00-21:00; Sun 10:00-21:00")
            #expect(!rules.requiresConsent)
            let campaign = try await scratch.store.campaign(named: "c").settings
            #expect(campaign.maximumAttempts == 8)
            #expect(campaign.ringTimeoutSeconds == 15)
            #expect(campaign.numberLimits == own + policy.limits)
            #expect(try await scratch.store.blockedDates(campaign: "c").contains("2026-12-28"))
        }
    }

    @Test("a policy that leaves nothing of the windows is refused, and no campaign is left behind")
    func nothingLeft() async throws {
        try await Scratch.run { scratch async throws in
            let policy = try await scratch.store.policy(named: "fr")
            let error = await #expect(throws: StoreError.self) {
                try await scratch.store.createCampaign(
                    Self.settings("c") { $0.callDays = [6, 7] },
                    policy: policy
                )
            }
            #expect(error?.code == .notAllowed)
            #expect(try await scratch.store.campaigns().isEmpty)
        }
    }

    @Test("another policy takes the former one's windows, limits and dates back, and leaves the campaign's own")
    func change() async throws {
        try await Scratch.run { scratch async throws in
            let store = scratch.store
            let own = [try NumberLimit(attemptsPer: "3/24h")]
            _ = try await store.createCampaign(Self.settings("c") { $0.numberLimits = own })
            try await store.setBlocked(true, dates: ["2026-12-24", "2026-12-25"], campaign: "c")
            let french = try await store.policy(named: "fr")
            try await store.apply(french, toCampaign: "c")
            #expect(try await store.campaign(named: "c").settings.numberLimits == own + french.limits)
            #expect(try await store.blockedDates(campaign: "c").contains("2026-07-14"))
            #expect(try await store.effectiveRules(campaign: "c").requiresConsent)
            let american = try await store.policy(named: "us-strict")
            try await store.apply(american, toCampaign: "c")
            // 3 per 24 h is in both.
            #expect(try await store.campaign(named: "c").settings.numberLimits == own + [american.limits[1]])
            let blocked = try await store.blockedDates(campaign: "c")
            #expect(!blocked.contains("2026-07-14"))
            #expect(blocked.contains("2026-07-03 to 2026-07-04"))
            #expect(blocked.contains("2026-12-24 to 2026-12-25"))
            // The policy's date stays when the campaign's own is freed.
            #expect(try await store.setBlocked(false, dates: ["2026-12-24", "2026-12-25"], campaign: "c") == 1)
            #expect(try await store.blockedDates(campaign: "c").contains("2026-12-25"))
        }
    }

    @Test("dates blocked by the program of the version before outlive a new policy, before it and under it")
    func formerProgram() async throws {
        try await Scratch.run { scratch async throws in
            let store = scratch.store
            func block(_ range: String) async throws {
                try await scratch.execute(
                    "update campaigns set blocked_dates = blocked_dates + $1::text::datemultirange",
                    [range]
                )
            }
            _ = try await store.createCampaign(Self.settings("c"))
            // A French holiday as well: it stays when the French policy goes.
            try await block("{[2026-07-14,2026-07-15)}")
            try await store.apply(try await store.policy(named: "fr"), toCampaign: "c")
            try await block("{[2026-12-24,2026-12-25)}")
            try await store.apply(try await store.policy(named: "us"), toCampaign: "c")
            let blocked = try await store.blockedDates(campaign: "c")
            #expect(blocked.contains("2026-07-14"))
            #expect(blocked.contains("2026-12-24 to 2026-12-25"))
            #expect(!blocked.contains("2026-05-14"))
        }
    }

    @Test("a running campaign keeps its policy, and a version never changes its content")
    func refusals() async throws {
        try await Scratch.run { scratch async throws in
            let store = scratch.store
            _ = try await Fixtures.runningCampaign(in: store, contacts: 1)
            let policy = try await store.policy(named: "us")
            let running = await #expect(throws: StoreError.self) { try await store.apply(policy, toCampaign: "test") }
            #expect(running?.message.contains("is running") == true)
            _ = try await store.createCampaign(Self.settings("c"), policy: policy)
            let edited = try Self.document(policy, version: policy.version, "\"21:00\"", "\"22:00\"")
            let refused = await #expect(throws: StoreError.self) { try await store.apply(edited, toCampaign: "c") }
            #expect(refused?.message.contains("give the document a new version") == true)
            await #expect(throws: PostgresError.self) { try await scratch.execute("delete from policies") }
            await #expect(throws: PostgresError.self) {
                try await scratch.execute("update policies set version = '2030-01-01'")
            }
        }
    }

    @Test("a name stands for its newest version, shipped or one's own")
    func newest() async throws {
        try await Scratch.run { scratch async throws in
            let store = scratch.store
            let shipped = try await store.policy(named: "us")
            let newer = try Self.document(shipped, version: shipped.version + ".2", "\"21:00\"", "\"20:00\"")
            _ = try await store.createCampaign(Self.settings("c"), policy: newer)
            #expect(try await store.policy(named: "us").label == newer.label)
            let entries = try await store.policies().filter { $0.policy.name == "us" }
            #expect(entries.map(\.policy.version) == [newer.version, shipped.version])
            #expect(entries.map(\.campaigns) == [1, 0])
            let missing = await #expect(throws: StoreError.self) { try await store.policy(named: "nix") }
            #expect(missing?.code == .notFound)
        }
    }

    @Test("an attempt keeps the version of the policy under which it was made")
    func attempts() async throws {
        try await Scratch.run { scratch async throws in
            let store = scratch.store
            let policy = try Policy.parse(
                try await store.policy(named: "us").document
                    .replacing(#""from": "08:00", "to": "21:00""#, with: #""from": "00:00", "to": "12:00""#)
                    .replacing(
                        #""windows": ["#,
                        with: #"""
                            "windows": [{"days": "1-7", "from": "12:00", "to": "00:00", "source": "s",
                            "as_of": "2026-11-24", "confidence": "primary"},
                            """#
                    )
                    .replacing(#""name": "us""#, with: #""name": "any-time""#)
                    // The days on which this test runs must not matter.
                    .replacing(/"date": "20\d\d/, with: #""date": "2001"#)
            )
            let plain = try await Fixtures.runningCampaign(in: store, name: "plain", contacts: 1)
            let ruled = try await Fixtures.runningCampaign(in: store, name: "ruled", contacts: 1, first: 5)
            try await store.perform(.pause, onCampaign: "ruled", reason: nil, actor: "test")
            try await store.apply(policy, toCampaign: "ruled")
            try await store.perform(.resume, onCampaign: "ruled", reason: nil, actor: "test")
            for campaign in [plain, ruled] {
                let requests = try await store.claim(campaign: campaign, limit: 5, leaseDuration: .seconds(60)).requests
                #expect(requests.count == 1)
                _ = try await store.beginAttempts(
                    requests.map { .init(callID: $0.callID, contactID: $0.contactID, expiresAt: $0.expiresAt) },
                    dialerID: "d1",
                    trunk: "default",
                    margin: .seconds(10)
                )
            }
            let policies = try await scratch.value(
                "select array_agg(coalesce(policy, '-') order by id) from call_attempts",
                as: [String].self
            )
            #expect(policies == ["-", policy.label])
        }
    }
}
