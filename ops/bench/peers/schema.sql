-- The tables of the peers: those of Schemas/Postgres as far as the job touches them. Same types, checks, fill factors and
-- settings of autovacuum, so that a call costs the database as much. Left out are the columns and indexes that serve
-- quotas, limits of numbers, audits and exports, which the peers do not have: it is they who gain.

create function uuid_v7() returns uuid
language sql volatile parallel safe
as $$
    select encode(
        set_bit(set_bit(
            overlay(
                uuid_send(gen_random_uuid())
                placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
                from 1 for 6
            ), 52, 1), 53, 1),
        'hex')::uuid
$$;

create table contacts (
    id uuid primary key default uuid_v7(),
    campaign_id uuid not null,
    phone_number text not null check (phone_number ~ '^\+[1-9][0-9]{6,14}$'),
    state text not null default 'pending'
        check (state in ('pending', 'in_progress', 'completed', 'refused', 'not_reached', 'excluded')),
    attempts_count smallint not null default 0 check (attempts_count >= 0),
    last_attempt_at timestamptz,
    last_outcome text,
    next_attempt_at timestamptz,
    call_id uuid,
    prior_state text check (prior_state in ('pending', 'not_reached')),
    lease_until timestamptz,
    created_at timestamptz not null default now(),
    unique (campaign_id, phone_number),
    check (state <> 'in_progress' or (call_id is not null and lease_until is not null)),
    check (prior_state is null or state = 'in_progress'),
    check (state in ('pending', 'not_reached', 'in_progress') or next_attempt_at is null)
) with (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_cost_delay = 1,
    autovacuum_analyze_scale_factor = 0.02
);

create index contacts_due on contacts (campaign_id, next_attempt_at)
    where state in ('pending', 'not_reached') and next_attempt_at is not null;
create index contacts_claimed on contacts (campaign_id, lease_until) where state = 'in_progress';

create table call_attempts (
    call_id uuid primary key,
    contact_id uuid not null,
    campaign_id uuid not null,
    attempt_number smallint not null check (attempt_number between 1 and 15),
    phone_number text not null,
    provider_call_id text,
    status text not null default 'placing'
        check (status in ('placing', 'placed', 'ringing', 'answered', 'unknown', 'ended')),
    started_at timestamptz not null default now(),
    ended_at timestamptz,
    deadline_at timestamptz not null,
    outcome text check (outcome in ('completed', 'refused', 'no_answer', 'busy', 'failed', 'answering_machine')),
    check ((status = 'ended') = (ended_at is not null)),
    check ((outcome is null) = (ended_at is null))
) with (
    fillfactor = 85,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_cost_delay = 1,
    autovacuum_vacuum_insert_scale_factor = 0.05
);

create unique index call_attempts_open_number on call_attempts (phone_number) where ended_at is null;
create index call_attempts_open on call_attempts (deadline_at) where ended_at is null;
create index call_attempts_provider on call_attempts (provider_call_id) where provider_call_id is not null;
create index call_attempts_campaign on call_attempts (campaign_id, started_at);
