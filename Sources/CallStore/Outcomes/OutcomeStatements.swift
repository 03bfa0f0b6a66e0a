// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Postgres

extension CallStore {
    /// Answers by which the called party, or what guards its line, declines a call: RFC 3261, section 21.6.2; RFC 8197
    /// (607 Unwanted); RFC 8688 (608 Rejected).
    private static let rejectionCodes = "'{sip_603,sip_607,sip_608}'::text[]"

    /// SQL for the instant at which the pause after a call ends, by its campaign's rules; null while the call is open.
    /// - Parameters:
    ///   - call: What has the call's `call_id`, `outcome` and `ended_at`.
    ///   - campaign: What has the campaign's columns.
    /// - Returns: An expression.
    static func pauseEnd(_ call: String, _ campaign: String) -> String {
        """
        \(call).ended_at
            + make_interval(mins => coalesce(
                (\(campaign).retry_minutes ->> \(call).outcome)::int, \(campaign).retry_interval_minutes))
            -- The share comes from the call's id, so that a repeated report computes the same.
            * (1 + \(campaign).retry_jitter_percent / 100.0 * (hashtext(\(call).call_id::text) & 65535) / 65535.0)
        """
    }

    /// Moves the contacts of the calls in `applied` whose outcome is new, and writes survey events to the outbox.
    static let settleContacts = """
        , ended as materialized (
            select p.*,
                \(CallStore.pauseEnd("p", "k")) as pause_ends_at,
                p.counted::int - p.was_counted::int as charge,
                -- The provider's "completed" was no interview: it is called again, unless there was one besides.
                p.outcome = 'callback' and p.old_outcome = 'completed' and not exists (
                    select from call_attempts o
                    where o.phone_number = p.phone_number and o.contact_id = p.contact_id and o.outcome = 'completed'
                        and o.call_id <> p.call_id) as reopens
            from applied p
            join campaigns k on k.id = p.campaign_id
            where p.ended_at is not null and (p.outcome is distinct from p.old_outcome or p.counted <> p.was_counted))
        -- One row for a contact, of which an update takes only one: calls of several attempts may end in one batch. The
        -- strongest word decides, and among the others the latest call, which alone can be the contact's own.
        , decisive as materialized (
            select distinct on (e.contact_id) e.*,
                array_agg(e.call_id) over contact as call_ids,
                sum(e.charge) over contact as charges, bool_or(e.charge <> 0) over contact as is_charged_anew,
                min(attempt_disposition(e.outcome, e.counted, e.answered_by, e.error_code, e.survey_outcome))
                    over contact as best_disposition
            from ended e
            window contact as (partition by e.contact_id)
            order by e.contact_id, e.outcome = 'refused' desc, e.outcome = 'completed' desc, e.id desc)
        -- A contact moves when its own call ends; a late "completed" of an earlier call also settles it. Whether a call is
        -- charged may change after its end; a trigger does the sum. The rules are those of the campaign that the contact
        -- belongs to now: somebody may have moved it during the call.
        , moved as (
            update contacts c
            set state = case
                    when c.state in ('refused', 'excluded') 
                        or c.state = 'completed' and e.outcome <> 'refused' and not e.reopens
                        then c.state
                    when e.outcome in ('completed', 'refused') then e.outcome
                    when c.state = 'in_progress' and c.call_id <> all (e.call_ids) then c.state
                    when e.charge < 0 and c.attempts_count + e.charges <= 0 then 'pending'
                    else 'not_reached'
                end,
                next_attempt_at = case
                    when c.state in ('refused', 'excluded') or c.state = 'completed' and not e.reopens
                        or e.outcome in ('completed', 'refused')
                        -- Nobody can call who was erased during the call.
                        or c.phone_number is null
                        then null
                    when c.state = 'in_progress' and c.call_id <> all (e.call_ids) then c.next_attempt_at
                    -- Given back. Whose phone has rung gets a minute of peace.
                    when e.charge < 0 then now() + case when e.ringing_at is null then '0' else interval '1 minute' end
                    when e.reopens and c.attempts_count < k.max_attempts then e.pause_ends_at
                    when c.call_id is null
                        then case when c.attempts_count + e.charges < k.max_attempts then c.next_attempt_at end
                    when e.is_permanent or c.attempts_count >= k.max_attempts
                        or k.outcome_maximums ? e.outcome and (k.outcome_maximums ->> e.outcome)::int <= 1 + (
                            select count(*)
                            from call_attempts o
                            -- What this batch says of another call is not yet in the row that is read here.
                            left join applied n on n.call_id = o.call_id
                            where o.phone_number = e.phone_number and o.contact_id = e.contact_id
                                and coalesce(n.counted, o.counted) and coalesce(n.outcome, o.outcome) = e.outcome
                                and o.call_id <> e.call_id)
                        then null
                    when k.day_parts = '[]' then e.pause_ends_at
                    else nullif(
                        coalesce(
                            day_part_turn(
                                k.day_parts, c.day_part_attempts, k.calling_week,
                                blocked_in(k.blocked_dates, s.region),
                                \(CallStore.zonesOfContact),
                                e.pause_ends_at, coalesce(k.ends_at, 'infinity')),
                            e.pause_ends_at),
                        'infinity')
                end,
                last_outcome = case
                    when e.charge < 0 or e.outcome not in ('completed', 'refused')
                        and (c.call_id is null or c.call_id <> all (e.call_ids))
                        then c.last_outcome
                    else e.outcome
                end,
                disposition = least(c.disposition, e.best_disposition),
                prior_state = case
                    when c.call_id = any (e.call_ids) or e.outcome in ('completed', 'refused') then null else c.prior_state
                end,
                call_id = case
                    when c.call_id = any (e.call_ids)
                        or c.prior_state is not null and e.outcome in ('completed', 'refused') then null
                    else c.call_id
                end,
                lease_until = case
                    when c.call_id = any (e.call_ids)
                        or c.prior_state is not null and e.outcome in ('completed', 'refused') then null
                    else c.lease_until
                end
            from decisive e, campaigns k, campaign_strata s
            where c.id = e.contact_id and k.id = c.campaign_id and s.id = c.stratum_id
                and (c.call_id = any (e.call_ids) or e.is_charged_anew
                    or e.outcome in ('completed', 'refused') and c.state in ('pending', 'not_reached', 'in_progress')
                    or (e.outcome = 'refused' or e.reopens) and c.state = 'completed')
            returning c.id, c.campaign_id, c.external_contact_id, c.attempts_count + e.charges as attempts_count, c.state,
                c.next_attempt_at, e.call_id, e.ended_at)
        , announced as (
            insert into survey_events (kind, call_id, contact_id, campaign_id, external_contact_id, attempts, occurred_at)
            select m.state, m.call_id, m.id, m.campaign_id, m.external_contact_id, m.attempts_count, m.ended_at
            from moved m
            where m.state in ('completed', 'refused') or m.state = 'not_reached' and m.next_attempt_at is null
            on conflict (contact_id, kind) do nothing
            returning *)
        """

