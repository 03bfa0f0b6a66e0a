// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Postgres

extension CallStore {
    /// Every value by which one contact is judged now, one row per campaign that it is in.
    ///
    /// `$1` number, `$2` id, `$3` campaign's name; null for any.
    static let explainContact = PostgresStatement(
        name: "explain_contact",
        """
        with hit as materialized (
            select c.id, k.id as campaign_id, k.name, k.status, k.status_reason, k.starts_at, k.ends_at, k.max_attempts,
                k.caller_id, k.answer_url, k.calling_week as week, blocked_in(k.blocked_dates, s.region) as blocked,
                k.requires_consent, k.day_parts, k.number_limits, t.paused_reason, c.state, c.do_not_call,
                c.has_prior_consent, c.consent_at, k.consent_expires, c.excluded_reason, c.attempts_count, c.next_attempt_at,
                c.call_id, c.prior_state, c.phone_number, c.day_part_attempts, \(CallStore.zonesOfContact) as zones, s.region,
                s.cell, coalesce(c.time_zone, '') as own_zones, s.own_zone_source, s.number_zones, s.postal_zones,
                s.region_zones, k.zone_evidence,
                c.last_outcome, k.outcome_maximums, s.time_zone_source, number_rests_until(c.phone_number, k.number_limits) as rests_until,
                ap.appointed_at, ap.appointed_until, ap.tries as appointment_tries, ap.try_at as appointment_try_at,
                y.rests_until as country_rests_until, y.error_code as country_error_code, u.error_code as refused_with
            from campaigns k
            left join trunks t on t.name = k.trunk
            cross join lateral (
                select * from contacts c
                where c.campaign_id = k.id and ($1::text is null or c.phone_number = $1)
                    and ($2::uuid is null or c.id = $2)) c
            join campaign_strata s on s.id = c.stratum_id
            left join appointments ap on ap.contact_id = c.id and ap.done_at is null
            left join country_rests y on y.trunk = k.trunk and y.region = s.region and y.rests_until > now()
            left join lateral (
                select case when not a.counted then a.error_code end as error_code
                from call_attempts a
                where a.phone_number = c.phone_number and a.contact_id = c.id
                order by a.started_at desc
                limit 1) u on true
            where $3::text is null or k.name = $3)
        , listed as materialized (
            select h.id, e.created_at, e.reason, e.expires_at, e.is_of_campaign
            from hit h
            cross join lateral (
                select l.created_at, l.reason, l.expires_at, false as is_of_campaign
                from exclusion_list_entries l where l.phone_number = h.phone_number
                union all
                select l.created_at, l.reason, l.expires_at, true
                from campaign_exclusions l where l.phone_number = h.phone_number and l.campaign_id = h.campaign_id) e
            where e.expires_at is null or e.expires_at > now())
        -- Where the server does not know the zone, nothing is asked of it but this: '-infinity'.
        , timed as materialized (
            select h.*, call_window_closes_at_if_known(h.week, h.blocked, h.zones, now()) as closes_at,
                l.created_at as listed_since, l.reason as list_reason, l.expires_at as listed_until,
                l.id is not null as is_listed, coalesce(l.is_of_campaign, false) as is_list_of_campaign,
                greatest(now(), h.next_attempt_at, h.rests_until, l.expires_at, h.country_rests_until,
                    case when h.status = 'scheduled' then h.starts_at end) as earliest,
                case when coalesce(h.appointment_try_at > now(), true) then
                    day_part_turn(h.day_parts, h.day_part_attempts, h.week, h.blocked, h.zones, now(),
                        coalesce(h.ends_at, 'infinity'))
                end as turn
            from hit h
            left join lateral (
                select * from listed l where l.id = h.id order by l.expires_at desc nulls first limit 1) l on true)
        select h.id, h.name, h.status, h.status_reason, h.ends_at, h.ends_at <= now() as has_ended, h.paused_reason,
            h.caller_id is not null and h.answer_url is not null as is_complete, h.state, h.do_not_call,
            h.has_prior_consent, h.consent_at, h.consent_at + h.consent_expires as consent_ends_at,
            h.consent_expires is not null as consent_ends, h.consent_at > now() + interval '1 day' as consent_lies_ahead,
            consent_holds(h.consent_at, h.consent_expires, now()) as consent_holds,
            h.requires_consent, h.excluded_reason, h.is_listed, h.listed_since, h.listed_until,
            h.list_reason, h.is_list_of_campaign, h.attempts_count::bigint as attempts_count,
            h.max_attempts::bigint as max_attempts, h.next_attempt_at, h.next_attempt_at <= now() as is_due, h.call_id,
            h.prior_state is null as is_dialed, h.zones, h.region, h.cell, h.time_zone_source as zone_source,
            h.own_zones, h.own_zone_source, h.number_zones, h.postal_zones, h.region_zones,
            h.zone_evidence,
            h.week::text as week, nullif(h.closes_at, '-infinity') as closes_at,
            case when h.closes_at is distinct from '-infinity' then (
                select string_agg(distinct to_char(now() at time zone z, 'Dy HH24:MI'), ' and ')
                from unnest(string_to_array(h.zones, ',')) as z)
            end as local_times,
            case when h.closes_at is distinct from '-infinity' then exists (
                select from unnest(string_to_array(h.zones, ',')) as z
                where h.blocked @> (now() at time zone z)::date)
            else false end as is_blocked_date,
            o.call_id as other_call_id, h.rests_until, h.number_limits::text as number_limits,
            h.day_parts::text as day_parts, h.day_part_attempts, nullif(h.turn, 'infinity') as turn, h.last_outcome,
            h.country_rests_until, h.country_error_code, h.refused_with,
            h.appointed_at, h.appointed_until, h.appointment_tries::bigint as appointment_tries, h.appointment_try_at,
            (select array_agg(m.outcome || ' ' || e.attempts || ' of ' || m.attempts order by m.outcome)
             from jsonb_each_text(h.outcome_maximums) as m (outcome, attempts)
             cross join lateral (
                select count(*) as attempts
                from call_attempts a
                where a.phone_number = h.phone_number and a.contact_id = h.id and a.counted
                    and a.outcome = m.outcome) e) as used_by_outcome,
            campaign_room(h.campaign_id) as room, q.calls as cell_room,
            case when h.closes_at is distinct from '-infinity' then (
             select n.at
             from (
                 select greatest(w.at, case when h.appointed_at is null then
                    day_part_turn(h.day_parts, h.day_part_attempts, h.week, h.blocked, h.zones, w.at,
                        coalesce(h.ends_at, 'infinity')) end) as at
                 from (select call_window_opens_at(h.week, h.blocked, h.zones, h.earliest) as at) w) n
             where (h.ends_at is null or n.at < h.ends_at) and n.at < 'infinity')
            end as next_possible
        from timed h
        left join call_attempts o on o.phone_number = h.phone_number and o.ended_at is null
        left join lateral (select r.calls from campaign_cell_room(h.campaign_id) r where r.cell = h.cell) q on true
        order by h.name
        """
    )
}
