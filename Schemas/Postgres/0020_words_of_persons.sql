-- What persons have said stays said: consent by number, lists as they were, no trace that comes back.
-- Forward-only. Runs inside one transaction.

-- What was said last about consent, also by those who are no contact yet: an import grants nothing that was withdrawn.
-- Without a campaign it holds for all.
create table consents (
    phone_number text not null check (phone_number ~ '^\+[1-9][0-9]{6,14}$'),
    campaign_id uuid references campaigns on delete cascade,
    is_given boolean not null,
    recorded_at timestamptz not null default clock_timestamp()
);
create unique index consents_of_number
    on consents (phone_number, (coalesce(campaign_id, '00000000-0000-0000-0000-000000000000')));
create index consents_of_campaign on consents (campaign_id) where campaign_id is not null;

-- When a later row or file brought the wish; null where it came with the contact.
alter table contacts add column do_not_call_at timestamptz;

alter table contact_imports
    -- Persons who asked to be forgotten, left out.
    add column rows_erased bigint not null default 0,
    -- Contacts that were there and that a row has taken out: as do-not-call, or for want of consent.
    add column rows_barred bigint not null default 0,
    add column rows_withdrawn bigint not null default 0,
    -- Rows whose number is in no range that is known to be assigned: taken, and told.
    add column rows_unassigned bigint not null default 0;

-- An exclusion that has expired and is renewed is another one: between the two the number could be called.
create function keep_expired_exclusion() returns trigger
language plpgsql security definer
as $$
begin
    insert into removed_exclusions (campaign_id, phone_number, reason, source, created_at, expires_at)
    values ((to_jsonb(old) ->> 'campaign_id')::uuid, old.phone_number, old.reason, old.source, old.created_at,
        old.expires_at);
    new.created_at := clock_timestamp();
    return new;
end
$$;

create trigger exclusion_list_entries_renewed before update on exclusion_list_entries for each row
    when (old.expires_at <= clock_timestamp() and new.expires_at is distinct from old.expires_at)
    execute function keep_expired_exclusion();
create trigger campaign_exclusions_renewed before update on campaign_exclusions for each row
    when (old.expires_at <= clock_timestamp() and new.expires_at is distinct from old.expires_at)
    execute function keep_expired_exclusion();

create index removed_exclusions_of_number on removed_exclusions (phone_number);

-- A report that comes late, or again, must not bring back what a person asked to be forgotten.
create function keep_attempt_erased() returns trigger
language plpgsql
as $$
begin
    new.provider_call_id := null;
    new.metadata := null;
    return new;
end
$$;

create trigger call_attempts_stay_erased before update on call_attempts for each row
    when (new.phone_number is null and (new.provider_call_id is not null or new.metadata is not null))
    execute function keep_attempt_erased();

do $$
begin
    -- Last of all the caller's temporary tables, which would hide ours.
    execute format('alter function keep_expired_exclusion() set search_path = %I, pg_temp', current_schema());
end
$$;
