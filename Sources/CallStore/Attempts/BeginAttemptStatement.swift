// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Postgres

extension CallStore {
    /// Why a call is not allowed at the second check: all words that the statement has for it.
    public static let reasonsNotToCall = [
        "excluded", "no_consent", "excluded_for_now", "campaign_not_running", "campaign_ended", "trunk_paused",
        "attempts_used_up", "window_closed", "country_rests", "number_rests", "not_its_day_part", "request_expired",
        "campaign_incomplete", "cell_quota_reached", "calls_at_once", "calls_per_hour", "quota_reached", "number_busy",
    ]

    /// The second check, in the statement that creates the attempt.
    ///
    /// `$1` call ids, `$2` contact ids, `$3` expiries, `$4` dialer, `$5` trunk, `$6` margin in seconds.
    static let beginAttempt = PostgresStatement(
        name: "begin_attempt",
        """
        with request as materialized (
            select r.call_id, r.contact_id, r.expires_at, r.place
            from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) with ordinality
                as r (call_id, contact_id, expires_at, place))
        -- Ordered, so that two batches with contacts in common wait for each other instead of dead-locking.
        , claim as materialized (
            select c.id, c.call_id, c.campaign_id, c.phone_number, c.attempts_count, c.time_zone, c.do_not_call,
                c.state, c.prior_state, c.has_prior_consent, c.consent_at, c.stratum_id, c.day_part_attempts
            from contacts c
            where c.id = any ($2::uuid[])
            order by c.id
            for no key update of c)
        -- In the order of the numbers, for the same reason.
        , limited as materialized (
            select o.id, number_rests_until_in_turn(o.phone_number, o.number_limits) as rests_until
            from (
                select c.id, c.phone_number, k.number_limits
                from request r
                join claim c on c.id = r.contact_id and c.call_id = r.call_id and c.prior_state is not null
                join campaigns k on k.id = c.campaign_id and k.number_limits <> '[]'
                order by c.phone_number
                offset 0) as o)
        , located as materialized (
            select c.id, c.campaign_id, s.region, s.cell, \(CallStore.zonesOfContact) as zones
            from claim c
            join campaigns k on k.id = c.campaign_id
            join campaign_strata s on s.id = c.stratum_id)
        -- A batch's contacts live in few places: the window is asked once for each.
        , place as materialized (
            select d.campaign_id, d.region, d.zones, b.blocked,
                call_window_closes_at_if_known(k.calling_week, b.blocked, d.zones, now()) as closes_at,
                country_rests_until($5, d.region) as country_rests_until
            from (select distinct l.campaign_id, l.region, l.zones from located l) d
            join campaigns k on k.id = d.campaign_id
            cross join lateral (select blocked_in(k.blocked_dates, d.region) as blocked offset 0) b)
        , asked as materialized (
            select r.call_id, r.contact_id, r.place, c.campaign_id, s.cell, c.phone_number, c.attempts_count, k.caller_id,
                k.answer_url, k.ring_timeout_seconds, k.max_call_seconds, k.detects_machines, w.day_part,
                c.has_prior_consent, c.consent_at, k.policy_name || '@' || k.policy_version as policy,
                greatest(l.rests_until, w.turn, x.excluded_until, w.country_rests_until) as rests_until,
                case when x.excluded_until = 'infinity' then 'exclusion list'
                    when c.do_not_call then 'do_not_call' else 'no consent' end as excluded_reason,
                case
                    when c.call_id is distinct from r.call_id then 'stale'
                    when c.prior_state is null then 'exists'
                    when c.do_not_call or x.excluded_until = 'infinity' then 'excluded'
                    when k.requires_consent
                        and not (c.has_prior_consent and consent_holds(c.consent_at, k.consent_expires, now()))
                        then 'no_consent'
                    when x.excluded_until is not null then 'excluded_for_now'
                    when k.status <> 'running' then 'campaign_not_running'
                    when k.ends_at <= now() then 'campaign_ended'
                    when exists (select from trunks t where t.name = $5 and t.paused_at is not null)
                        then 'trunk_paused'
                    when c.attempts_count >= k.max_attempts then 'attempts_used_up'
                    -- A second is for the way to the provider.
                    when coalesce(w.closes_at < now() + interval '1 second', true) then 'window_closed'
                    when w.country_rests_until is not null then 'country_rests'
                    when l.rests_until is not null then 'number_rests'
                    when w.turn is not null then 'not_its_day_part'
                    when r.expires_at <= now() then 'request_expired'
                    when k.caller_id is null or k.answer_url is null then 'campaign_incomplete'
                    else 'allowed'
                end as answer
            from request r
            left join claim c on c.id = r.contact_id
            left join campaigns k on k.id = c.campaign_id
            left join located s on s.id = c.id
            left join limited l on l.id = c.id
            left join lateral (select \(CallStore.excludedUntil("c.phone_number", "k.id")) as excluded_until) x on true
            left join lateral (
                select p.closes_at, p.country_rests_until,
                    case when k.day_parts <> '[]' and p.closes_at > now() then day_part_at(
                        k.day_parts, p.zones, now()) end as day_part,
                    case when k.day_parts <> '[]' and not \(CallStore.hasAppointmentNow("c.id")) then day_part_turn(
                        k.day_parts, c.day_part_attempts, k.calling_week, p.blocked, p.zones, now(),
                        coalesce(k.ends_at, 'infinity')) end as turn
                from place p
                where p.campaign_id = k.id and p.region = s.region and p.zones = s.zones
                ) w on true)
        -- The rules that look at other calls, last: only what may be called otherwise takes a place. The locks come in the
        -- order of the campaigns, and after all others.
        , room as materialized (
            select o.campaign_id, r.calls_at_once, r.calls_per_hour, r.completes, r.cells
            from (
                select distinct a.campaign_id from asked a where a.answer = 'allowed' order by a.campaign_id offset 0) o
            cross join lateral campaign_room_in_turn(o.campaign_id) r)
        , judged as materialized (
            select a.*,
                case
                    when a.answer <> 'allowed' then a.answer
                    when w.is_beyond_cell then 'cell_quota_reached'
                    when w.turn > w.calls_at_once then 'calls_at_once'
                    when w.turn > w.calls_per_hour then 'calls_per_hour'
                    when w.turn > w.completes then 'quota_reached'
                    else 'allowed'
                end as verdict
            from asked a
            left join (
                select q.*,
                    row_number() over (partition by q.campaign_id, q.is_beyond_cell order by q.place) as turn
                from (
                    select a.place, r.*,
                        coalesce(
                            row_number() over (partition by a.campaign_id, a.cell order by a.place)
                                > (r.cells ->> a.cell)::bigint,
                            false) as is_beyond_cell
                    from asked a
                    join room r on r.campaign_id = a.campaign_id
                    where a.answer = 'allowed') q) w on w.place = a.place)
        , inserted as (
            insert into call_attempts (
                call_id, contact_id, campaign_id, attempt_number, phone_number, dialer_id, status, deadline_at,
                day_part, had_consent, consent_at, policy)
            select j.call_id, j.contact_id, j.campaign_id, j.attempts_count + 1, j.phone_number, $4, 'placing',
                now() + make_interval(secs => j.ring_timeout_seconds + j.max_call_seconds + $6),
                j.day_part, j.has_prior_consent, j.consent_at, j.policy
            from judged j
            where j.verdict = 'allowed'
            order by j.phone_number
            on conflict do nothing
            returning call_id, contact_id, deadline_at, day_part)
        , charged as (
            update contacts c
            set attempts_count = c.attempts_count + 1, last_attempt_at = now(), prior_state = null,
                day_part_attempts = case
                    when i.day_part is null then c.day_part_attempts
                    else count_day_part(c.day_part_attempts, i.day_part, 1)
                end
            from inserted i
            where c.id = i.contact_id)
        -- The number is being called already, for another campaign or a duplicate: come back in a minute.
        , busy as (
            update contacts c
            set \(CallStore.claimGivenBack),
                next_attempt_at = now() + interval '1 minute'
            where c.id = any (array(
                select j.contact_id from judged j
                where j.verdict = 'allowed' and j.call_id not in (select i.call_id from inserted i))))
        , given_back as (
            update contacts c
            set \(CallStore.claimGivenBack)
            where c.id = any (array(
                select j.contact_id from judged j
                where j.verdict not in (
                    'allowed', 'stale', 'exists', 'excluded', 'no_consent', 'attempts_used_up', 'number_rests',
                    'excluded_for_now', 'not_its_day_part', 'country_rests'))))
        , resting as (
            update contacts c
            set state = case when j.rests_until = 'infinity' then 'not_reached' else c.prior_state end,
                \(CallStore.noClaim),
                next_attempt_at = nullif(j.rests_until, 'infinity')
            from judged j
            where c.id = j.contact_id
                and j.verdict in ('number_rests', 'excluded_for_now', 'not_its_day_part', 'country_rests')
                and c.id = any (array(
                    select contact_id from judged
                    where verdict in ('number_rests', 'excluded_for_now', 'not_its_day_part', 'country_rests'))))
        , excluded as (
            update contacts c
            set state = 'excluded', \(CallStore.noClaim), next_attempt_at = null,
                excluded_reason = j.excluded_reason
            from judged j
            where c.id = j.contact_id and j.verdict in ('excluded', 'no_consent')
                and c.id = any (array(select contact_id from judged where verdict in ('excluded', 'no_consent'))))
        , used_up as (
            update contacts c
            set state = 'not_reached', \(CallStore.noClaim), next_attempt_at = null
            where c.id = any (array(select j.contact_id from judged j where j.verdict = 'attempts_used_up')))
        -- Their stories end here, and not with a call.
        , announced as (
            select announce_not_reached(j.contact_id, j.call_id)
            from judged j
            where j.verdict = 'attempts_used_up'
                or j.verdict in ('number_rests', 'excluded_for_now', 'not_its_day_part', 'country_rests')
                    and j.rests_until = 'infinity')
        select j.call_id,
            case
                when i.call_id is not null then 'created'
                when j.verdict = 'allowed' then 'number_busy'
                else j.verdict
            end as verdict,
            j.phone_number, j.caller_id, j.answer_url, j.ring_timeout_seconds::bigint as ring_timeout_seconds,
            j.max_call_seconds::bigint as max_call_seconds, j.detects_machines, i.deadline_at
        from judged j
        left join inserted i on i.call_id = j.call_id
        cross join (select count(*) from announced) a
        """
    )

    /// Ends a claim that cannot be dialed because its statement fails: the contact comes back after a while.
    static let putBackClaim = PostgresStatement(
        name: "put_back_claim",
        """
        update contacts c
        set \(CallStore.claimGivenBack),
            next_attempt_at = greatest(c.next_attempt_at, now() + make_interval(secs => $3))
        where c.id = $2 and c.call_id = $1 and c.state = 'in_progress' and c.prior_state is not null
        """
    )
}
