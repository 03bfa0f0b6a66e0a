// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
import Postgres

extension CallStore {
    /// In which zones contacts without a zone of their own are called, by what suffices to tell where they are.
    public struct ZoneFacts: Sendable {
        /// Contacts that are alike, and whose story is not over.
        public struct Group: Sendable {
            /// The zones of which all must be open, by each level; a list with commas.
            public let zones: [ZoneEvidenceLevel: String]
            /// How many they are.
            public let count: Int
        }

        /// What suffices in the campaign.
        public let level: ZoneEvidenceLevel
        /// The weakest that its policy allows.
        public let weakestAllowed: ZoneEvidenceLevel
        /// The campaign's windows.
        public let week: CallingWeek
        /// Its contacts without a zone of their own.
        public let groups: [Group]
    }

    /// Reads what the choice of evidence costs; every contact of the campaign once.
    /// - Parameter name: The campaign.
    /// - Returns: The facts.
    /// - Throws: ``StoreError`` when there is no such campaign; `PostgresError`.
    public func zoneFacts(campaign name: String) async throws -> ZoneFacts {
        let rows = try await self.client.execute(Self.selectZoneFacts, [name])
        guard let first = rows.first else { throw Self.noCampaign(name) }
        var groups: [ZoneFacts.Group] = []
        for row in try rows.map({ $0 }) {
            guard let count = try row.decode(Int?.self, named: "contacts") else { continue }
            groups.append(
                ZoneFacts.Group(
                    zones: [
                        .country: try row.decode(named: "by_country"), .areaCode: try row.decode(named: "by_area_code"),
                        .postalCode: try row.decode(named: "by_postal_code"),
                    ],
                    count: count
                )
            )
        }
        return ZoneFacts(
            level: try Self.zoneEvidence(first.decode(named: "zone_evidence")),
            weakestAllowed: try Self.zoneEvidence(first.decode(named: "policy_zone_evidence")),
            week: try CallingWeek(multirange: first.decode(named: "week")),
            groups: groups
        )
    }

    private static func zones(by evidence: String) -> String {
        """
        coalesce(nullif(counting_zones(s.time_zone, s.own_zone_source, s.number_zones, s.postal_zones, s.region_zones,
            '\(evidence)'), ''),
            k.time_zone)
        """
    }

    private static let selectZoneFacts = PostgresStatement(
        """
        select k.zone_evidence, k.policy_zone_evidence, k.calling_week::text as week, g.by_country, g.by_area_code,
            g.by_postal_code, g.contacts
        from campaigns k
        left join lateral (
            select s.by_country, s.by_area_code, s.by_postal_code, count(*) as contacts
            from (
                select s.id, \(CallStore.zones(by: "country")) as by_country,
                    \(CallStore.zones(by: "area-code")) as by_area_code,
                    \(CallStore.zones(by: "postal-code")) as by_postal_code
                from campaign_strata s
                where s.campaign_id = k.id and 'file' not in (s.time_zone_source, s.own_zone_source)
                offset 0) s
            join contacts c on c.stratum_id = s.id and c.campaign_id = k.id
                and (c.state = 'in_progress' or c.state in ('pending', 'not_reached') and c.next_attempt_at is not null)
            group by s.by_country, s.by_area_code, s.by_postal_code) g on true
        where k.name = $1
        """,
        prepared: false
    )
}
