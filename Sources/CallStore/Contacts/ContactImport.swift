// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
public import Foundation
import Postgres

extension CallStore {
    /// What an import of contacts brought.
    public struct ImportCount: Sendable, Equatable {
        /// New contacts.
        public var added = 0
        /// Of these, excluded from the start: on the exclusion list or marked do-not-call.
        public var excluded = 0
        /// Contacts that were there, and are marked do-not-call by these rows.
        public var barred = 0
        /// Contacts whose consent these rows have withdrawn, or that have none because it was withdrawn before.
        public var withdrawn = 0
        /// Appointments that were made.
        public var appointed = 0
        /// Appointments that could not be: past, or of contacts that are called no more.
        public var notAppointed = 0

        /// Creates a count.
        public init(added: Int = 0, excluded: Int = 0, barred: Int = 0, withdrawn: Int = 0) {
            self.added = added
            self.excluded = excluded
            self.barred = barred
            self.withdrawn = withdrawn
        }
    }

    /// Adds contacts to a campaign in one transaction. A number that the campaign has already is left as it is, but for what
    /// is stricter: do-not-call, and consent that is not given.
    /// - Parameters:
    ///   - contacts: The contacts.
    ///   - campaign: The campaign.
    ///   - key: By which persons who were forgotten are recognised, and left out.
    /// - Returns: What it brought.
    /// - Throws: ``StoreError`` with code `notAllowed` when persons were forgotten and there is no key; `PostgresError`.
    public func addContacts(
        _ contacts: [NewContact],
        campaign: UUID,
        key: SuppressionKey? = nil
    ) async throws -> ImportCount {
        guard !contacts.isEmpty else { return ImportCount() }
        return try await self.client.withTransaction { connection in
            try await connection.execute(Self.lockPersonsForImport)
            let staged = StagedContacts(contacts)
            try await Self.copy(staged, connection)
            var suppressed = SuppressedNumbers(key: key, digests: [])
            try await Self.dropSuppressed(staged, &suppressed, connection)
            let count = try await Self.insertStaged(campaign, staged, of: staged.count, by: nil, connection)
            try await connection.execute(Self.dropStaging)
            return count
        }
    }

    static func copy(_ contacts: StagedContacts, _ connection: PostgresConnection) async throws {
        try await connection.execute(Self.createStaging)
        _ = try await connection.copyIn(Self.copyStaging) { try await $0.write(contacts.bytes) }
    }

    /// Adds what is staged, so many rows of an import, and lets it make stricter what is there.
    /// - Returns: What it brought.
    /// - Throws: `PostgresError`.
    static func insertStaged(
        _ campaign: UUID,
        _ contacts: StagedContacts,
        of rows: Int,
        by importID: UUID?,
        _ connection: PostgresConnection
    ) async throws -> ImportCount {
        try await connection.execute(Self.addZones, [campaign])
        try await connection.execute(Self.addStrata, [campaign])
        let row = try await connection.execute(Self.insertContacts, [campaign, importID]).first
        var count = ImportCount(
            added: try row?.decode(named: "added") ?? 0,
            excluded: try row?.decode(named: "excluded") ?? 0,
            withdrawn: try row?.decode(named: "withdrawn") ?? 0
        )
        if count.added < rows {
            // A statement of its own: it sees the rows for which the insertion has waited.
            let stricter = try await connection.execute(Self.makeStricter, [campaign]).first
            count.barred = try stricter?.decode(named: "barred") ?? 0
            count.withdrawn += try stricter?.decode(named: "withdrawn") ?? 0
        }
        if contacts.haveAppointments {
            let made = try await connection.execute(Self.appointStaged, [campaign]).first
            count.appointed = try made?.decode(named: "appointed") ?? 0
            count.notAppointed = try made?.decode(named: "others") ?? 0
        }
        return count
    }

    private static let createStaging = PostgresStatement(
        """
        create temporary table import_rows (
            id uuid, external_contact_id text, phone_number text, email text, preferred_language text,
            has_prior_consent boolean, do_not_call boolean, time_zone text, time_zone_source text, own_zone_source text,
            number_zones text, postal_zones text, region_zones text, region text, cell text, appointment_at text,
            appointment_until text, consent_at timestamptz, consent_source text, consent_proof text
        ) on commit drop
        """,
        prepared: false
    )

    private static let copyStaging = """
        copy import_rows (id, external_contact_id, phone_number, email, preferred_language, has_prior_consent, do_not_call,
            time_zone, time_zone_source, own_zone_source, number_zones, postal_zones, region_zones, region, cell,
            appointment_at, appointment_until, consent_at, consent_source, consent_proof)
        from stdin
        """

    static let dropStaging = PostgresStatement("drop table import_rows", prepared: false)

    private static let addZones = PostgresStatement(
        """
        insert into campaign_time_zones (campaign_id, time_zone)
        select distinct $1::uuid, coalesce(time_zone, '') from import_rows
        order by 2
        on conflict do nothing
        """,
        prepared: false
    )

