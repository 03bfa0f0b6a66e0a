// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Postgres

extension CallStore {
    static let startScheduled = PostgresStatement(
        name: "start_scheduled",
        """
        with started as (
            update campaigns
            set status = 'running', status_reason = null, status_changed_at = now(), updated_at = now()
            where status = 'scheduled' and starts_at <= now() and caller_id is not null and answer_url is not null
            returning id, name)
        , history as (
            insert into campaign_changes (campaign_id, status, reason, actor)
            select id, 'running', 'starts_at was reached', 'selector' from started)
        select name from started
        """
    )

    static let endElapsed = PostgresStatement(
        name: "end_elapsed",
        """
        with ended as (
            update campaigns
            set status = 'completed', status_reason = 'ends_at was reached', status_changed_at = now(),
                updated_at = now()
            where status in ('running', 'scheduled') and ends_at <= now()
            returning id, name)
        , history as (
            insert into campaign_changes (campaign_id, status, reason, actor)
            select id, 'completed', 'ends_at was reached', 'selector' from ended)
        select name from ended
        """
    )

    static let running = PostgresStatement(
        name: "running_campaigns",
        """
        select c.id, c.name, c.trunk, c.priority::bigint,
            case when c.max_concurrent_calls is not null then
                greatest(0, c.max_concurrent_calls - (
                    select count(*) from contacts p where p.campaign_id = c.id and p.state = 'in_progress'))
            end
        from campaigns c
        left join trunks t on t.name = c.trunk
        where c.status = 'running' and t.paused_at is null
        order by c.priority desc, c.created_at, c.id
        """
    )

    /// The shape matters: MATERIALIZED picks and `= any (array(…))` keep the planner from scanning the table or from
    /// claiming more than was picked. A test asserts the plan.
    ///
    /// `$1` campaign, `$2` limit, `$3` lease in seconds. One row at least when the campaign's lock was free, so that
    /// "another selector has it" can be told from "nothing is due".
    static let claimContacts = PostgresStatement(
        name: "claim_contacts",
        """
        -- The lock keeps a second selector off this campaign for the length of this statement.
        with campaign as materialized (
            select c.id, c.time_zone, c.calling_week, c.blocked_dates, c.number_limits,
                coalesce(c.ends_at, 'infinity') as ends_at
            from campaigns c
            where c.id = $1 and c.status = 'running' and (c.ends_at is null or c.ends_at > now())
            for no key update skip locked)
        -- Open zones first: contacts in a closed zone are never looked at.
        , zones as materialized (
            select z.time_zone, least(k.ends_at, call_window_closes_at(
                k.calling_week, k.blocked_dates, coalesce(nullif(z.time_zone, ''), k.time_zone), now())) as closes_at
            from campaign k
            join campaign_time_zones z on z.campaign_id = k.id
            where call_window_closes_at(
                k.calling_week, k.blocked_dates, coalesce(nullif(z.time_zone, ''), k.time_zone), now()) is not null)
        , candidates as materialized (
            select p.id, exists (
                select from exclusion_list_entries e where e.phone_number = p.phone_number) as is_excluded,
                case when k.number_limits <> '[]' then number_rests_until(p.phone_number, k.number_limits) end
                    as rests_until
            from campaign k
            cross join zones z
            cross join lateral (
                select c.id, c.phone_number, c.next_attempt_at
                from contacts c
                where c.campaign_id = $1 and coalesce(c.time_zone, '') = z.time_zone
                    and c.state in ('pending', 'not_reached') and c.next_attempt_at is not null
                    and c.next_attempt_at <= now()
                order by c.next_attempt_at
                limit $2) p
            order by p.next_attempt_at
            limit $2)
        -- An exclusion that came between an import and its check: keep it off the head of the index.
        , excluded as (
            update contacts c
            set state = 'excluded', next_attempt_at = null
            where c.id = any (array(select id from candidates where is_excluded))
                and c.state in ('pending', 'not_reached'))
        -- Those that rest are put off until they may be called: the next claim does not meet them again.
        , put_off as (
            update contacts c
            set next_attempt_at = p.rests_until
            from candidates p
            where c.id = p.id and c.id = any (array(
                    select id from candidates where rests_until is not null and not is_excluded))
                and c.state in ('pending', 'not_reached'))
        , due as materialized (
            select c.id
            from contacts c
            where c.id = any (array(select id from candidates where not is_excluded and rests_until is null))
                and c.state in ('pending', 'not_reached') and c.next_attempt_at <= now()
            for no key update skip locked)
        , claimed as (
            update contacts c
            set state = 'in_progress', prior_state = c.state, call_id = uuid_v7(),
                lease_until = now() + make_interval(secs => $3)
            where c.id = any (array(select id from due))
            returning c.call_id, c.id, c.attempts_count, c.lease_until, coalesce(c.time_zone, '') as time_zone)
        select p.call_id, p.id, (p.attempts_count + 1)::bigint, now(), least(p.lease_until, z.closes_at)
        from campaign k
        left join claimed p on true
        left join zones z on z.time_zone = p.time_zone
        """
    )

    static let revertUnpublished = PostgresStatement(
        name: "revert_unpublished",
        """
        update contacts c
        set state = c.prior_state, prior_state = null, call_id = null, lease_until = null
        where c.id = any ($2::uuid[]) and c.call_id = any ($1::uuid[])
            and c.state = 'in_progress' and c.prior_state is not null
        """
    )

    /// A contact whose attempt exists has no `prior_state`; the row lock makes that exact, because the statement that
    /// creates the attempt clears it.
    static let sweepClaims = PostgresStatement(
        name: "sweep_claims",
        """
        with expired as materialized (
            select p.id
            from campaigns k
            cross join lateral (
                select c.id from contacts c
                where c.campaign_id = k.id and c.state = 'in_progress' and c.lease_until < now()
                    and c.prior_state is not null
                order by c.lease_until
                limit $1
                for no key update skip locked) p
            limit $1)
        update contacts c
        set state = c.prior_state, prior_state = null, call_id = null, lease_until = null
        where c.id = any (array(select id from expired)) and c.prior_state is not null
        """
    )

    /// The minute beyond the deadline leaves the watching Dialer time to close the call itself.
    static let renewOrphans = PostgresStatement(
        name: "renew_orphans",
        """
        with orphans as materialized (
            select a.id
            from call_attempts a
            where a.ended_at is null and a.deadline_at < now() - interval '1 minute'
            order by a.deadline_at
            limit $1
            for no key update skip locked)
        update call_attempts a
        set deadline_at = now() + interval '5 minutes'
        from campaigns k
        where a.id = any (array(select id from orphans)) and k.id = a.campaign_id
        returning a.call_id, a.contact_id, a.campaign_id, a.attempt_number::bigint, a.started_at,
            now() + interval '5 minutes', k.trunk
        """
    )

    static let completeExhausted = PostgresStatement(
        name: "complete_exhausted",
        """
        with done as (
            update campaigns k
            set status = 'completed', status_reason = 'nothing is left to call', status_changed_at = now(),
                updated_at = now()
            where k.id = $1 and k.status = 'running'
                and not exists (
                    select from contacts c
                    where c.campaign_id = k.id and c.state in ('pending', 'not_reached')
                        and c.next_attempt_at is not null)
                and not exists (select from contacts c where c.campaign_id = k.id and c.state = 'in_progress')
            returning k.id)
        insert into campaign_changes (campaign_id, status, reason, actor)
        select id, 'completed', 'nothing is left to call', 'selector' from done
        """
    )
}
