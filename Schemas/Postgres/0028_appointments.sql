-- Appointments: the time at which a respondent wants to be called.
-- Forward-only. Runs inside one transaction; nothing is scanned. A program of before knows nothing of them: triggers keep
-- a contact's appointment whoever moves the contact.

create table appointments (
    contact_id uuid primary key references contacts (id) on delete cascade,
    campaign_id uuid not null references campaigns (id) on delete cascade,
    -- What was agreed.
    appointed_at timestamptz not null,
    appointed_until timestamptz not null,
    made_at timestamptz not null default now(),
    source text not null check (source in ('person', 'import', 'interview')),
    source_call_id uuid,
    -- When it is tried: at the time itself, and once more ten minutes after that has failed.
    try_at timestamptz not null,
    try_until timestamptz not null,
    tries smallint not null default 0 check (tries between 0 and 2),
    -- The call that tries.
    call_id uuid,
    -- It was let pass without a call.
    missed_at timestamptz,
    done_at timestamptz,
    is_kept boolean,
    check (appointed_until > appointed_at),
    check (done_at is not null or is_kept is null)
);
create index appointments_open on appointments (campaign_id, try_at) where done_at is null;
create index appointments_late on appointments (try_until) where done_at is null;

alter table call_attempts drop constraint call_attempts_outcome_check;
alter table call_attempts add constraint call_attempts_outcome_check check (
    outcome in (
        'completed', 'refused', 'no_answer', 'busy', 'failed', 'answering_machine', 'rejected', 'callback')) not valid;
alter table call_attempts drop constraint call_attempts_survey_outcome_check;
alter table call_attempts add constraint call_attempts_survey_outcome_check
    check (survey_outcome in ('completed', 'refused', 'opt_out', 'callback')) not valid;

-- Makes an appointment, or moves the one that there is. Whoever makes it need not be able to change contacts.
create function appoint_contact(
    contact uuid, wanted_at timestamptz, wanted_until timestamptz, made_by text, by_call uuid
) returns text
language plpgsql security definer
as $$
declare
    c contacts;
    k campaigns;
    starts timestamptz := wanted_at;
    changed bigint;
begin
    select p.* into c from contacts p where p.id = contact for no key update;
    if not found or c.phone_number is null then
        return 'unknown';
    end if;
    select p.* into k from campaigns p where p.id = c.campaign_id;
    if by_call is not null then
        -- Whoever hangs up this moment gets a minute of peace.
        starts := greatest(wanted_at, now() + interval '1 minute');
    elsif wanted_at <= now() then
        return 'past';
    end if;
    if c.do_not_call or c.state in ('refused', 'excluded') or c.state = 'completed' and by_call is null
        or c.state = 'not_reached' and c.next_attempt_at is null and c.attempts_count < k.max_attempts
    then
        return 'over';
    end if;
    if c.attempts_count >= k.max_attempts then
        return 'attempts_used_up';
    end if;
    insert into appointments as a (
        contact_id, campaign_id, appointed_at, appointed_until, source, source_call_id, try_at, try_until)
    select c.id, c.campaign_id, starts, e.ends, made_by, by_call, starts, e.ends
    from (
        select case when wanted_until > starts then wanted_until else starts + interval '30 minutes' end as ends) e
    on conflict (contact_id) do update
    set campaign_id = excluded.campaign_id, appointed_at = excluded.appointed_at,
        appointed_until = excluded.appointed_until, made_at = now(), source = excluded.source,
        source_call_id = excluded.source_call_id, try_at = excluded.try_at, try_until = excluded.try_until, tries = 0,
        call_id = null, missed_at = null, done_at = null, is_kept = null
    -- A report that comes again changes nothing, nor does one of a call before.
    where excluded.source_call_id is null
        or a.source_call_id is not distinct from excluded.source_call_id and a.done_at is null and a.tries = 0
        or a.source_call_id is distinct from excluded.source_call_id
            and a.made_at < (select o.started_at from call_attempts o where o.call_id = excluded.source_call_id);
    get diagnostics changed = row_count;
    if changed > 0 then
        update contacts p
        set state = coalesce(p.prior_state, p.state), prior_state = null, call_id = null, lease_until = null,
            next_attempt_at = starts
        where p.id = contact
            and (p.state in ('pending', 'not_reached') and p.next_attempt_at is not null
                or p.state = 'in_progress' and p.prior_state is not null);
    end if;
    return 'appointed';
