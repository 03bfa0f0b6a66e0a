-- A number with an open call rests as well. How that call ends decides whether the number may be called again, and its end
-- could be committed between this question and the insertion of the next attempt: whoever had just given an interview, or
-- refused one, was then called at once for another campaign.
create or replace function number_rests_until_in_turn(number text, limits jsonb) returns timestamptz
language plpgsql volatile
as $$
begin
    perform pg_advisory_xact_lock(hashtextextended(number, 5));
    -- Asked first: what ends after this question is seen by the next one.
    if exists (select from call_attempts a where a.phone_number = number and a.ended_at is null) then
        return now() + interval '1 minute';
    end if;
    return number_rests_until(number, limits);
end
$$;
