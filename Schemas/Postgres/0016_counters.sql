-- Counters of contacts and attempts, so that a report costs the same whatever the campaign's size.
-- Forward-only. Runs inside one transaction; it counts what is there, during which the roles wait.

lock table contacts, call_attempts in access exclusive mode;

-- What an attempt that was charged has brought, in AAPOR's order of precedence: the smallest counts. 0 an interview that
-- was reported, 1 one that only the provider tells of, 2 a refusal, 3 an answering device, 4 a fax, 5 a number that does
-- not work, 6 no answer, 7 busy, 8 a technical problem; null while it is open, or when nothing was placed.
create function attempt_disposition(
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
        when outcome = 'no_answer' then 6
        when outcome = 'busy' then 7
        else 8
    end)::smallint
$$;

-- The smallest of a contact's attempts; 9 without any.
alter table contacts add column disposition smallint not null default 9 check (disposition between 0 and 9);

update contacts c
set disposition = b.disposition
from (
    select a.contact_id,
        min(attempt_disposition(a.outcome, a.counted, a.answered_by, a.error_code, a.survey_outcome)) as disposition
    from call_attempts a
    group by a.contact_id) b
where c.id = b.contact_id and b.disposition is not null;

-- Sums to be summed up: whoever changes rows adds what has changed, and waits for nobody; the Selector merges them.
create table contact_counts (
    campaign_id uuid not null,
    state text not null,
    -- Whether it is to be called again.
    is_waiting boolean not null,
    disposition smallint not null,
    contacts bigint not null
) with (autovacuum_vacuum_threshold = 1000);
create index contact_counts_campaign on contact_counts (campaign_id);

create table attempt_counts (
    campaign_id uuid not null,
    -- Null while the call is open.
    outcome text,
    counted boolean not null,
    attempts bigint not null
) with (autovacuum_vacuum_threshold = 1000);
create index attempt_counts_campaign on attempt_counts (campaign_id);

insert into contact_counts (campaign_id, state, is_waiting, disposition, contacts)
select campaign_id, state, next_attempt_at is not null and state <> 'in_progress', disposition, count(*)
from contacts
group by 1, 2, 3, 4;

insert into attempt_counts (campaign_id, outcome, counted, attempts)
select campaign_id, outcome, counted, count(*)
from call_attempts
group by 1, 2, 3;

-- The functions count for whoever writes, with the rights of the tables' owner: a role may have no access to the sums.
create function count_contacts() returns trigger
language plpgsql security definer
as $$
begin
    if tg_op = 'INSERT' then
        insert into contact_counts (campaign_id, state, is_waiting, disposition, contacts)
        select n.campaign_id, n.state, n.next_attempt_at is not null and n.state <> 'in_progress', n.disposition, count(*)
        from new_rows n
        group by 1, 2, 3, 4;
    elsif tg_op = 'DELETE' then
        insert into contact_counts (campaign_id, state, is_waiting, disposition, contacts)
        select o.campaign_id, o.state, o.next_attempt_at is not null and o.state <> 'in_progress', o.disposition, -count(*)
        from old_rows o
        group by 1, 2, 3, 4;
    else
        insert into contact_counts (campaign_id, state, is_waiting, disposition, contacts)
        select r.campaign_id, r.state, r.next_attempt_at is not null and r.state <> 'in_progress', r.disposition, sum(r.n)
        from (
            select campaign_id, state, next_attempt_at, disposition, 1 as n from new_rows
            union all
            select campaign_id, state, next_attempt_at, disposition, -1 from old_rows) r
        group by 1, 2, 3, 4
        having sum(r.n) <> 0;
    end if;
    return null;
end
$$;

