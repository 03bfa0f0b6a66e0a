// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
import Foundation
import Postgres

extension CallStore {
    /// Tells the zones of a campaign's contacts by their number's prefix, of those for whom nobody has done so: they were
    /// loaded by a program that did not, or before somebody has changed their zone. It may be interrupted, and run again.
    /// - Parameters:
    ///   - name: The campaign's name.
    ///   - pageSize: Contacts at once.
    ///   - zones: Tells the zones of a number beside those that the contact has otherwise; nil when its prefix says nothing.
    /// - Returns: Of how many contacts they are told now.
    /// - Throws: ``StoreError`` when there is no such campaign; `PostgresError`.
    public func deriveZones(
        campaign name: String,
        pageSize: Int = 2000,
        _ zones: (PhoneNumber, String?) -> String?
    ) async throws -> Int {
        let campaign = try await self.campaign(named: name).id
        var told = 0
        var last = ""
        while true {
            let rows = try await self.client.execute(Self.contactsWithoutEvidence, [campaign, last, pageSize])
            guard rows.count > 0 else { return told }
            last = try rows[rows.count - 1].decode(named: "phone_number")
            var ids: [UUID] = []
            var names: [String] = []
            for row in try rows.map({ $0 }) {
                let number = try PhoneNumber(row.decode(named: "phone_number"))
                guard try row.decode(Bool.self, named: "lacks_evidence"),
                    let zones = zones(number, try row.decode(named: "time_zone"))
                else { continue }
                ids.append(try row.decode(named: "id"))
                names.append(zones)
            }
            guard !ids.isEmpty else { continue }
            let (page, pageNames) = (ids, names)
            told += try await self.bearingDeadlocks {
                try await self.client.withTransaction { connection in
                    try await connection.execute(Self.addDerivedStrata, [page, pageNames])
                    return try await connection.execute(Self.moveToDerivedStrata, [page, pageNames]).affectedRows
                }
            }
        }
    }

    /// By the unique index of a campaign's contacts; those that have been told are passed over.
    private static let contactsWithoutEvidence = PostgresStatement(
        """
        select c.id, c.phone_number, c.time_zone, s.number_zones = '' as lacks_evidence
        from contacts c
        join campaign_strata s on s.id = c.stratum_id
        where c.campaign_id = $1 and c.phone_number > $2
        order by c.phone_number
        limit $3
        """,
        prepared: false
    )

    private static let addDerivedStrata = PostgresStatement(
        """
        insert into campaign_strata (
            campaign_id, region, time_zone, time_zone_source, own_zone_source, number_zones, postal_zones,
            region_zones, cell)
        select distinct s.campaign_id, s.region, s.time_zone, 'several',
            case when s.own_zone_source = '' then s.time_zone_source else s.own_zone_source end, t.zones, s.postal_zones,
            s.region_zones, s.cell
        from unnest($1::uuid[], $2::text[]) as t (id, zones)
        join contacts c on c.id = t.id
        join campaign_strata s on s.id = c.stratum_id
        where s.number_zones = ''
        order by 1, 2, 3, 4, 5, 6, 7, 8, 9
        on conflict do nothing
        """,
        prepared: false
    )

    /// Contacts whose stratum has changed meanwhile stay: their zone is another, and another time will do.
    private static let moveToDerivedStrata = PostgresStatement(
        """
        with locked as materialized (
            select c.id, c.stratum_id from contacts c where c.id = any ($1::uuid[]) order by c.id for no key update)
        update contacts c
        set stratum_id = n.id
        from locked l
        join unnest($1::uuid[], $2::text[]) as t (id, zones) on t.id = l.id
        join campaign_strata s on s.id = l.stratum_id and s.number_zones = ''
        join campaign_strata n on n.campaign_id = s.campaign_id and n.region = s.region and n.time_zone = s.time_zone
            and n.time_zone_source = 'several'
            and n.own_zone_source = case when s.own_zone_source = '' then s.time_zone_source else s.own_zone_source end
            and n.number_zones = t.zones and n.postal_zones = s.postal_zones
            and n.region_zones = s.region_zones and n.cell = s.cell
        where c.id = l.id
        """,
        prepared: false
    )
}
