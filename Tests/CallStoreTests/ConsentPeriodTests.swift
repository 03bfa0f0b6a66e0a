// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import TestSupport
import Testing

/// Consent that ends by itself: its date decides, at the import, the claim, the dial and in the audit.
@Suite(.timeLimit(.minutes(20)))
struct ConsentPeriodTests {
    /// A day so many days from now, as a file has it.
    private static func day(_ days: Int) -> String {
        String(Date().addingTimeInterval(86_400 * Double(days)).formatted(.iso8601).prefix(10))
    }

    private static func row(_ index: Int, _ day: String?, source: String? = nil, proof: String? = nil) throws
        -> CallStore.NewContact
    {
        CallStore.NewContact(
            externalID: nil,
            phoneNumber: try Fixtures.number(index),
            email: nil,
            language: nil,
            hasPriorConsent: true,
            doNotCall: false,
            timeZone: nil,
            consent: try ConsentRecord(givenAt: day, source: source, proof: proof)
        )
    }

    /// A running campaign whose first contact has consent of today, under a policy that lets it end after two years.
    private static func campaign(_ scratch: Scratch) async throws -> UUID {
        let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1) { $0.requiresConsent = true }
        try await scratch.execute("update contacts set consent_at = now()")
        try await scratch.execute("update campaigns set consent_expires = 'P2Y'")
        return campaign
    }

    private static func states(_ scratch: Scratch) async throws -> [String] {
        try await scratch.value(
            """
            select array_agg(concat_ws('|', state, has_prior_consent, coalesce(excluded_reason, '-')) order by phone_number)
            from contacts
            """,
            as: [String].self
        )
    }

    @Test("an import takes out whose consent has no date, is too old, or lies ahead; nobody where consent does not end")
    func imports() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Self.campaign(scratch)
            let rows = [
                try Self.row(1, Self.day(-700)), try Self.row(2, Self.day(-740)), try Self.row(3, nil),
                // The day has begun somewhere already.
                try Self.row(4, Self.day(0)), try Self.row(5, Self.day(3)),
            ]
            let count = try await scratch.store.addContacts(rows, campaign: campaign)
            #expect(count.added == 5 && count.excluded == 3 && count.withdrawn == 0)
            #expect(
                try await Self.states(scratch) == [
                    "pending|t|-", "pending|t|-", "excluded|t|no consent", "excluded|t|no consent", "pending|t|-",
                    "excluded|t|no consent",
                ]
            )
            var settings = CampaignSettings(name: "other", timeZone: "UTC")
            settings.requiresConsent = true
            let other = try await scratch.store.createCampaign(settings)
            #expect(try await scratch.store.addContacts(rows, campaign: other).excluded == 0)
        }
    }

    @Test(
        "consent that ends while a contact waits keeps it from being claimed, and while it is queued from being called"
    )
    func claimAndDial() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Self.campaign(scratch)
            _ = try await scratch.store.addContacts(
                [try Self.row(1, Self.day(-10)), try Self.row(2, Self.day(-10)), try Self.row(3, Self.day(-10))],
                campaign: campaign
            )
            let (waiting, queued) = (try Fixtures.number(1).e164, try Fixtures.number(2).e164)
            let age = "update contacts set consent_at = now() - interval '2 years 1 minute' where phone_number = $1"
            try await scratch.execute(age, [waiting])
            let requests = try await Calls.claim(scratch, campaign)
            #expect(requests.count == 3)
            try await scratch.execute(age, [queued])
            #expect(try await Calls.begin(scratch, requests).count == 2)
            #expect(
                try await Self.states(scratch).filter { $0.hasPrefix("excluded") }
                    == ["excluded|t|no consent", "excluded|t|no consent"]
            )
            let dates = try await scratch.value(
                "select count(*) from call_attempts a join contacts c on c.id = a.contact_id where a.consent_at = c.consent_at",
                as: Int.self
            )
            #expect(dates == 2)
        }
    }

    @Test(
        "consent given again brings a contact back; one that is too old already does not; what is known of it is kept"
    )
    func givenAgain() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Self.campaign(scratch)
            _ = try await scratch.store.addContacts([try Self.row(1, Self.day(-900))], campaign: campaign)
            let number = try Fixtures.number(1)
            let old = try ConsentRecord(givenAt: Self.day(-800))
            #expect(try await scratch.store.setConsent(true, record: old, number: number, campaign: nil) == 1)
            #expect(try await Self.states(scratch)[1] == "excluded|t|no consent")
            let new = try ConsentRecord(givenAt: Self.day(-1), source: "letter", proof: "box 7")
            #expect(try await scratch.store.setConsent(true, record: new, number: number, campaign: nil) == 1)
            #expect(try await Self.states(scratch)[1] == "pending|t|-")
            let known = try await scratch.value(
                """
                select concat_ws('|', consent_at::date = current_date - 1, consent_source, consent_proof)
                from contacts where phone_number = $1
                """,
                [number.e164],
                as: String.self
            )
            #expect(known == "t|letter|box 7")
            // Without a date it is given now.
            #expect(try await scratch.store.setConsent(true, number: number, campaign: nil) == 1)
            #expect(
                try await scratch.value(
                    "select consent_at > now() - interval '1 minute' from contacts where phone_number = $1",
                    [number.e164],
                    as: Bool.self
                )
            )
        }
    }

    @Test(
        "of what was said by number and what the file says, the later consent counts",
        arguments: [(-800, -10, "file"), (-10, -800, "number"), (-10, nil, "number")] as [(Int, Int?, String)]
    )
    func later(number: Int, file: Int?, winner: String) async throws {
        try await Scratch.run { scratch in
            let campaign = try await Self.campaign(scratch)
            let said = try ConsentRecord(givenAt: Self.day(number), source: "number")
            _ = try await scratch.store.setConsent(true, record: said, number: try Fixtures.number(1), campaign: nil)
            let row = try Self.row(1, file.map(Self.day), source: "file")
            _ = try await scratch.store.addContacts([row], campaign: campaign)
            let source = try await scratch.value(
                "select consent_source from contacts where phone_number = $1",
                [try Fixtures.number(1).e164],
                as: String.self
            )
            #expect(source == winner)
            #expect(try await Self.states(scratch)[1] == "pending|t|-")
        }
    }

    @Test("check counts whom it keeps out, and why says since when")
    func words() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Self.campaign(scratch)
            _ = try await scratch.store.addContacts(
                [try Self.row(1, Self.day(-740)), try Self.row(2, nil), try Self.row(3, Self.day(-5))],
                campaign: campaign
            )
            let policy = try await scratch.store.policy(named: "es")
            try await scratch.store.perform(.pause, onCampaign: "test", reason: nil, actor: "test")
            try await scratch.store.apply(policy, toCampaign: "test")
            let problems = try await scratch.store.checkCampaign(named: "test")
            #expect(
                problems.contains { $0.field == "consent_expires" && $0.problem.contains("2 contacts") && !$0.isError },
                "\(problems)"
            )
            #expect(!problems.contains { $0.field == "requires_consent" })
            #expect(problems.contains { $0.field == "disclosure" && $0.problem.contains("voz artificial") })
            for (index, passed, words) in [
                (1, false, "ended"), (2, false, "without a date"), (3, true, "until"),
            ] {
                let explained = try await scratch.store.explainContacts(
                    phoneNumber: try Fixtures.number(index),
                    id: nil,
                    campaign: nil
                )
                let rule = try #require(explained.first?.rules.first { $0.rule == "consent" })
                #expect(rule.passed == passed && rule.detail.contains(words), "\(rule)")
            }
        }
    }

    @Test("the audit finds a call under consent that had ended or had no date, by the rules as they were")
    func audit() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Self.campaign(scratch)
            #expect(try await Calls.callAll(scratch, campaign, .busy) == 1)
            for sql in [
                "update call_attempts set started_at = now() - interval '10 minutes', ended_at = now() - interval '9 minutes'",
                "update campaign_rules set valid_from = valid_from - interval '1 hour'",
                "update campaign_changes set changed_at = changed_at - interval '1 hour'",
            ] { try await scratch.execute(sql) }
            func breaches() async throws -> [String] {
                var found: [String] = []
                try await scratch.store.audit(from: .distantPast, to: .distantFuture, campaign: nil) { calls in
                    found += calls.flatMap(\.breaches)
                }
                return found
            }
            #expect(try await breaches().isEmpty)
            for date in ["null", "now() - interval '2 years 1 hour'"] {
                try await scratch.execute("update call_attempts set consent_at = \(date)")
                #expect(try await breaches() == ["consent had expired, or had no date"])
            }
            // The rule is gone now, and was there then.
            try await scratch.execute("update campaigns set consent_expires = null")
            #expect(try await breaches() == ["consent had expired, or had no date"])
            #expect(
                try await scratch.value("select count(*) from campaign_rules", as: Int.self)
                    == scratch.value("select 1 + count(distinct consent_expires) + 1 from campaign_rules", as: Int.self)
            )
        }
    }

    @Test("a policy brings its period and takes it away with it")
    func policy() async throws {
        try await Scratch.run { scratch async throws in
            let store = scratch.store
            _ = try await store.createCampaign(CampaignSettings(name: "c", timeZone: "Europe/Madrid"))
            try await store.apply(try await store.policy(named: "es"), toCampaign: "c")
            #expect(try await store.effectiveRules(campaign: "c").consentPeriod?.description == "2 years")
            let period = "select coalesce(consent_expires::text, '-') from campaigns"
            #expect(try await scratch.value(period, as: String.self) == "2 years")
            try await store.apply(try await store.policy(named: "us"), toCampaign: "c")
            #expect(try await scratch.value(period, as: String.self) == "-")
        }
    }

    @Test("an export has consent with its date, source and proof; who is forgotten leaves neither source nor proof")
    func exportAndErasure() async throws {
        try await Scratch.run { scratch async throws in
            let campaign = try await Self.campaign(scratch)
            let row = try Self.row(1, "2026-03-04", source: "web form", proof: "form 12")
            _ = try await scratch.store.addContacts([row], campaign: campaign)
            var exported: [[String]] = []
            try await scratch.store.export(.contacts, campaign: campaign) { exported += $0 }
            let columns = CallStore.Export.contacts.columns
            let values = try ["consent_at", "consent_source", "consent_proof"].map { name in
                exported[1][try #require(columns.firstIndex(of: name))]
            }
            #expect(values == ["2026-03-04T00:00:00.000Z", "web form", "form 12"])
            #expect(try ConsentRecord(givenAt: values[0]).givenAt != nil)
            let key = SuppressionKey(secret: "sixteen bytes, at least")
            _ = try await scratch.store.erase(try Fixtures.number(1), key: key)
            let left = try await scratch.value(
                "select count(*) from contacts where consent_source is not null or consent_proof is not null",
                as: Int.self
            )
            #expect(left == 0)
        }
    }
}
