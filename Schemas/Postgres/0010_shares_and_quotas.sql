-- Shares of a trunk by weight, target rates, and quotas of completed interviews, for a campaign and by cell.
-- Forward-only. Runs inside one transaction.

alter table campaigns
    -- Lines of a trunk are shared among campaigns of one priority in these proportions.
    add column weight smallint not null default 1 check (weight between 1 and 1000),
    add column calls_per_hour integer check (calls_per_hour between 1 and 1000000),
    add column target_completes integer check (target_completes >= 1);

create table campaign_cells (
    campaign_id uuid not null references campaigns on delete cascade,
    cell text not null check (length(cell) between 1 and 100),
    target_completes integer not null check (target_completes >= 0),
    primary key (campaign_id, cell)
);

-- Entered once in a contact's life.
create index contacts_completed on contacts (stratum_id) where state = 'completed';

-- How many contacts of a campaign may be claimed now: calls at once, calls per hour, and completes still wanted. A call
-- under way may become a complete, so no more are under way than are wanted. Volatile, so that the question is asked
-- after the caller has locked the campaign, and not on its older snapshot: two Selectors never exceed a cap together.
create function campaign_room(campaign uuid) returns bigint
language plpgsql volatile
as $$
declare
    k campaigns;
    room bigint := 2147483647;
    under_way bigint;
    waiting bigint;
    period double precision;
begin
    select * into strict k from campaigns where id = campaign;
    if k.max_concurrent_calls is null and k.target_completes is null and k.calls_per_hour is null then
        return room;
    end if;
    select count(*), count(*) filter (where c.prior_state is not null) into under_way, waiting
    from contacts c
    where c.campaign_id = campaign and c.state = 'in_progress';
    if k.max_concurrent_calls is not null then
        room := least(room, k.max_concurrent_calls - under_way);
    end if;
    if k.target_completes is not null then
        room := least(room, k.target_completes - under_way - (
            select count(*)
            from campaign_strata s
            join contacts c on c.stratum_id = s.id and c.state = 'completed'
            where s.campaign_id = campaign));
    end if;
    if k.calls_per_hour is not null then
        -- In shares of a minute, or of the time for one call if that is longer, so that an hour's calls are not placed
        -- in its first minute.
        period := greatest(60, 3600.0 / k.calls_per_hour);
        room := least(
            room,
            k.calls_per_hour - waiting - (
                select count(*) from call_attempts a
                where a.campaign_id = campaign and a.started_at > now() - interval '1 hour' and a.counted),
            ceil(k.calls_per_hour * period / 3600)::bigint - waiting - (
                select count(*) from call_attempts a
                where a.campaign_id = campaign and a.started_at > now() - make_interval(secs => period)
                    and a.counted));
    end if;
    return greatest(room, 0);
end
$$;

-- The same for each cell that has a target.
create function campaign_cell_room(campaign uuid) returns table (cell text, calls bigint)
language plpgsql volatile
as $$
begin
    if not exists (select from campaign_cells q where q.campaign_id = campaign) then
        return;
    end if;
    return query
        with taken as (
            select s.cell, count(*) as contacts
            from campaign_strata s
            join contacts c on c.stratum_id = s.id and c.state = 'completed'
            where s.campaign_id = campaign
            group by s.cell
            union all
            select s.cell, count(*)
            from contacts c
            join campaign_strata s on s.id = c.stratum_id
            where c.campaign_id = campaign and c.state = 'in_progress'
            group by s.cell)
        select q.cell, greatest(0, q.target_completes - coalesce(
            (select sum(t.contacts) from taken t where t.cell = q.cell), 0))::bigint
        from campaign_cells q
        where q.campaign_id = campaign;
end
$$;
