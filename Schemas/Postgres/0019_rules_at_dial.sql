-- Caps, rates and quotas for the statement that makes the attempt, and what is put aside because its statements fail.
-- Forward-only. Runs inside one transaction.

-- Why nothing, or not everything, of a campaign is called although it runs, or why a trunk gets no requests; since when,
-- how often in a row, and when it is tried again. Null in all of them when all is well.
alter table campaigns
    add column fault text,
    add column fault_since timestamptz,
    add column fault_count integer not null default 0,
    add column retry_at timestamptz;
alter table trunks
    add column fault text,
    add column fault_since timestamptz,
    add column fault_count integer not null default 0,
    add column retry_at timestamptz;

-- Interviews that count for the quota, of the whole campaign. From the sums, whatever the campaign's size.
create function campaign_completes(campaign uuid) returns bigint
language plpgsql stable
as $$
begin
    return (
        select coalesce(sum(n.contacts), 0)::bigint
        from contact_counts n
        where n.campaign_id = campaign
            and (n.state = 'completed' or n.state = 'excluded' and n.disposition <= 1));
end
$$;

-- How many more calls a campaign's rules allow now; null where it has no such rule. A call may become an interview and
-- keeps its place until it ends, whatever becomes of its contact meanwhile. A claim counts claims that wait as well; the
-- dial does not: each of those will be asked the same. Volatile, and each question one statement, so that it sees at
-- once whatever was committed when its turn came, and not the caller's older snapshot.
create function campaign_room_by_rule(
    campaign uuid, at_dial boolean, out calls_at_once bigint, out calls_per_hour bigint, out completes bigint
)
language plpgsql volatile
as $$
declare
    k campaigns;
    -- In shares of a minute, or of the time for one call if that is longer, so that an hour's calls are not placed in
    -- its first minute.
    period double precision;
begin
    select * into strict k from campaigns c where c.id = campaign;
    if k.max_concurrent_calls is null and k.target_completes is null and k.calls_per_hour is null then
        return;
    end if;
    period := greatest(60, 3600.0 / k.calls_per_hour);
    select k.max_concurrent_calls - n.waiting - n.open_calls,
        k.target_completes - n.waiting - n.open_calls - campaign_completes(campaign),
        least(
            k.calls_per_hour - n.waiting - h.calls,
            ceil(k.calls_per_hour * period / 3600)::bigint - n.waiting - h.calls_in_period)
    into calls_at_once, completes, calls_per_hour
    from (
        select
            case when at_dial then 0 else (
                select count(*) from contacts c
                where c.campaign_id = campaign and c.state = 'in_progress' and c.prior_state is not null)
            end as waiting,
            case when coalesce(k.max_concurrent_calls, k.target_completes) is null then 0 else (
                -- Not by equality: the index by campaign holds every call that it ever made, the others the open ones.
                select count(*) from call_attempts a
                where a.ended_at is null and a.campaign_id is not distinct from campaign)
            end as open_calls) as n
    left join lateral (
        select count(*) as calls,
            count(*) filter (where a.started_at > now() - make_interval(secs => period)) as calls_in_period
        from call_attempts a
        where k.calls_per_hour is not null and a.campaign_id = campaign and a.counted
            and a.started_at > now() - interval '1 hour') as h on true;
end
$$;

-- The same for each cell that has a target.
create function campaign_cell_room(campaign uuid, at_dial boolean) returns table (cell text, calls bigint)
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
            from campaign_strata s
            join contacts c on c.stratum_id = s.id and c.state = 'excluded' and c.disposition <= 1
            where s.campaign_id = campaign
            group by s.cell
            union all
            select s.cell, count(*)
            from call_attempts a
            join contacts c on c.id = a.contact_id
            join campaign_strata s on s.id = c.stratum_id
            where a.ended_at is null and a.campaign_id is not distinct from campaign
            group by s.cell
            union all
            select s.cell, count(*)
            from contacts c
            join campaign_strata s on s.id = c.stratum_id
            where not at_dial and c.campaign_id = campaign and c.state = 'in_progress' and c.prior_state is not null
            group by s.cell)
        select q.cell, greatest(0, q.target_completes - coalesce(
            (select sum(t.contacts) from taken t where t.cell = q.cell), 0))::bigint
        from campaign_cells q
        where q.campaign_id = campaign;
end
$$;

-- At the claim, all of a campaign's rules in one number.
create or replace function campaign_room(campaign uuid) returns bigint
language plpgsql volatile
as $$
begin
    return (
        select greatest(0, coalesce(least(r.calls_at_once, r.calls_per_hour, r.completes), 2147483647))
        from campaign_room_by_rule(campaign, false) r);