end
$$;

-- A call begins: if it is the appointment's time, it is the appointment's call.
create function try_appointment() returns trigger
language plpgsql security definer
as $$
begin
    update appointments a
    set tries = a.tries + 1, call_id = new.call_id
    where a.contact_id = new.id and a.done_at is null and a.try_at <= now() and a.tries < 2;
    return new;
end
$$;

create trigger contacts_try_appointment before update on contacts
    for each row when (
        new.state = 'in_progress' and old.prior_state is not null and new.prior_state is null)
    execute function try_appointment();

-- A claim or a call has ended: the appointment is kept, tried once more, or still to come.
create function keep_appointment() returns trigger
language plpgsql security definer
as $$
declare
    a appointments;
    call call_attempts;
begin
    select p.* into a from appointments p where p.contact_id = new.id and p.done_at is null for update;
    if not found then
        return new;
    end if;
    if new.next_attempt_at is null then
        update appointments p
        set done_at = now(), is_kept = new.state in ('completed', 'refused')
        where p.contact_id = new.id;
        return new;
    end if;
    if a.call_id is distinct from old.call_id or old.call_id is null then
        if a.try_at > now() then
            new.next_attempt_at := a.try_at;
        elsif old.prior_state is null then
            new.next_attempt_at := now();
        end if;
        return new;
    end if;
    select o.* into call from call_attempts o where o.call_id = old.call_id;
    if not call.counted then
        update appointments p set tries = p.tries - 1, call_id = null where p.contact_id = new.id;
    elsif call.outcome = 'callback' then
        update appointments p set done_at = now(), is_kept = true where p.contact_id = new.id;
    elsif a.tries < 2 then
        new.next_attempt_at := now() + interval '10 minutes';
        update appointments p
        set call_id = null, try_at = new.next_attempt_at,
            try_until = new.next_attempt_at + (p.appointed_until - p.appointed_at)
        where p.contact_id = new.id;
    else
        update appointments p set done_at = now(), is_kept = false where p.contact_id = new.id;
    end if;
    return new;
end
$$;

create trigger contacts_keep_appointment before update on contacts
    for each row when (
        new.state is distinct from old.state
        and (old.state in ('in_progress', 'completed') or new.state in ('completed', 'refused', 'excluded')))
    execute function keep_appointment();

-- The callback that came to nothing: somebody was there, and no more is known (AAPOR knows no code of its own for it).
create or replace function attempt_disposition(
    outcome text, counted boolean, answered_by text, error_code text, survey_outcome text
) returns smallint
language sql immutable parallel safe
as $$
    select (case
        when outcome is null or not counted then null
        when outcome = 'completed' and survey_outcome = 'completed' then 0
        when outcome = 'completed' then 1
        when outcome = 'refused' then 2
        when outcome = 'answering_machine' and answered_by is distinct from 'fax' then 3
        when outcome = 'answering_machine' then 4
        when outcome = 'failed' and error_code in (
            'sip_404', 'sip_410', 'sip_484', 'sip_604', '21211', '21214', '21217', '21202', '13225') then 5
        when outcome in ('no_answer', 'callback') then 6
        when outcome = 'busy' then 7
        else 8
    end)::smallint
$$;

-- They act with their owner's rights and must not be led to other tables.
do $$
begin
    execute format(
        'alter function appoint_contact(uuid, timestamptz, timestamptz, text, uuid) set search_path = %I, pg_temp',
        current_schema());
    execute format('alter function try_appointment() set search_path = %I, pg_temp', current_schema());
    execute format('alter function keep_appointment() set search_path = %I, pg_temp', current_schema());
end
$$;