    /// We hung up before anybody answered: not charged, unless an answer is told of later.
    private static let isCanceledByUs = """
        m.rank = 6 and a.cancel_requested_at is not null and a.survey_outcome is null
        and a.answered_at is null and m.answered_at is null and m.answered_by is null
        """

    /// Ranks are those of `CallStatus.rank`: 1–2 accepted, 3 ringing, 4 answered, 5 and above ended.
    ///
    /// `$1` call ids, `$2` provider ids, `$3` ranks, `$4` error codes, `$5` raw statuses, `$6` answered by,
    /// `$7` answered at, `$8` whether the error means that the number cannot exist, `$9` ringing at.
    static let recordReports = PostgresStatement(
        name: "record_reports",
        """
        with report as materialized (
            select *
            from unnest(
                $1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::bool[],
                $9::timestamptz[])
                as r (
                    call_id, provider_call_id, rank, error_code, raw_status, answered_by, answered_at, is_permanent,
                    ringing_at))
        , before as materialized (
            select a.id, a.call_id, a.report_rank, a.status, a.answered_by, a.outcome, a.counted
            from call_attempts a
            where a.call_id = any ($1::uuid[])
            order by a.call_id
            for no key update)
        , merged as materialized (
            select b.id, b.call_id, b.outcome as old_outcome, b.counted as was_counted, r.is_permanent,
                greatest(b.report_rank, r.rank) as rank, r.rank > b.report_rank as is_stronger,
                -- The most certain of the two, so that the order does not matter.
                case greatest(
                    array_position(array['unknown', 'human', 'fax', 'machine'], b.answered_by),
                    array_position(array['unknown', 'human', 'fax', 'machine'], r.answered_by))
                    when 1 then 'unknown' when 2 then 'human' when 3 then 'fax' when 4 then 'machine'
                end as answered_by,
                r.provider_call_id, r.error_code, r.raw_status, r.answered_at, r.ringing_at
            from before b
            join report r on r.call_id = b.call_id)
        , applied as (
            update call_attempts a
            set report_rank = m.rank,
                status = case
                    when a.status = 'ended' or m.rank >= 5 then 'ended'
                    when m.rank = 4 then 'answered'
                    when m.rank = 3 then 'ringing'
                    else 'placed'
                end,
                provider_call_id = coalesce(a.provider_call_id, m.provider_call_id),
                placed_at = coalesce(a.placed_at, now()),
                answered_by = m.answered_by,
                answered_at = least(a.answered_at, m.answered_at),
                ringing_at = least(a.ringing_at, m.ringing_at),
                ended_at = case when m.rank >= 5 then coalesce(a.ended_at, now()) else a.ended_at end,
                outcome = case
                    when m.rank < 5 then a.outcome
                    -- The word of whoever conducted the interview wins.
                    when a.survey_outcome in ('completed', 'callback') then a.survey_outcome
                    when a.survey_outcome in ('refused', 'opt_out') or a.outcome = 'refused' then 'refused'
                    when m.rank = 10 and m.answered_by in ('machine', 'fax') then 'answering_machine'
                    when m.rank = 10 then 'completed'
                    when m.rank >= 7 and case when m.is_stronger then m.error_code else a.error_code end
                        = any (\(CallStore.rejectionCodes)) then 'rejected'
                    when m.rank = 9 then 'busy'
                    when m.rank = 8 then 'no_answer'
                    else 'failed'
                end,
                counted = case when \(CallStore.isCanceledByUs) then false else a.counted or m.rank >= 2 end,
                -- The provider's look-up gives no code; why a call was not charged stands in its row all the same.
                error_code = coalesce(
                    case when m.is_stronger then m.error_code else nullif(a.error_code, 'canceled_by_us') end,
                    case when \(CallStore.isCanceledByUs) then 'canceled_by_us' end),
                provider_raw_status = case when m.is_stronger then m.raw_status else a.provider_raw_status end
            from merged m
            where a.id = m.id
            returning a.id, a.call_id, a.contact_id, a.campaign_id, a.dialer_id, a.ended_at, a.outcome, a.phone_number,
                a.counted, a.answered_by, a.error_code, a.survey_outcome,
                extract(epoch from a.answered_at - a.ringing_at)::float8 as ring_seconds, m.is_stronger, m.old_outcome, m.is_permanent,
                a.ringing_at, m.was_counted)
        \(CallStore.settleContacts)
        select p.call_id, p.dialer_id, p.ended_at is not null as has_ended, p.is_stronger,
            case when p.ended_at is not null and p.outcome is distinct from p.old_outcome then p.outcome end as new_outcome,
            s.event_id, s.kind, s.contact_id, s.campaign_id, s.external_contact_id, s.attempts::bigint, s.occurred_at,
            k.name as campaign, p.ring_seconds
        from applied p
        left join announced s on s.call_id = p.call_id
        left join campaigns k on k.id = p.campaign_id
        """
    )

    static let unpublishedEvents = PostgresStatement(
        name: "unpublished_events",
        """
        select event_id, call_id, kind, contact_id, campaign_id, external_contact_id, attempts::bigint, occurred_at
        from survey_events
        where published_at is null and occurred_at < now() - make_interval(secs => $1)
        order by occurred_at
        limit $2
        """
    )

    static let markEventsPublished = PostgresStatement(
        name: "mark_events_published",
        "update survey_events set published_at = now() where event_id = any ($1::uuid[]) and published_at is null"
    )
}