end
$$;

create or replace function campaign_cell_room(campaign uuid) returns table (cell text, calls bigint)
language plpgsql volatile
as $$
begin
    return query select r.cell, r.calls from campaign_cell_room(campaign, false) r;
end
$$;

-- At the dial, one after the other for each campaign that has such rules, each seeing the calls that the one before has
-- made: together they exceed nothing. Callers ask in the order of the campaigns' ids, after they hold all other locks.
create function campaign_room_in_turn(
    campaign uuid, out calls_at_once bigint, out calls_per_hour bigint, out completes bigint, out cells jsonb
)
language plpgsql volatile
as $$
begin
    if not exists (
        select from campaigns k
        where k.id = campaign and (
            coalesce(k.max_concurrent_calls, k.target_completes, k.calls_per_hour) is not null
            or exists (select from campaign_cells q where q.campaign_id = k.id)))
    then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtextextended(campaign::text, 18));
    select r.calls_at_once, r.calls_per_hour, r.completes into calls_at_once, calls_per_hour, completes
    from campaign_room_by_rule(campaign, true) r;
    select jsonb_object_agg(r.cell, r.calls) into cells from campaign_cell_room(campaign, true) r;
end
$$;

-- As `call_window_closes_at`, and '-infinity' where that cannot tell: a time zone that the server knows no more must not
-- fail what is done for others. Nobody is called where the hour is not known.
create function call_window_closes_at_if_known(
    week int4multirange, blocked datemultirange, zones text, at_instant timestamptz
) returns timestamptz
language plpgsql stable
as $$
begin
    return call_window_closes_at(week, blocked, zones, at_instant);
exception when data_exception then
    return '-infinity';
end
$$;

-- As before, but for a time zone that the server knows no more: the parts of the day cannot be told there, and a call's
-- end is recorded all the same.
create or replace function day_part_turn(
    parts jsonb, used smallint[], week int4multirange, blocked datemultirange, zones text,
    at_instant timestamptz, until timestamptz
) returns timestamptz
-- Not parallel safe: a block that catches an error is a transaction of its own.
language plpgsql stable
as $$
declare
    level record;
    turn timestamptz;
    first_turn timestamptz := 'infinity';
begin
    if parts = '[]' or position(',' in zones) > 0 then
        return null;
    end if;
    begin
        perform at_instant at time zone zones;
    exception when invalid_parameter_value then
        return null;
    end;
    for level in
        select p.count, (
            select range_agg(r)
            from jsonb_array_elements(parts) with ordinality as q (part, place), unnest((q.part ->> 'week')::int4multirange) as r
            where coalesce(used[q.place], 0) <= p.count
                and coalesce(used[q.place], 0) < coalesce((q.part ->> 'attempts')::int, 32767)) * week as open
        from (
            select distinct coalesce(used[o.place], 0) as count
            from jsonb_array_elements(parts) with ordinality as o (part, place)
            where coalesce(used[o.place], 0) < coalesce((o.part ->> 'attempts')::int, 32767)
                and not isempty((o.part ->> 'week')::int4multirange * week)) as p
        order by p.count
    loop
        turn := call_window_opens_at(level.open, blocked, zones, at_instant);
        if turn <= at_instant then
            return null;
        end if;
        -- No window in sight: to be asked again when the calendar reaches further.
        turn := coalesce(turn, at_instant + interval '42 days');
        if turn < until then
            return turn;
        end if;
        first_turn := least(first_turn, turn);
    end loop;
    return first_turn;
end
$$;

-- Tells the end of a story that does not end with a call: a claimed contact turns out to be out of attempts, or out of day
-- parts. With the rights of the tables' owner: neither selectors nor dialers write events, or read what is in them. The last
-- call is named, if there was one.
create function announce_not_reached(contact uuid, claim uuid) returns void
language plpgsql security definer
as $$
begin
    insert into survey_events (kind, call_id, contact_id, campaign_id, external_contact_id, attempts)
    select 'not_reached', coalesce(l.call_id, claim, uuid_v7()), c.id, c.campaign_id, c.external_contact_id,
        c.attempts_count
    from contacts c
    left join lateral (
        select a.call_id
        from call_attempts a
        where a.phone_number = c.phone_number and a.contact_id = c.id
        order by a.started_at desc
        limit 1) l on true
    where c.id = contact
    on conflict do nothing;
end
$$;

do $$
begin
    -- Last of all the caller's temporary tables, which would hide ours.
    execute format('alter function announce_not_reached(uuid, uuid) set search_path = %I, pg_temp', current_schema());
end
$$;
