// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Postgres

extension CallStore {
    /// Which campaigns have somebody to call now, in one question: those without are not asked one by one. A campaign that
    /// has nothing to call is told only if something is wrong with it, or was.
    ///
    /// The cost goes by the number of running campaigns and their strata, never by contacts: `limit 1` keeps the planner
    /// from joining all of them. Windows that several campaigns have in common are asked for once.
    static let campaignsWithWork = PostgresStatement(
        name: "campaigns_with_work",
        """
        with running as materialized (
            select c.id, c.trunk, c.time_zone, c.zone_evidence, c.calling_week, c.blocked_dates, c.fault is not null as has_fault
            from campaigns c
            left join trunks t on t.name = c.trunk
            where c.status = 'running' and t.paused_at is null
                and coalesce(c.retry_at, '-infinity') <= now() and coalesce(t.retry_at, '-infinity') <= now())
        , due as materialized (
            select r.id, s.cell, \(CallStore.countingZones("s.time_zone", "s", "r")) as zones,
                blocked_in(r.blocked_dates, s.region) as blocked, r.calling_week
            from running r
            -- A country that rests is asked about when its rest is over: until then the claim would find nobody.
            join campaign_strata s on s.campaign_id = r.id and country_rests_until(r.trunk, s.region) is null
            cross join lateral (
                select
                from contacts c
                where c.stratum_id = s.id and c.state in ('pending', 'not_reached') and c.next_attempt_at is not null
                    and c.next_attempt_at <= now()
                limit 1) o)
        , windows as materialized (
            select d.zones, d.ids, d.cells,
                call_window_closes_at_if_known(d.calling_week, d.blocked, d.zones, now()) as closes_at
            from (
                select calling_week, blocked, zones, array_agg(id) as ids, array_agg(cell) as cells
                from due
                group by calling_week, blocked, zones) d)
        , asked as materialized (
            select u.id, array_agg(distinct u.cell) filter (where w.closes_at > now()) as open_cells,
                array_agg(distinct w.zones) filter (where w.closes_at = '-infinity') as unknown_zones
            from windows w
            cross join lateral unnest(w.ids, w.cells) as u (id, cell)
            group by u.id
            union all
            select r.id, null, null
            from running r
            where r.has_fault and r.id not in (select unnest(w.ids) from windows w))
        , told as materialized (
            select c.id, c.name, c.trunk, c.priority, c.weight, c.created_at, a.unknown_zones,
                c.fault, c.number_limits <> '[]' or c.day_parts <> '[]' or c.requires_consent as may_rest,
                case
                    when a.open_cells is null then false
                    when coalesce(c.max_concurrent_calls, c.target_completes, c.calls_per_hour) is not null
                        and campaign_room(c.id) = 0 then false
                    when not exists (select from campaign_cells q where q.campaign_id = c.id) then true
                    else exists (
                        select from unnest(a.open_cells) as o (cell)
                        left join campaign_cell_room(c.id) q on q.cell = o.cell
                        where coalesce(q.calls, 1) > 0)
                end as has_work
            from asked a
            join campaigns c on c.id = a.id)
        select t.id, t.name, t.trunk, t.priority::bigint as priority, t.weight::bigint as weight,
            (select count(*) from contacts p where p.campaign_id = t.id and p.state = 'in_progress') as under_way,
            t.may_rest, t.has_work, t.unknown_zones, t.fault
        from told t
        where t.has_work or t.unknown_zones is not null or t.fault is not null
        order by t.priority desc, t.created_at, t.id
        """
    )

    /// Completes running campaigns that have nothing left to call. A contact in a cell whose quota is reached is not called
    /// any more, and does not keep its campaign open. A campaign that another selector is claiming from is left to it.
    static let completeExhausted = PostgresStatement(
        name: "complete_exhausted",
        """
        with ending as materialized (
            select k.id, k.name,
                case
                    when d.is_reached then 'the target of ' || k.target_completes || ' completes is reached'
                    when d.has_cells
                        then 'nothing is left to call: contacts are used up or their quotas reached'
                    else 'nothing is left to call'
                end as reason
            from campaigns k
            left join trunks t on t.name = k.trunk
            cross join lateral (
                select
                    case
                        when k.target_completes is not null then k.target_completes <= campaign_completes(k.id)
                        else false
                    end as is_reached,
                    exists (select from campaign_cells q where q.campaign_id = k.id) as has_cells
                offset 0) d
            where k.status = 'running' and t.paused_at is null
                and (select true from contacts c where c.campaign_id = k.id and c.state = 'in_progress' limit 1) is null
                and (d.is_reached or (
                    select true
                    from campaign_strata s
                    cross join lateral (
                        select from contacts c
                        where c.stratum_id = s.id and c.state in ('pending', 'not_reached')
                            and c.next_attempt_at is not null
                        limit 1) o
                    where s.campaign_id = k.id
                        and case
                            when d.has_cells then s.cell <> all (array(
                                select r.cell from campaign_cell_room(k.id) r where r.calls = 0))
                            else true
                        end
                    limit 1) is null)
            order by k.id
            for no key update of k skip locked)
        , done as (
            update campaigns k
            set status = 'completed', status_reason = e.reason, status_changed_at = now(), updated_at = now()
            from ending e
            where k.id = e.id and k.status = 'running'
            returning k.id, k.name, k.status_reason)
        , history as (
            insert into campaign_changes (campaign_id, status, reason, actor)
            select id, 'completed', status_reason, 'selector' from done)
        select id, name from done
        """
    )
}
