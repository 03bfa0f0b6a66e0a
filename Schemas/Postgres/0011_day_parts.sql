-- Attempts spread over parts of the week, and a maximum of attempts by outcome.
-- Forward-only. Runs inside one transaction.

-- Attempts that ended like this, at most, such as {"busy": 5}.
alter table campaigns add column outcome_maximums jsonb not null default '{}'
    check (jsonb_typeof(outcome_maximums) = 'object');
-- Such as [{"name": "evening", "week": "{[1020,1200)}", "attempts": 2}]; attempts may be absent.
alter table campaigns add column day_parts jsonb not null default '[]' check (jsonb_typeof(day_parts) = 'array');

-- Attempts made in each part, in the campaign's order; null before the first.
alter table contacts add column day_part_attempts smallint[];
alter table call_attempts add column day_part smallint;

-- Which part an instant falls in, from 1; null when in none, or when the contact's hour is not known because several
-- zones are possible.
create function day_part_at(parts jsonb, zones text, at_instant timestamptz) returns smallint
language sql stable parallel safe
as $$
    select case when parts = '[]' or position(',' in zones) > 0 then null
    else (
        select min(p.place)
        from jsonb_array_elements(parts) with ordinality as p (part, place)
        where (p.part ->> 'week')::int4multirange @> (
            select ((extract(isodow from t.local) - 1) * 1440 + extract(hour from t.local) * 60
                + extract(minute from t.local))::int
            from (select at_instant at time zone zones as local) as t))::smallint
    end
$$;

-- When a contact's turn comes: null for now, 'infinity' when every part is used up. Its turn is in the parts in which it
-- was tried least; those that would come too late, after `until`, give way to others.
create function day_part_turn(
    parts jsonb, used smallint[], week int4multirange, blocked datemultirange, zones text,
    at_instant timestamptz, until timestamptz
) returns timestamptz
language plpgsql stable parallel safe
as $$
declare
    level record;
    turn timestamptz;
    first_turn timestamptz := 'infinity';
begin
    if parts = '[]' or position(',' in zones) > 0 then
        return null;
    end if;
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

create function count_day_part(used smallint[], part smallint, change integer) returns smallint[]
language sql immutable parallel safe
as $$
    select array_agg(
        (coalesce(used[n], 0) + case when n = part then change else 0 end)::smallint order by n)
    from generate_series(1, greatest(part, cardinality(used))) as n
$$;
