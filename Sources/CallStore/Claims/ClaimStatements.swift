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
        select id, name from started
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
        select id, name from ended
        """
    )

    /// The shape matters: MATERIALIZED picks and `= any (array(…))` keep the planner from scanning the table or from
    /// claiming more than was picked. A test asserts the plan.
    ///
    /// `$1` campaign, `$2` limit, `$3` lease in seconds, `$4` contacts to look at. One row at least when the campaign's
    /// lock was free, so that "another selector has it" can be told from "nothing is due".
    static let claimContacts = PostgresStatement(
        name: "claim_contacts",
        """
        -- The lock keeps a second selector off this campaign for the length of this statement.
        with campaign as materialized (
            select c.id, c.trunk, c.time_zone, c.zone_evidence, c.calling_week, c.blocked_dates, c.number_limits, c.day_parts,
                c.requires_consent, c.consent_expires, coalesce(c.ends_at, 'infinity') as ends_at
            from campaigns c
            where c.id = $1 and c.status = 'running' and (c.ends_at is null or c.ends_at > now())
            for no key update skip locked)
        , room as materialized (select least($2, campaign_room(k.id)) as calls from campaign k)
        , cells as materialized (select r.cell, r.calls from campaign k cross join lateral campaign_cell_room(k.id) as r)
        -- Open strata first: contacts where the window is closed or the quota is reached are never looked at.
        , located as materialized (
            select s.id, s.region, s.cell, \(CallStore.zonesOfStratum) as zones
            from campaign k
            join campaign_strata s on s.campaign_id = $1)
        , places as materialized (
            select d.region, d.zones, d.blocked,
                least(k.ends_at, w.closes_at) as closes_at
            from campaign k
            join room on room.calls > 0
            cross join lateral (
                select distinct l.region, l.zones, blocked_in(k.blocked_dates, l.region) as blocked
                from located l) d
            cross join lateral (
                select call_window_closes_at_if_known(k.calling_week, d.blocked, d.zones, now()) as closes_at
                offset 0) w
            where w.closes_at > now() and country_rests_until(k.trunk, d.region) is null)
        , strata as materialized (
            select s.id, s.cell, p.zones, p.blocked, p.closes_at, cells.calls as cell_room
            from places p
            join located s on s.region = p.region and s.zones = p.zones
            left join cells on cells.cell = s.cell
            where cells.calls is null or cells.calls > 0)
        -- Who has an appointment now goes first, whatever its day part.
        , appointed as materialized (
            select c.id, c.phone_number, c.has_prior_consent, c.consent_at, c.day_part_attempts, c.next_attempt_at,
                s.id as stratum_id
            from (
                select o.contact_id from appointments o
                where o.campaign_id = $1 and o.done_at is null and o.try_at <= now()
                order by o.try_at
                limit $4) a
            join contacts c on c.id = a.contact_id
            join strata s on s.id = c.stratum_id
            where c.state in ('pending', 'not_reached') and c.next_attempt_at <= now())
        , due as materialized (
            select a.*, true as is_appointed from appointed a
            union all
            (select p.id, p.phone_number, p.has_prior_consent, p.consent_at, p.day_part_attempts, p.next_attempt_at, s.id, false
            from strata s
            cross join lateral (\(CallStore.dueContacts)) p
            where not exists (select from cells)
            order by p.next_attempt_at
            limit $4)
            union all
            -- Contacts beyond their cell's room come after all others, however overdue: they would take the others' places.
            (select p.id, p.phone_number, p.has_prior_consent, p.consent_at, p.day_part_attempts, p.next_attempt_at, p.stratum_id,
                false
            from (
                select o.*, s.id as stratum_id, s.cell_room,
                    row_number() over (partition by s.cell order by o.next_attempt_at) as place
                from strata s
                cross join lateral (\(CallStore.dueContacts)) o
                where exists (select from cells)) p
            order by p.place > coalesce(p.cell_room, p.place), p.next_attempt_at
            limit $4))
        , candidates as materialized (
            select d.id, d.next_attempt_at, d.is_appointed, s.cell, s.cell_room,
                \(CallStore.excludedUntil("d.phone_number", "k.id")) as excluded_until,
                k.requires_consent
                    and not (d.has_prior_consent and consent_holds(d.consent_at, k.consent_expires, now())) as lacks_consent,
                greatest(
                    case when k.number_limits <> '[]' then number_rests_until(d.phone_number, k.number_limits) end,
                    case when k.day_parts <> '[]' and not d.is_appointed then day_part_turn(
                        k.day_parts, d.day_part_attempts, k.calling_week, s.blocked, s.zones, now(), k.ends_at) end)
                    as rests_until
            from campaign k
            cross join due d
            join strata s on s.id = d.stratum_id
            where d.is_appointed or d.id <> all (array(select id from appointed)))
        -- An exclusion that came between an import and its check: keep it off the head of the index.
        , excluded as (
            update contacts c
            set state = 'excluded', next_attempt_at = null,
                excluded_reason = case when p.excluded_until = 'infinity' then 'exclusion list' else 'no consent' end
            from candidates p
            where c.id = p.id
                and c.id = any (array(
                    select id from candidates where excluded_until = 'infinity' or lacks_consent))
                and c.state in ('pending', 'not_reached'))
        -- Those that rest are put off until they may be called: the next claim does not meet them again.
        , put_off as (
            update contacts c
            set next_attempt_at = nullif(greatest(p.rests_until, p.excluded_until), 'infinity'),
                state = case
                    when greatest(p.rests_until, p.excluded_until) = 'infinity' then 'not_reached' else c.state
                end
            from candidates p
            where c.id = p.id
                and c.id = any (array(
                    select id from candidates
                    where coalesce(rests_until, excluded_until) is not null
                        and excluded_until is distinct from 'infinity' and not lacks_consent))
                and c.state in ('pending', 'not_reached')
            returning c.id, c.next_attempt_at)
        -- The stories of those that rest for ever end here, and not with a call.
        , announced as (select announce_not_reached(p.id, null) from put_off p where p.next_attempt_at is null)
        , chosen as materialized (
            select r.id
            from (
                select p.id, p.next_attempt_at, p.is_appointed, p.cell_room,
                    row_number() over (
                        partition by p.cell order by p.is_appointed desc, p.next_attempt_at, p.id) as place
                from candidates p
                where p.excluded_until is null and not p.lacks_consent and p.rests_until is null) r
            where r.place <= coalesce(r.cell_room, r.place)
            order by r.is_appointed desc, r.next_attempt_at
            limit (select calls from room))
        , free as materialized (
            select c.id
            from contacts c
            where c.id = any (array(select id from chosen))
                and c.state in ('pending', 'not_reached') and c.next_attempt_at <= now()
            for no key update skip locked)
        , claimed as (
            update contacts c
            set state = 'in_progress', prior_state = c.state, call_id = uuid_v7(),
                lease_until = now() + make_interval(secs => $3)
            where c.id = any (array(select id from free))
            returning c.call_id, c.id, c.attempts_count, c.lease_until, c.stratum_id, c.next_attempt_at)
        select p.call_id, p.id, (p.attempts_count + 1)::bigint as attempt_number, now() as claimed_at,
            least(p.lease_until, s.closes_at) as expires_at,
            (select count(*) from candidates) as examined,
            (select count(*) from candidates
             where excluded_until is not null or lacks_consent or rests_until is not null) as set_aside,
            p.next_attempt_at
        from campaign k
        left join claimed p on true
        left join strata s on s.id = p.stratum_id
        cross join (select count(*) from announced) a
        """
    )

    /// SQL for the contacts of a stratum `s` whose time has come, as many as are looked at.
    private static let dueContacts = """
        select c.id, c.phone_number, c.has_prior_consent, c.consent_at, c.day_part_attempts, c.next_attempt_at
                from contacts c
                where c.stratum_id = s.id and c.state in ('pending', 'not_reached') and c.next_attempt_at is not null
                    and c.next_attempt_at <= now()
                order by c.next_attempt_at
                limit $4
        """

    static let revertUnpublished = PostgresStatement(
        name: "revert_unpublished",
        """
        update contacts c
        set \(CallStore.claimGivenBack)
        where c.id = any ($2::uuid[]) and c.call_id = any ($1::uuid[])
            and c.state = 'in_progress' and c.prior_state is not null
        """
    )

    /// A contact whose attempt exists has no `prior_state`; the row lock makes that exact, because the statement that
    /// creates the attempt clears it.
    ///
    /// `$1` limit, `$2` contacts to look at; null for all.
    static let sweepClaims = PostgresStatement(
        name: "sweep_claims",
        """
        with expired as materialized (
            select p.id
            from campaigns k
            cross join lateral (
                select c.id from contacts c
                where c.campaign_id = k.id and c.state = 'in_progress' and c.lease_until < now()
                    and c.prior_state is not null and ($2::uuid[] is null or c.id = any ($2::uuid[]))
                order by c.lease_until
                limit $1
                for no key update skip locked) p
            limit $1)
        update contacts c
        set \(CallStore.claimGivenBack)
        where c.id = any (array(select id from expired)) and c.prior_state is not null
        """
    )

    static let expiredClaims = PostgresStatement(
        name: "expired_claims",
        """
        select p.id
        from campaigns k
        cross join lateral (
            select c.id from contacts c
            where c.campaign_id = k.id and c.state = 'in_progress' and c.lease_until < now()
                and c.prior_state is not null
            limit $1) p
        limit $1
        """
    )

    /// Trunks with open attempts that nobody watches.
    static let trunksWithOrphans = PostgresStatement(
        name: "trunks_with_orphans",
        """
        select k.trunk, count(*) as count
        from call_attempts a
        join campaigns k on k.id = a.campaign_id
        where a.ended_at is null and a.deadline_at < now() - interval '1 minute'
        group by k.trunk
        order by k.trunk
        """
    )

    /// The minute beyond the deadline leaves the watching Dialer time to close the call itself.
    ///
    /// `$1` trunk, `$2` limit.
    static let renewOrphans = PostgresStatement(
        name: "renew_orphans",
        """
        with orphans as materialized (
            select a.id
            from call_attempts a
            join campaigns k on k.id = a.campaign_id
            where a.ended_at is null and a.deadline_at < now() - interval '1 minute' and k.trunk = $1
            order by a.deadline_at
            limit $2
            for no key update of a skip locked)
        update call_attempts a
        set deadline_at = now() + interval '5 minutes'
        where a.id = any (array(select id from orphans))
        returning a.call_id, a.contact_id, a.campaign_id, a.attempt_number::bigint, a.started_at,
            now() + interval '5 minutes' as expires_at
        """
    )
}
