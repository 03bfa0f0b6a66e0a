// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Postgres
import TestSupport
import Testing

/// Contacts whose numbers nobody has looked at: of the time before, or of a program of before.
@Suite(.timeLimit(.minutes(20)))
struct ZoneDerivationTests {
    @Test("contacts that were loaded without are told their zones, once, and keep their cell, region and postal code")
    func derived() async throws {
        try await Scratch.run { scratch in
            let campaign = try await ZoneEvidenceTests.campaign(
                scratch,
                postalCode: ZoneEvidenceTests.newYork,
                .country
            )
            _ = try await scratch.store.addContacts(
                try (1...5).map {
                    try ZoneEvidenceTests.contact(
                        $0,
                        own: ZoneEvidenceTests.country,
                        source: "number",
                        number: nil,
                        postalCode: nil
                    )
                },
                campaign: campaign
            )
            let before = try await scratch.value("select count(distinct stratum_id) from contacts", as: Int.self)
            #expect(before == 2)
            func derive() async throws -> Int {
                try await scratch.store.deriveZones(campaign: "test", pageSize: 2) { number, own in
                    #expect(own == ZoneEvidenceTests.country)
                    return number.e164.hasSuffix("5") ? nil : ZoneEvidenceTests.newYork
                }
            }
            #expect(try await derive() == 5)
            #expect(try await derive() == 0)
            let strata = try await scratch.client.execute(
                PostgresStatement(
                    """
                    select concat_ws('|', s.region, s.time_zone_source, s.own_zone_source, s.number_zones, s.postal_zones,
                        count(*))
                    from contacts c join campaign_strata s on s.id = c.stratum_id group by s.id order by 1
                    """,
                    prepared: false
                )
            ).map { try $0.decode(String.self, at: 0) }
            #expect(
                strata == [
                    "US|number||||1", "US|several|number|America/New_York|America/New_York|1",
                    "US|several|number|America/New_York||4",
                ]
            )
            #expect(try await Calls.claim(scratch, campaign).isEmpty)
            var changes = CallStore.CampaignChanges()
            changes.zoneEvidence = .areaCode
            try await scratch.store.change(campaign: "test", changes)
            #expect(try await Calls.claim(scratch, campaign).count == 5)
        }
    }

    @Test("contacts that a program of before loads beside get into no stratum that tells of other numbers")
    func before() async throws {
        try await Scratch.run { scratch in
            let campaign = try await ZoneEvidenceTests.campaign(scratch, number: ZoneEvidenceTests.newYork, .areaCode)
            // As the program of before put it.
            for sql in [
                """
                insert into campaign_strata (campaign_id, region, time_zone, time_zone_source, cell)
                select '\(campaign)', 'US', '\(ZoneEvidenceTests.country)', 'number', ''
                where not exists (
                    select from campaign_strata s
                    where s.campaign_id = '\(campaign)' and s.region = 'US' and s.time_zone = '\(ZoneEvidenceTests.country)'
                        and s.time_zone_source = 'number' and s.cell = '')
                on conflict do nothing
                """,
                """
                insert into contacts (campaign_id, phone_number, time_zone, stratum_id, state, next_attempt_at)
                select '\(campaign)', '+19990000001', '\(ZoneEvidenceTests.country)', s.id, 'pending', now()
                from campaign_strata s
                where s.campaign_id = '\(campaign)' and s.region = 'US' and s.time_zone = '\(ZoneEvidenceTests.country)'
                    and s.time_zone_source = 'number' and s.cell = ''
                """,
                "insert into contacts (campaign_id, phone_number, time_zone, state, next_attempt_at) "
                    + "values ('\(campaign)', '+19990000002', '\(ZoneEvidenceTests.honolulu)', 'pending', now())",
                "update contacts set time_zone = '\(ZoneEvidenceTests.honolulu)' where phone_number = '+19990000001'",
            ] { try await scratch.execute(sql) }
            #expect(try await Calls.claim(scratch, campaign).count == 1)
            let alone = try await scratch.value(
                """
                select count(*) from contacts c join campaign_strata s on s.id = c.stratum_id
                where s.number_zones = '' and s.time_zone = '\(ZoneEvidenceTests.honolulu)' and s.time_zone_source = 'file'
                """,
                as: Int.self
            )
            #expect(alone == 2)
        }
    }
}
