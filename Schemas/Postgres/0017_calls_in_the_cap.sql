-- The cap on a campaign's calls counts calls, not contacts under way: a contact that is excluded while it is being called
-- leaves its state at once, and its call still holds a line. Claims that wait are asked for before open calls, so that one
-- that becomes a call in between is counted twice rather than not at all.
-- Forward-only. Runs inside one transaction.

create or replace function campaign_room(campaign uuid) returns bigint
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
        room := least(room, k.max_concurrent_calls - waiting - (
            select count(*) from call_attempts a where a.campaign_id = campaign and a.ended_at is null));
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
