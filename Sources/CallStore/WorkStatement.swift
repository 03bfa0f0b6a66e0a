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
            select c.id, c.name, c.trunk, c.priority, c.weight, c.created_at, c.time_zone, c.calling_week,
                c.blocked_dates, c.fault is not null as has_fault,
                c.number_limits <> '[]' or c.day_parts <> '[]' or c.requires_consent as may_rest,
                coalesce(c.max_concurrent_calls, c.target_completes, c.calls_per_hour) is not null as has_caps,
                exists (select from campaign_cells q where q.campaign_id = c.id) as has_cells
            from campaigns c
            left join trunks t on t.name = c.trunk
            where c.status = 'running' and t.paused_at is null
                and coalesce(c.retry_at, '-infinity') <= now() and coalesce(t.retry_at, '-infinity') <= now())
        , due as materialized (
            select r.id, s.cell, coalesce(nullif(s.time_zone, ''), r.time_zone) as zones,
                blocked_in(r.blocked_dates, s.region) as blocked, r.calling_week
            from running r
            join campaign_strata s on s.campaign_id = r.id
            cross join lateral (
                select
                from contacts c
                where c.stratum_id = s.id and c.state in ('pending', 'not_reached') and c.next_attempt_at is not null
                    and c.next_attempt_at <= now()
                limit 1) o)
        , windows as materialized (
            select w.calling_week, w.blocked, w.zones,
                call_window_closes_at_if_known(w.calling_week, w.blocked, w.zones, now()) as closes_at
            from (select distinct d.calling_week, d.blocked, d.zones from due d) w)
        , open as materialized (
            select distinct d.id, d.cell
            from due d
            join windows w using (calling_week, blocked, zones)
            where w.closes_at > now())
        , unknown as materialized (
            select d.id, array_agg(distinct d.zones) as zones
            from due d
            join windows w using (calling_week, blocked, zones)
            where w.closes_at = '-infinity'
            group by d.id)
        , work as materialized (
            select r.id
            from running r
            where r.id in (select o.id from open o)
                and case when r.has_caps then campaign_room(r.id) > 0 else true end
                and case
                    when r.has_cells then exists (
                        select from open o
                        left join campaign_cell_room(r.id) q on q.cell = o.cell
                        where o.id = r.id and coalesce(q.calls, 1) > 0)
                    else true
                end)
        select r.id, r.name, r.trunk, r.priority::bigint, r.weight::bigint,
            (select count(*) from contacts p where p.campaign_id = r.id and p.state = 'in_progress'),
            r.may_rest, w.id is not null, u.zones, r.has_fault
        from running r
        left join work w on w.id = r.id
        left join unknown u on u.id = r.id
        where w.id is not null or u.id is not null or r.has_fault
        order by r.priority desc, r.created_at, r.id
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
        select name from done
        """
    )
}
