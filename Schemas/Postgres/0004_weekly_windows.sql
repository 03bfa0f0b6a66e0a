-- Several calling windows a day, different by weekday, and dates on which nobody is called.
-- Forward-only. Runs inside one transaction.

-- A week of windows as minutes after Monday, 00:00, local time. A window that crosses midnight goes on into the next
-- day, the one of Sunday into Monday.
create function week_of(opens time, closes time, weekdays smallint[]) returns int4multirange
language sql immutable parallel safe
as $$
    select coalesce(range_agg(p.part), '{}'::int4multirange)
    from unnest(weekdays) as d
    cross join lateral (
        select (d - 1) * 1440 + coalesce(extract(epoch from opens)::int / 60, 0) as first,
            (d - 1) * 1440 + case
                when opens is null then 1440
                when opens < closes then extract(epoch from closes)::int / 60
                else 1440 + extract(epoch from closes)::int / 60
            end as last) as w
    cross join lateral (
        values (int4range(w.first, least(w.last, 10080))), (int4range(0, greatest(w.last - 10080, 0)))) as p (part)
    where not isempty(p.part)
$$;

-- Null: the one daily window of the older columns.
alter table campaigns add column weekly_windows int4multirange
    check (weekly_windows <> '{}'::int4multirange and weekly_windows <@ '{[0,10080)}'::int4multirange);
alter table campaigns add column calling_week int4multirange not null generated always as (
    coalesce(weekly_windows, week_of(allowed_call_start_local, allowed_call_end_local, call_days))) stored;
-- Local dates.
alter table campaigns add column blocked_dates datemultirange not null default '{}';

-- The one answer to "may we phone this time zone at this instant?", used by the Selector, the Dialer and reports:
-- null when the window is closed, else the instant at which it closes ('infinity' when it never does). The function of
-- the same name with five arguments answers programs of the version before.
create function call_window_closes_at(
    week int4multirange, blocked datemultirange, zone text, at_instant timestamptz
) returns timestamptz
language sql stable parallel safe
as $$
    select case
        when not week @> l.minute or blocked @> l.local::date then null
        when week = '{[0,10080)}'::int4multirange and b.date is null then 'infinity'::timestamptz
        else least(
            l.monday + make_interval(mins => case
                -- The window of Sunday night ends where that of Monday morning does.
                when w.closes = 10080 and week @> 0 then 10080 + (
                    select upper(r) from unnest(week) as r where r @> 0)
                else w.closes
            end),
            b.date::timestamp) at time zone zone
    end
    from (
        select t.local, date_trunc('week', t.local) as monday,
            ((extract(isodow from t.local) - 1) * 1440 + extract(hour from t.local) * 60
                + extract(minute from t.local))::int as minute
        from (select at_instant at time zone zone as local) as t) as l
    left join lateral (select upper(r) as closes from unnest(week) as r where r @> l.minute) as w on true
    left join lateral (
        select min(lower(r)) as date from unnest(blocked) as r where lower(r) > l.local::date) as b on true
$$;