create function count_attempts() returns trigger
language plpgsql security definer
as $$
begin
    if tg_op = 'INSERT' then
        insert into attempt_counts (campaign_id, outcome, counted, attempts)
        select n.campaign_id, n.outcome, n.counted, count(*)
        from new_rows n
        group by 1, 2, 3;
    elsif tg_op = 'DELETE' then
        insert into attempt_counts (campaign_id, outcome, counted, attempts)
        select o.campaign_id, o.outcome, o.counted, -count(*)
        from old_rows o
        group by 1, 2, 3;
    elsif exists (select from new_rows where outcome is not null) then
        insert into attempt_counts (campaign_id, outcome, counted, attempts)
        select r.campaign_id, r.outcome, r.counted, sum(r.n)
        from (
            select campaign_id, outcome, counted, 1 as n from new_rows
            union all
            select campaign_id, outcome, counted, -1 from old_rows) r
        group by 1, 2, 3
        having sum(r.n) <> 0;
    end if;
    return null;
end
$$;

-- Whoever records an outcome writes the disposition with it; this is for the programs and statements that do not.
create function settle_dispositions() returns trigger
language plpgsql security definer
as $$
begin
    if not exists (select from new_rows where outcome is not null) then
        return null;
    end if;
    update contacts c
    set disposition = b.disposition
    from (
        select n.contact_id,
            min(attempt_disposition(n.outcome, n.counted, n.answered_by, n.error_code, n.survey_outcome)) as disposition
        from new_rows n
        where n.outcome is not null
        group by n.contact_id) b
    where c.id = b.contact_id and b.disposition < c.disposition;
    if tg_op = 'INSERT' then
        return null;
    end if;
    -- The word of an interview may change an outcome to one that counts for less. Grouped and not joined: a plan made for
    -- a few rows is kept, and a batch has hundreds.
    update contacts c
    set disposition = coalesce((
        select min(attempt_disposition(a.outcome, a.counted, a.answered_by, a.error_code, a.survey_outcome))
        from call_attempts a
        where a.contact_id = c.id
            and (a.phone_number = c.phone_number or c.phone_number is null and a.campaign_id = c.campaign_id)), 9)
    where c.id in (
        select r.contact_id
        from (
            select contact_id, id, outcome, counted, answered_by, error_code, survey_outcome, true as is_new from new_rows
            union all
            select contact_id, id, outcome, counted, answered_by, error_code, survey_outcome, false from old_rows
            where outcome is not null) r
        cross join lateral attempt_disposition(r.outcome, r.counted, r.answered_by, r.error_code, r.survey_outcome) as d
        group by r.contact_id, r.id
        having min(d) filter (where not r.is_new) < coalesce(min(d) filter (where r.is_new), 9));
    return null;
end
$$;

do $$
begin
    -- Last of all the caller's temporary tables, which would hide ours.
    execute format('alter function count_contacts() set search_path = %I, pg_temp', current_schema());
    execute format('alter function count_attempts() set search_path = %I, pg_temp', current_schema());
    execute format('alter function settle_dispositions() set search_path = %I, pg_temp', current_schema());
end
$$;

create trigger contacts_count_inserted after insert on contacts
    referencing new table as new_rows for each statement execute function count_contacts();
create trigger contacts_count_updated after update on contacts
    referencing new table as new_rows old table as old_rows for each statement execute function count_contacts();
create trigger contacts_count_deleted after delete on contacts
    referencing old table as old_rows for each statement execute function count_contacts();

create trigger call_attempts_count_inserted after insert on call_attempts
    referencing new table as new_rows for each statement execute function count_attempts();
create trigger call_attempts_count_updated after update on call_attempts
    referencing new table as new_rows old table as old_rows for each statement execute function count_attempts();
create trigger call_attempts_count_deleted after delete on call_attempts
    referencing old table as old_rows for each statement execute function count_attempts();

create trigger call_attempts_settle_inserted after insert on call_attempts
    referencing new table as new_rows for each statement execute function settle_dispositions();
create trigger call_attempts_settle_updated after update on call_attempts
    referencing new table as new_rows old table as old_rows for each statement execute function settle_dispositions();
