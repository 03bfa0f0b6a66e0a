-- Exclusions that end by themselves or hold for one campaign; calls only with consent; the outcome "rejected".
-- Forward-only. Runs inside one transaction.

-- Null: for good. Until it ends, a contact rests; after it, it may be called again.
alter table exclusion_list_entries add column expires_at timestamptz;

create table campaign_exclusions (
    campaign_id uuid not null references campaigns on delete cascade,
    phone_number text not null check (phone_number ~ '^\+[1-9][0-9]{6,14}$'),
    reason text,
    source text not null default 'manual' check (source in ('import', 'api', 'manual')),
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    primary key (campaign_id, phone_number)
);

-- What was taken off the lists, so that a period can be judged afterwards by the lists as they were.
create table removed_exclusions (
    id bigint primary key generated always as identity,
    campaign_id uuid,
    phone_number text not null,
    reason text,
    source text not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    removed_at timestamptz not null default now()
);

create function keep_removed_exclusion() returns trigger
language plpgsql
as $$
begin
    insert into removed_exclusions (campaign_id, phone_number, reason, source, created_at, expires_at)
    values ((to_jsonb(old) ->> 'campaign_id')::uuid, old.phone_number, old.reason, old.source, old.created_at,
        old.expires_at);
    return null;
end
$$;

create trigger exclusion_list_entries_removed after delete on exclusion_list_entries
    for each row execute function keep_removed_exclusion();
create trigger campaign_exclusions_removed after delete on campaign_exclusions
    for each row execute function keep_removed_exclusion();

alter table contacts add column excluded_reason text;

alter table campaigns add column if not exists requires_consent boolean not null default false;

alter table call_attempts drop constraint call_attempts_outcome_check;
alter table call_attempts add constraint call_attempts_outcome_check check (
    outcome in ('completed', 'refused', 'no_answer', 'busy', 'failed', 'answering_machine', 'rejected')) not valid;
