-- When we asked the provider to cancel a call that must not ring any more. A call that ends so and was not answered is not
-- charged to its contact; who records its end need not be who asked for it.
-- Forward-only. Runs inside one transaction. A program of the version before charges such calls, as it did.

alter table call_attempts add column cancel_requested_at timestamptz;

-- Whether a call is charged may change after its end: when we have canceled it, and when it turns out that it was answered,
-- or placed, after all. With the rights of the tables' owner: whoever records outcomes may not change what is charged else.
-- Whoever closes an attempt of which nothing was placed gives the contact back in the same statement.
create function charge_contacts() returns trigger
language plpgsql security definer
as $$
declare
    call record;
begin
    for call in
        select n.contact_id, n.day_part, n.counted::int - o.counted::int as charge
        from new_rows n
        join old_rows o on o.id = n.id
        where n.counted <> o.counted and (n.counted or n.cancel_requested_at is not null)
        order by n.contact_id
    loop
        update contacts c
        set attempts_count = greatest(0, c.attempts_count + call.charge),
            day_part_attempts = case
                when call.day_part is null then c.day_part_attempts
                else count_day_part(c.day_part_attempts, call.day_part, call.charge)
            end
        where c.id = call.contact_id;
    end loop;
    return null;
end
$$;

do $$
begin
    -- Last of all the caller's temporary tables, which would hide ours.
    execute format('alter function charge_contacts() set search_path = %I, pg_temp', current_schema());
end
$$;

create trigger call_attempts_charge_updated after update on call_attempts
    referencing new table as new_rows old table as old_rows for each statement execute function charge_contacts();
