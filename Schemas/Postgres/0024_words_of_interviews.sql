-- Who conducted an interview has heard somebody: such a call is charged, also one that we took back or gave back, whichever
-- of the two is told first.
-- Forward-only. Runs inside one transaction.

-- By a trigger, because whoever records interviews may change nothing else of a call; and so also for the former program.
create function charge_interview() returns trigger
language plpgsql
as $$
begin
    new.counted := true;
    new.error_code := nullif(new.error_code, 'canceled_by_us');
    return new;
end
$$;

create trigger call_attempts_charge_interview before update on call_attempts for each row
    when (old.survey_outcome is null and new.survey_outcome is not null and not new.counted)
    execute function charge_interview();
