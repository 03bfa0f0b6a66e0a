// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation
import Postgres

extension CallStore {
    /// One call as evidence: what was done, by which rules, and what speaks against it.
    public struct AuditedCall: Sendable, Codable {
        /// The call.
        public let callID: UUID
        /// Its campaign's name.
        public let campaign: String
        /// The contact.
        public let contactID: UUID
        /// The number; nil when it was erased.
        public var phoneNumber: String?
        /// Which attempt of the contact it was, from 1.
        public let attemptNumber: Int
        /// When the attempt's row was made, right before the provider was asked.
        public let startedAt: Date
        /// The same on the contact's own clock, in each zone that it may be in.
        public let localTimes: String
        /// When the call ended; nil while it is open.
        public let endedAt: Date?
        /// How it ended.
        public let outcome: String?
        /// Whether it was charged: false when the provider definitely placed nothing.
        public let isCounted: Bool
        /// The policy and its version, when there was one.
        public let policy: String?
        /// Whether consent was on record.
        public let hadConsent: Bool?
        /// The rules that it broke; empty when it kept them all.
        public let breaches: [String]
    }

    /// Judges every attempt of a period again, from the rows alone, by the rules as they were when it was made: calling
    /// window and blocked dates, limits per number, exclusions, consent, attempts, state of the campaign, and that no
    /// number had two calls at once. What changed within a second of a call is judged in its favour.
    /// - Parameters:
    ///   - start: Attempts made at or after it.
    ///   - end: Attempts made before it.
    ///   - campaign: Only those of this campaign; nil for all.
    ///   - body: Called with page after page, in the order in which the attempts were made.
    /// - Throws: `PostgresError`, and what `body` throws.
    public func audit(
        from start: Date,
        to end: Date,
        campaign: UUID?,
        _ body: ([AuditedCall]) async throws -> Void
    ) async throws {
        let repeated = try await self.client.execute(Self.repeatedCalls, [start, end])
            .map { try $0.decode(Int.self, named: "id") }
        var last: (startedAt: Date, id: Int) = (start, 0)
        while true {
            let result = try await self.client.execute(
                Self.auditPage,
                [last.startedAt, last.id, end, campaign, Self.auditPageSize, repeated]
            )
            guard result.count > 0 else { return }
            last = (
                try result[result.count - 1].decode(named: "started_at"),
                try result[result.count - 1].decode(named: "id")
            )
            try await body(try result.map(Self.auditedCall))
        }
    }

    private static let auditPageSize = 1000

    /// Attempts whose provider's call belongs to an earlier attempt as well; once for all pages, because there is no index by
    /// the provider's id. A few prove as much as many.
    private static let repeatedCalls = PostgresStatement(
        name: "repeated_calls",
        """
        select r.id
        from (
            select a.id, row_number() over (partition by a.provider_call_id order by a.id) as place
            from call_attempts a
            where a.provider_call_id is not null and a.started_at >= $1 - interval '1 day' and a.started_at < $2) r
        where r.place > 1
        limit 10000
        """
    )

    private static func auditedCall(_ row: PostgresRow) throws -> AuditedCall {
        AuditedCall(
            callID: try row.decode(named: "call_id"),
            campaign: try row.decode(named: "campaign"),
            contactID: try row.decode(named: "contact_id"),
            phoneNumber: try row.decode(named: "phone_number"),
            attemptNumber: try row.decode(named: "attempt_number"),
            startedAt: try row.decode(named: "started_at"),
            localTimes: try row.decode(named: "local_times"),
            endedAt: try row.decode(named: "ended_at"),
            outcome: try row.decode(named: "outcome"),
            isCounted: try row.decode(named: "counted"),
            policy: try row.decode(named: "policy"),
            hadConsent: try row.decode(named: "had_consent"),
            breaches: try row.decode(named: "breaches")
        )
    }

