-- How often one number may be called, over all campaigns, and how long it rests after an outcome.
-- Forward-only. Runs inside one transaction.

-- A list such as [{"attempts": 3, "hours": 24}, {"attempts": 1, "hours": 168, "outcomes": ["completed"]}]: no call while
-- so many attempts, or attempts that ended like this, lie within the hours before.
alter table campaigns add column number_limits jsonb not null default '[]'
    check (jsonb_typeof(number_limits) = 'array');

create index call_attempts_number on call_attempts (phone_number, started_at);

-- Until when a number rests under these limits; null when it may be called now. A limit over n attempts frees the number
-- when the n-th last of them leaves its period.
create function number_rests_until(number text, limits jsonb) returns timestamptz
language sql stable parallel safe
as $$
    select max(b.rests_until)
    from jsonb_to_recordset(limits) as l (attempts integer, hours integer, outcomes text[])
    cross join lateral (
        select r.at + make_interval(hours => l.hours) as rests_until
        from (
            select case when l.outcomes is null then a.started_at else coalesce(a.ended_at, a.started_at) end as at
            from call_attempts a
            -- A call that began before the period may have ended within it; none lasts longer than a day.
            where a.phone_number = number and a.counted
                and a.started_at > now() - make_interval(hours => l.hours + 24)
                and (l.outcomes is null or a.outcome = any (l.outcomes))) as r
        where r.at > now() - make_interval(hours => l.hours)
        order by r.at desc
        offset l.attempts - 1
        limit 1) as b
$$;

-- The same for whoever is about to make the attempt: one at a time per number, each seeing what the one before has
-- committed. Volatile, so that the question is asked after the lock is held, and not on the caller's older snapshot.
create function number_rests_until_in_turn(number text, limits jsonb) returns timestamptz
language plpgsql volatile
as $$
begin
    perform pg_advisory_xact_lock(hashtextextended(number, 5));
    return number_rests_until(number, limits);
end
$$;