    private static let addStrata = PostgresStatement(
        """
        insert into campaign_strata (
            campaign_id, region, time_zone, time_zone_source, own_zone_source, number_zones, postal_zones, region_zones,
            cell)
        select $1::uuid, n.region, n.time_zone, n.source, n.own_zone_source, n.number_zones, n.postal_zones,
            n.region_zones, n.cell
        from (
            select distinct coalesce(region, '') as region, coalesce(time_zone, '') as time_zone,
                coalesce(time_zone_source, case when time_zone is null then 'campaign' else 'file' end) as source,
                own_zone_source, number_zones, postal_zones, region_zones, coalesce(cell, '') as cell
            from import_rows) n
        -- A conflict would use up a number each time.
        where not exists (
            select from campaign_strata s
            where s.campaign_id = $1::uuid and s.region = n.region and s.time_zone = n.time_zone
                and s.time_zone_source = n.source and s.own_zone_source = n.own_zone_source
                and s.number_zones = n.number_zones and s.postal_zones = n.postal_zones
                and s.region_zones = n.region_zones and s.cell = n.cell)
        order by 2, 3, 4, 5, 6, 7, 8, 9
        on conflict do nothing
        """,
        prepared: false
    )

    private static let insertContacts = PostgresStatement(
        """
        -- What was said about consent by number counts for more than a file; the stricter word of the two, when both speak.
        with said as materialized (
            select r.id, r.has_prior_consent is not false
                    and coalesce(w.is_given, r.has_prior_consent, false) as has_consent,
                -- The later of two that were given.
                case when f.is_said then r.consent_at else coalesce(w.given_at, w.recorded_at) end as consent_at,
                case when f.is_said then r.consent_source else w.source end as consent_source,
                case when f.is_said then r.consent_proof else w.proof end as consent_proof
            from import_rows r
            left join consents s on s.phone_number = r.phone_number and s.campaign_id = $1::uuid
            left join consents a on a.phone_number = r.phone_number and a.campaign_id is null
            cross join lateral (
                select (coalesce(s, a)).is_given, (coalesce(s, a)).given_at, (coalesce(s, a)).recorded_at,
                    (coalesce(s, a)).source, (coalesce(s, a)).proof) w
            cross join lateral (
                select w.is_given is not true
                    or coalesce(r.has_prior_consent and r.consent_at > coalesce(w.given_at, w.recorded_at), false)
                    as is_said) f)
        , added as (
            insert into contacts (
                id, campaign_id, external_contact_id, phone_number, email, preferred_language, has_prior_consent,
                do_not_call, time_zone, stratum_id, state, next_attempt_at, excluded_reason, import_id, consent_at,
                consent_source, consent_proof)
            select r.id, $1::uuid, r.external_contact_id, r.phone_number, r.email, r.preferred_language,
                w.has_consent, r.do_not_call, r.time_zone, s.id,
                case when x.reason is null then 'pending' else 'excluded' end,
                -- Those that are excluded for a while rest until then.
                case when x.reason is null then greatest(now(), e.expires_at, o.expires_at) end,
                x.reason, $2::uuid, case when w.has_consent then w.consent_at end,
                case when w.has_consent then w.consent_source end, case when w.has_consent then w.consent_proof end
            from import_rows r
            join said w on w.id = r.id
            join campaign_strata s on s.campaign_id = $1::uuid and s.region = coalesce(r.region, '')
                and s.time_zone = coalesce(r.time_zone, '')
                and s.time_zone_source
                    = coalesce(r.time_zone_source, case when r.time_zone is null then 'campaign' else 'file' end)
                and s.own_zone_source = r.own_zone_source and s.number_zones = r.number_zones
                and s.postal_zones = r.postal_zones and s.region_zones = r.region_zones and s.cell = coalesce(r.cell, '')
            join campaigns k on k.id = $1::uuid
            left join exclusion_list_entries e
                on e.phone_number = r.phone_number and (e.expires_at is null or e.expires_at > now())
            left join campaign_exclusions o
                on o.campaign_id = $1::uuid and o.phone_number = r.phone_number
                    and (o.expires_at is null or o.expires_at > now())
            cross join lateral (
                select case
                    when r.do_not_call then 'do_not_call'
                    when e.phone_number is not null and e.expires_at is null
                        or o.phone_number is not null and o.expires_at is null
                        then 'exclusion list'
                    when k.requires_consent
                        and not (w.has_consent and consent_holds(w.consent_at, k.consent_expires, now()))
                        then 'no consent'
                end as reason) x
            on conflict (campaign_id, phone_number) do nothing
            returning id, state)
        select count(*) as added, count(*) filter (where a.state = 'excluded') as excluded,
            count(*) filter (where a.id in (
                select w.id from said w join import_rows r on r.id = w.id where r.has_prior_consent and not w.has_consent)) as withdrawn
        from added a
        """,
        prepared: false
    )
}
