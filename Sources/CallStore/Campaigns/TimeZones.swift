// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Postgres

extension CallStore {
    /// What a database lacks that contacts need.
    public struct DatabaseLacks: Sendable, Equatable {
        /// Zones of contacts and campaigns that are not over, which the database does not know.
        public let timeZones: [String]
        /// The database's encoding when it is not UTF-8: it cannot hold all names.
        public let encoding: String?

        /// What to tell people, one sentence each.
        public var words: [String] {
            var words: [String] = []
            if !self.timeZones.isEmpty {
                let names = self.timeZones.prefix(5).joined(separator: ", ")
                words.append(
                    "the database does not know the time zones \(names)\(self.timeZones.count > 5 ? ", …" : ""), which "
                        + "contacts or campaigns have, and calls nobody there: install its system's tzdata-legacy or a "
                        + "newer tzdata, and restart it"
                )
            }
            if let encoding = self.encoding {
                words.append(
                    "the database's encoding is \(encoding), not UTF8: names that it cannot hold are refused; create it with "
                        + "encoding 'UTF8' template template0"
                )
            }
            return words
        }
    }

    /// The zone names that the database knows and that tell a place's time wherever they are read.
    /// - Throws: `PostgresError`.
    public func timeZones() async throws -> Set<String> {
        Set(try await self.client.execute(Self.selectTimeZones).map { try $0.decode(named: "name") })
    }

    /// Asks what the database lacks; its schema must be there.
    /// - Throws: `PostgresError`.
    public func databaseLacks() async throws -> DatabaseLacks {
        let rows = try await self.client.execute(Self.selectLacks)
        let encoding = try rows.first?.decode(String.self, named: "encoding")
        return DatabaseLacks(
            timeZones: try rows.map { try $0.decode(String?.self, named: "name") }.compactMap(\.self),
            encoding: encoding == "UTF8" ? nil : encoding
        )
    }

    /// SQL for the zones of which all must be open for a contact, by the evidence that its campaign accepts.
    /// - Parameters:
    ///   - own: The zones that it has from its file, or by its country; empty for none.
    ///   - stratum: What has its stratum's columns.
    ///   - campaign: What has its campaign's columns.
    /// - Returns: An expression.
    static func countingZones(_ own: String, _ stratum: String = "s", _ campaign: String = "k") -> String {
        """
        coalesce(nullif(counting_zones(\(own), \(stratum).own_zone_source, \(stratum).number_zones,
            \(stratum).postal_zones, \(stratum).region_zones, \(campaign).zone_evidence), ''), \(campaign).time_zone)
        """
    }

    /// The level that a campaign has stored.
    static func zoneEvidence(_ text: String) throws -> ZoneEvidenceLevel {
        guard let level = ZoneEvidenceLevel(rawValue: text) else {
            throw StoreError(code: .schemaMismatch, message: "zone evidence '\(text)' is unknown here")
        }
        return level
    }

    /// The same for a contact `c` in the stratum `s` of the campaign `k`.
    static let zonesOfContact = CallStore.countingZones("coalesce(c.time_zone, '')")
    /// The same for all contacts of the stratum `s` of the campaign `k`.
    static let zonesOfStratum = CallStore.countingZones("s.time_zone")

    /// `localtime` and `posixrules` are whatever the server's administrator has chosen, `Factory` that nobody has.
    private static let selectTimeZones = PostgresStatement(
        name: "select_time_zones",
        """
        select name from pg_timezone_names
        where name not like 'posix/%' and name not like 'right/%'
            and name not in ('localtime', 'Factory', 'posixrules', 'leapseconds', 'posix', 'right')
        """
    )

    private static let selectLacks = PostgresStatement(
        """
        with used as (
            select distinct unnest(string_to_array(u.zones, ',')) as name
            from (
                select k.time_zone as zones from campaigns k where k.status not in ('completed', 'cancelled')
                union
                select concat_ws(',', nullif(s.time_zone, ''), nullif(s.number_zones, ''),
                    nullif(s.postal_zones, ''), nullif(s.region_zones, ''))
                from campaign_strata s
                join campaigns k on k.id = s.campaign_id
                where k.status not in ('completed', 'cancelled')) as u),
        unknown as (
            select name from used
            where name <> '' and unknown_zones(name) is not null)
        select current_setting('server_encoding') as encoding, u.name
        from (select 1) as one
        left join unknown u on true
        order by u.name
        """,
        prepared: false
    )
}
