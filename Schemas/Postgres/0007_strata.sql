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

create function blocked_in(campaign_dates datemultirange, in_region text) returns datemultirange
language sql stable parallel safe
as $$
    select case
        when in_region = '' then campaign_dates
        else campaign_dates + coalesce((select r.blocked_dates from regions r where r.region = in_region), '{}')
    end
$$;

-- The former function answers for one zone; the one of its name now also takes a list, and all of it must be open.
alter function call_window_closes_at(int4multirange, datemultirange, text, timestamptz) rename to call_window_closes_in;

create function call_window_closes_at(
    week int4multirange, blocked datemultirange, zones text, at_instant timestamptz
) returns timestamptz
language sql stable parallel safe
as $$
    select case
        when position(',' in zones) = 0 then call_window_closes_in(week, blocked, zones, at_instant)
        else (
            select case when count(*) = count(w.closes_at) then min(w.closes_at) end
            from (
                select call_window_closes_in(week, blocked, z, at_instant) as closes_at
                from unnest(string_to_array(zones, ',')) as z) as w)
    end
$$;

-- The first instant, not before the given one, at which the window is open; null when none is within six weeks of it or
-- of the end of a blocked date.
create function call_window_opens_at(
    week int4multirange, blocked datemultirange, zones text, from_instant timestamptz
) returns timestamptz
language sql stable parallel safe
as $$
    select min(s.at)
    from (
        select from_instant as at
        union all
        select (date_trunc('week', from_instant at time zone z) + make_interval(weeks => weeks, mins => lower(r)))
            at time zone z
        from unnest(string_to_array(zones, ',')) as z, generate_series(0, 6) as weeks, unnest(week) as r
        union all
        -- A window may be open already when a blocked date ends.
        select upper(d)::timestamp at time zone z
        from unnest(string_to_array(zones, ',')) as z, unnest(blocked) as d) as s
    where s.at >= from_instant and call_window_closes_at(week, blocked, zones, s.at) is not null
$$;