    /// `$1` and `$2` instant and id of the last attempt before, `$3` end, `$4` campaign or null, `$5` limit, `$6` attempts
    /// to calls that others have.
    private static let auditPage = PostgresStatement(
        name: "audit_page",
        """
        with page as materialized (
            select a.*
            from call_attempts a
            where (a.started_at, a.id) > ($1, $2) and a.started_at < $3 and ($4::uuid is null or a.campaign_id = $4)
            order by a.started_at, a.id
            limit $5)
        -- The rules that held within a second of the call, of which one must allow it.
        , rules as materialized (
            select r.*, lead(r.valid_from, 1, 'infinity') over (partition by r.campaign_id order by r.id) as valid_to
            from campaign_rules r
            where r.campaign_id in (select campaign_id from page))
        , calendars as materialized (
            select r.*, lead(r.valid_from, 1, 'infinity') over (partition by r.region order by r.id) as valid_to
            from region_rules r)
        , states as materialized (
            select c.*, lead(c.changed_at, 1, 'infinity') over (partition by c.campaign_id order by c.id) as valid_to
            from campaign_changes c
            where c.campaign_id in (select campaign_id from page))
        -- Those that are in force or have expired, and those that were taken off or renewed.
        , lists as materialized (
            select null::uuid as campaign_id, e.phone_number, e.created_at, e.expires_at, 'infinity'::timestamptz as removed_at
            from exclusion_list_entries e
            where e.phone_number in (select phone_number from page)
            union all
            select e.campaign_id, e.phone_number, e.created_at, e.expires_at, 'infinity'
            from campaign_exclusions e
            where e.campaign_id in (select campaign_id from page) and e.phone_number in (select phone_number from page)
            union all
            select e.campaign_id, e.phone_number, e.created_at, e.expires_at, e.removed_at
            from removed_exclusions e
            where e.phone_number in (select phone_number from page))
        select p.id, p.call_id, k.name as campaign, p.contact_id, p.phone_number,
            p.attempt_number::bigint as attempt_number, p.started_at, p.ended_at, p.outcome, p.counted, p.policy,
            p.had_consent,
            (select string_agg(
                case
                    when w.unknown is null then to_char(p.started_at at time zone z, 'Dy YYYY-MM-DD HH24:MI:SS ') || z
                    else 'unknown ' || z
                end, '; ' order by z)
             from unnest(string_to_array(w.zones, ',')) as z) as local_times,
            array_remove(array[
                case when w.unknown is not null
                    then 'the database does not know the time zone ' || w.unknown || ': its calling window cannot be judged'
                end,
                case when w.unknown is null and j.is_open is not true then 'calling window closed, or a blocked date' end,
                case when j.is_within_limits is false then 'limit per number exceeded' end,
                case when j.is_within_attempts is false then 'more attempts than allowed' end,
                case when j.is_before_end is false then 'after the campaign''s end' end,
                case when j.has_consent is false then 'no consent on record' end,
                case when j.has_consent is not false and j.has_valid_consent is false
                    then 'consent had expired, or had no date' end,
                case when not exists (
                    select from states s
                    where s.campaign_id = p.campaign_id and s.status = 'running'
                        and s.changed_at <= p.started_at + interval '1 second'
                        and s.valid_to >= p.started_at - interval '1 second')
                    then 'campaign was not running' end,
                case when c.do_not_call and coalesce(c.do_not_call_at, '-infinity') < p.started_at - interval '1 second'
                    or exists (
                    select from lists l
                    where l.phone_number = p.phone_number
                        and (l.campaign_id is null or l.campaign_id = p.campaign_id)
                        and l.created_at < p.started_at - interval '1 second'
                        and (l.expires_at is null or l.expires_at > p.started_at) and l.removed_at > p.started_at)
                    then 'number was excluded' end,
                case when exists (
                    select from call_attempts o
                    where o.phone_number = p.phone_number and o.id <> p.id and o.started_at <= p.started_at
                        and o.started_at > p.started_at - interval '2 days'
                        and (o.ended_at is null or o.ended_at > p.started_at + interval '2 seconds'))
                    then 'another call to the number was open' end,
                case when p.id = any ($6::bigint[])
                    then 'the provider''s call belongs to two attempts' end
            ], null) as breaches
        from page p
        join campaigns k on k.id = p.campaign_id
        left join contacts c on c.id = p.contact_id
        left join campaign_strata s on s.id = c.stratum_id
        -- By the evidence that suffices now, for the words; judged is by what sufficed then.
        cross join lateral (
            select o.zones, unknown_zones(
                concat_ws(',', o.zones, nullif(s.number_zones, ''), nullif(s.postal_zones, ''),
                    nullif(s.region_zones, ''))) as unknown
            from (select \(CallStore.zonesOfStratum) as zones offset 0) o
            offset 0) w
        left join lateral (
            select bool_or(case when w.unknown is null then call_window_closes_at(
                    r.calling_week, r.blocked_dates + g.blocked_dates,
                    coalesce(nullif(counting_zones(s.time_zone, s.own_zone_source, s.number_zones, s.postal_zones,
                        s.region_zones, r.zone_evidence), ''), k.time_zone), p.started_at) is not null end) as is_open,
                bool_or(p.phone_number is null or r.number_limits = '[]' or not p.counted
                    or number_rested_until(p.phone_number, r.number_limits, p.started_at) is null) as is_within_limits,
                bool_or(p.attempt_number <= r.max_attempts) as is_within_attempts,
                bool_or(r.ends_at is null or r.ends_at > p.started_at) as is_before_end,
                bool_or(not r.requires_consent or p.had_consent is not false) as has_consent,
                bool_or(not r.requires_consent
                    or consent_holds(p.consent_at, r.consent_expires, p.started_at - interval '1 second'))
                    as has_valid_consent
            from rules r
            cross join lateral (
                select d.blocked_dates
                from calendars d
                where d.region = s.region and d.valid_from <= p.started_at + interval '1 second'
                    and d.valid_to >= p.started_at - interval '1 second'
                union all
                select '{}'
                where not exists (
                    select from calendars d
                    where d.region = s.region and d.valid_from <= p.started_at - interval '1 second')) g
            where r.campaign_id = p.campaign_id and r.valid_from <= p.started_at + interval '1 second'
                and r.valid_to >= p.started_at - interval '1 second') j on true
        order by p.started_at, p.id
        """
    )
}
