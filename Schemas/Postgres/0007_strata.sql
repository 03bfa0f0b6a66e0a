-- Contacts by stratum: the region and the time zones that they may be in, and their quota cell. Holidays by region.
-- Forward-only. Runs inside one transaction.

-- The claim looks at open strata only; contacts of a closed one are never read.
create table campaign_strata (
    id integer primary key generated always as identity,
    campaign_id uuid not null references campaigns on delete cascade,
    -- ISO 3166; '' when it is not known.
    region text not null default '' check (region ~ '^([A-Z]{2})?$'),
    -- IANA; several candidates as a list with commas, of which all must be open; '' for the campaign's zone.
    time_zone text not null default '',
    time_zone_source text not null default 'campaign' check (time_zone_source in ('campaign', 'file', 'number')),
    cell text not null default '' check (length(cell) <= 100),
    unique (campaign_id, region, time_zone, time_zone_source, cell)
);

insert into campaign_strata (campaign_id, time_zone, time_zone_source)
select campaign_id, time_zone, case time_zone when '' then 'campaign' else 'file' end from campaign_time_zones;

alter table contacts add column stratum_id integer;
update contacts c
set stratum_id = s.id
from campaign_strata s
where s.campaign_id = c.campaign_id and s.time_zone = coalesce(c.time_zone, '');

-- Finds or makes the stratum of a contact that comes without one: from a program of the version before, or by hand.
create function find_stratum() returns trigger
language plpgsql
as $$
declare
    same campaign_strata;
    source text := case when new.time_zone is null then 'campaign' else 'file' end;
begin
    if tg_op = 'UPDATE' then
        select * into same from campaign_strata where id = new.stratum_id;
    end if;
    insert into campaign_strata (campaign_id, region, time_zone, time_zone_source, cell)
    select new.campaign_id, coalesce(same.region, ''), coalesce(new.time_zone, ''), source, coalesce(same.cell, '')
    where not exists (
        select from campaign_strata s
        where s.campaign_id = new.campaign_id and s.region = coalesce(same.region, '')
            and s.time_zone = coalesce(new.time_zone, '') and s.time_zone_source = source
            and s.cell = coalesce(same.cell, ''))
    on conflict do nothing;
    select s.id into strict new.stratum_id
    from campaign_strata s
    where s.campaign_id = new.campaign_id and s.region = coalesce(same.region, '')
        and s.time_zone = coalesce(new.time_zone, '') and s.time_zone_source = source
        and s.cell = coalesce(same.cell, '');
    return new;
end
$$;

create trigger contacts_find_stratum before insert on contacts
    for each row when (new.stratum_id is null) execute function find_stratum();
create trigger contacts_move_stratum before update of time_zone on contacts
    for each row when (new.time_zone is distinct from old.time_zone and new.stratum_id = old.stratum_id)
    execute function find_stratum();

alter table contacts alter column stratum_id set not null;

create index contacts_due_by_stratum on contacts (stratum_id, next_attempt_at)
    where state in ('pending', 'not_reached') and next_attempt_at is not null;
drop index contacts_due;

-- Local dates on which nobody is called in a region, whatever the campaign.
create table regions (
    region text primary key check (region ~ '^[A-Z]{2}$'),
    blocked_dates datemultirange not null default '{}',
    updated_at timestamptz not null default now()
);

-- In PL/pgSQL, here and below: a function in SQL is planned anew by each statement, and for each call by another function.
create function blocked_in(campaign_dates datemultirange, in_region text) returns datemultirange
language plpgsql stable parallel safe
as $$
begin
    if in_region = '' then
        return campaign_dates;
    end if;
    return campaign_dates + coalesce((select r.blocked_dates from regions r where r.region = in_region), '{}');
end
$$;

-- The nights on which clocks change: the local time of the window's end may not exist, or come twice, and the window may
-- close by the change itself. No change is longer than three hours, and one that matters is as near to now, or to the end
-- that was computed: the minutes there are asked one by one.
create function call_window_closes_by_minutes(
    week int4multirange, blocked datemultirange, zone text, at_instant timestamptz, computed timestamptz
) returns timestamptz
language plpgsql stable parallel safe
as $$
declare
    closes_at timestamptz;
