// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import Postgres
import TestSupport
import Testing

/// What suffices to tell where somebody is, at every place that judges the window.
@Suite(.timeLimit(.minutes(20)))
struct ZoneEvidenceTests {
    static let country = "America/New_York,Pacific/Honolulu"

    /// A campaign whose window is open in New York now and closed in Honolulu, with one contact.
    static func campaign(
        _ scratch: Scratch,
        own: String? = ZoneEvidenceTests.country,
        source: String? = "number",
        number: String? = nil,
        postalCode: String? = nil,
        _ level: ZoneEvidenceLevel
    ) async throws -> UUID {
        let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1) {
            $0.zoneEvidence = level
            $0.timeZone = "America/New_York"
        }
        try await scratch.execute("delete from contacts")
        try await scratch.execute(
            """
            update campaigns
            set allowed_call_start_local = date_trunc('minute', now() at time zone time_zone - interval '1 hour')::time,
                allowed_call_end_local = date_trunc('minute', now() at time zone time_zone + interval '1 hour')::time
            """
        )
        _ = try await scratch.store.addContacts(
            [Self.contact(0, own: own, source: source, number: number, postalCode: postalCode)],
            campaign: campaign
        )
        return campaign
    }

    static func contact(
        _ index: Int,
        own: String?,
        source: String?,
        number: String?,
        postalCode: String?
    ) throws -> CallStore.NewContact {
        CallStore.NewContact(
            externalID: nil,
            phoneNumber: try Fixtures.number(index),
            email: nil,
            language: nil,
            hasPriorConsent: true,
            doNotCall: false,
            timeZone: own,
            timeZoneSource: source,
            numberZones: number,
            postalZones: postalCode,
            region: "US"
        )
    }

    private static func window(_ scratch: Scratch) async throws -> (isOpen: Bool, words: String) {
        let found = try await scratch.store.explainContacts(
            phoneNumber: try Fixtures.number(0),
            id: nil,
            campaign: nil
        )
        let rule = try #require(found.first?.rules.first { $0.rule == "window open" })
        return (rule.passed, rule.detail)
    }

    /// What is known of a contact, by which level it may be called now, and what `why` says then.
    struct Case: Sendable, CustomTestStringConvertible {
        var own: String? = ZoneEvidenceTests.country
        var source: String? = "number"
        var number: String?
        var postalCode: String?
        /// By country, by area code, by postal code.
        let isOpen: [Bool]
        let words: [String]
        var testDescription: String { "\(self.source ?? "–") \(self.number ?? "–") \(self.postalCode ?? "–")" }
    }

    static let newYork = "America/New_York"
    static let honolulu = "Pacific/Honolulu"
    private static let byCountry = "by the country of its number; it must be open in all of them"

    @Test(
        "what suffices decides at the claim, the dial, for what rings, in why, the funnel, the check and the forecast",
        arguments: [
            Case(isOpen: [false, false, false], words: [Self.byCountry, Self.byCountry, Self.byCountry]),
            Case(
                number: Self.newYork,
                isOpen: [false, true, true],
                words: [Self.byCountry, "by its number's prefix", "by its number's prefix"]
            ),
            Case(
                postalCode: Self.newYork,
                isOpen: [false, false, true],
                words: [Self.byCountry, Self.byCountry, "by its postal code"]
            ),
            Case(
                number: Self.newYork,
                postalCode: Self.newYork,
                isOpen: [false, true, true],
                words: [Self.byCountry, "by its number's prefix", "by its number's prefix and by its postal code"]
            ),
            // The two disagree: open in both, also where the postal code alone would not suffice.
            Case(
                number: Self.newYork,
                postalCode: Self.honolulu,
                isOpen: [false, false, false],
                words: [Self.byCountry, "since sources disagree", "since sources disagree"]
            ),
            Case(
                number: Self.country,
                postalCode: Self.newYork,
                isOpen: [false, false, true],
                words: [Self.byCountry, "by its number's prefix; it must", "by its postal code"]
            ),
            // A zone of the file's own, which the number contradicts.
            Case(
                own: Self.newYork,
                source: "file",
                number: Self.honolulu,
                isOpen: [true, false, false],
                words: ["from its file", "since sources disagree", "since sources disagree"]
            ),
            Case(
                own: Self.newYork,
                source: "file",
                number: Self.country,
                isOpen: [true, true, true],
                words: ["from its file", "from its file", "from its file"]
            ),
            // The file names another country than the number's.
            Case(
                own: Self.honolulu,
                number: Self.newYork,
                isOpen: [false, false, false],
                words: ["by the country of its number", "since sources disagree", "since sources disagree"]
            ),
            Case(
                own: nil,
                source: nil,
                number: Self.honolulu,
                isOpen: [true, false, false],
                words: ["the campaign's", "by its number's prefix", "by its number's prefix"]
            ),
        ]
    )
    func everywhere(given: Case) async throws {
        try await Scratch.run { scratch in
            for (index, level) in ZoneEvidenceLevel.allCases.enumerated() {
                for table in ["contacts", "campaigns"] { try await scratch.execute("delete from \(table)") }
                let campaign = try await Self.campaign(
                    scratch,
                    own: given.own,
                    source: given.source,
                    number: given.number,
                    postalCode: given.postalCode,
                    level
                )
                let isOpen = given.isOpen[index]
                let why = try await Self.window(scratch)
                #expect(why.isOpen == isOpen, "\(level): \(why.words)")
                #expect(why.words.contains(given.words[index]), "\(level): \(why.words)")
                let funnel = try await scratch.store.explainCampaign(named: "test")
                #expect(funnel.callable == (isOpen ? 1 : 0) && funnel.windowClosed == (isOpen ? 0 : 1), "\(level)")
                #expect(try await scratch.store.campaignsWithWork().contains { $0.hasWork } == isOpen, "\(level)")
                let groups = try await scratch.store.forecastFacts(campaign: "test").groups
                #expect(groups.first.map { $0.zones.contains(Self.honolulu) } == !isOpen, "\(groups)")
                #expect(try await Calls.claim(scratch, campaign).count == (isOpen ? 1 : 0), "\(level)")
            }
        }
    }

    @Test("evidence that suffices no more stops what is claimed, and what rings")
    func stricter() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Self.campaign(scratch, number: Self.newYork, .areaCode)
            let claimed = try await Calls.claim(scratch, campaign)
            #expect(claimed.count == 1)
            var changes = CallStore.CampaignChanges()
            changes.zoneEvidence = .country
            try await scratch.store.change(campaign: "test", changes)
            let verdicts = try await Calls.verdicts(scratch, claimed)
            #expect("\(verdicts)".contains("window_closed") || "\(verdicts)".contains("windowClosed"), "\(verdicts)")
            changes.zoneEvidence = .areaCode
            try await scratch.store.change(campaign: "test", changes)
            let ringing = try await Calls.begin(scratch, try await Calls.claim(scratch, campaign))
            #expect(ringing.count == 1)
            try await scratch.store.markPlaced([(ringing[0], "CA1", "queued")])
            #expect(try await scratch.store.callsToCancel(among: ringing).isEmpty)
            changes.zoneEvidence = .country
            try await scratch.store.change(campaign: "test", changes)
            #expect(try await scratch.store.callsToCancel(among: ringing) == ringing)
        }
    }

    @Test("an audit judges by what sufficed when the call was made")
    func audit() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Self.campaign(scratch, number: Self.newYork, .areaCode)
            #expect(try await Calls.callAll(scratch, campaign, .busy) == 1)
            for sql in [
                "update call_attempts set started_at = started_at - interval '10 minutes'",
                "update campaign_rules set valid_from = valid_from - interval '1 hour'",
                "update campaign_changes set changed_at = changed_at - interval '1 hour'",
            ] { try await scratch.execute(sql) }
            func breaches() async throws -> [String] {
                var breaches: [String] = []
                try await scratch.store.audit(from: .distantPast, to: .distantFuture, campaign: nil) {
                    breaches += $0.flatMap(\.breaches)
                }
                return breaches
            }
            var changes = CallStore.CampaignChanges()
            changes.zoneEvidence = .country
            try await scratch.store.change(campaign: "test", changes)
            #expect(try await breaches().isEmpty)
            try await scratch.execute("update campaign_rules set zone_evidence = 'country'")
            #expect(try await breaches() == ["calling window closed, or a blocked date"])
        }
    }

    @Test("a policy can forbid the weaker: campaigns that have it become stricter, and it cannot be chosen any more")
    func policy() async throws {
        try await Scratch.run { scratch in
            _ = try await Self.campaign(scratch, number: Self.newYork, .areaCode)
            let us = try #require(try CallStore.shippedPolicies().first { $0.name == "us" }).document
            let evidence = #"{"value": "country", "source": "s", "as_of": "2026-11-28", "confidence": "unverified"}"#
            let strict = try Policy.parse(
                us.replacing("\"name\": \"us\"", with: "\"name\": \"house\", \"zone_evidence\": \(evidence)")
            )
            try await scratch.execute("update campaigns set status = 'paused', weekly_windows = '{[0,10080)}'")
            try await scratch.store.apply(strict, toCampaign: "test")
            #expect(try await scratch.store.campaign(named: "test").settings.zoneEvidence == .country)
            var changes = CallStore.CampaignChanges()
            for level in [ZoneEvidenceLevel.areaCode, .postalCode] {
                changes.zoneEvidence = level
                let error = await #expect(throws: StoreError.self) {
                    try await scratch.store.change(campaign: "test", changes)
                }
                #expect(error?.code == .notAllowed && error?.message.contains(level.rawValue) == true)
            }
            changes.zoneEvidence = .country
            try await scratch.store.change(campaign: "test", changes)
        }
    }
}