begin
    select min(s.at) into closes_at
    from (
        select generate_series(
            date_trunc('minute', at_instant) + interval '1 minute',
            least(computed, at_instant + interval '3 hours'), interval '1 minute') as at
        union all
        select generate_series(
            greatest(date_trunc('minute', at_instant) + interval '1 minute', computed - interval '3 hours'),
            computed, interval '1 minute')) as s
    cross join lateral (select s.at at time zone zone as local) as t
    where blocked @> t.local::date
        or not week @> ((extract(isodow from t.local) - 1) * 1440 + extract(hour from t.local) * 60
            + extract(minute from t.local))::int;
    -- The pause between two windows is skipped: the next one is open at once.
    return coalesce(closes_at, call_window_closes_at(week, blocked, zone, computed));
end
$$;

-- As before, but for two things. A contact may be in one of several zones, a list with commas: all must be open, and the
-- first to close closes. And the end is told right on the nights on which clocks change, where the former function told
-- it up to two hours late when a window opens or closes within the hour that is skipped, or that comes twice.
create or replace function call_window_closes_at(
    week int4multirange, blocked datemultirange, zone text, at_instant timestamptz
) returns timestamptz
language plpgsql stable parallel safe
as $$
declare
    one text;
    first_end timestamptz;
    local_end timestamp;
    local timestamp;
    closes_at timestamptz;
begin
    foreach one in array string_to_array(zone, ',') loop
        local := at_instant at time zone one;
        select case
            when not week @> m.minute or blocked @> local::date then null
            when week = '{[0,10080)}' and b.date is null then 'infinity'
            else least(
                date_trunc('week', local) + make_interval(mins => case
                    -- The window of Sunday night ends where that of Monday morning does.
                    when c.closes = 10080 and week @> 0 then 10080 + (
                        select upper(r) from unnest(week) as r where r @> 0)
                    else c.closes
                end),
                b.date::timestamp)
            end
        into local_end
        from (
            select ((extract(isodow from local) - 1) * 1440 + extract(hour from local) * 60
                + extract(minute from local))::int as minute) as m
        left join lateral (select upper(r) as closes from unnest(week) as r where r @> m.minute) as c on true
        left join lateral (
            select min(lower(r)) as date from unnest(blocked) as r where lower(r) > local::date) as b on true;
        if local_end is null then
            return null;
        end if;
        closes_at := local_end at time zone one;
        -- The usual case: between now and then the clock runs on, and then it shows the window's end.
        if closes_at <> 'infinity' and (
            closes_at at time zone one <> local_end
            or local_end - (closes_at at time zone 'UTC') <> local - (at_instant at time zone 'UTC'))
        then
            closes_at := call_window_closes_by_minutes(week, blocked, one, at_instant, closes_at);
        end if;
        first_end := least(first_end, closes_at);
    end loop;
    return first_end;
end
$$;

-- The first instant, not before the given one, at which the window is open; null when none is within six weeks of it or
-- of the end of a blocked date.
create function call_window_opens_at(
    week int4multirange, blocked datemultirange, zones text, from_instant timestamptz
) returns timestamptz
language plpgsql stable parallel safe
as $$
begin
    if call_window_closes_at(week, blocked, zones, from_instant) is not null then
        return from_instant;
    end if;
    return (
        select min(s.at)
        from (
            select (date_trunc('week', from_instant at time zone z) + make_interval(weeks => weeks, mins => lower(r)))
                at time zone z as at
            from unnest(string_to_array(zones, ',')) as z, generate_series(0, 6) as weeks, unnest(week) as r
            union all
            -- A window may be open already when a blocked date ends.
            select upper(d)::timestamp at time zone z
            from unnest(string_to_array(zones, ',')) as z, unnest(blocked) as d) as s
        where s.at >= from_instant and call_window_closes_at(week, blocked, zones, s.at) is not null);
end
$$;
