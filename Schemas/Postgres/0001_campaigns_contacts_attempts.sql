-- Campaigns, contacts, attempts, exclusions; the calling window; the outbox of survey events.
-- Forward-only. Runs inside one transaction.

-- Time-ordered ids (RFC 9562, UUID version 7): index inserts stay at the right edge.
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

-- The one answer to "may we phone this time zone at this instant?", used by the Selector, the Dialer and reports:
-- null when the window is closed, else the instant at which it closes ('infinity' when it never does).
-- A window whose start is after its end crosses midnight and belongs to the weekday on which it opens.
create function call_window_closes_at(
    window_start time, window_end time, weekdays smallint[], zone text, at_instant timestamptz
) returns timestamptz
language sql stable parallel safe
as $$
    select case
        when window_start is null then
            case
                when not extract(isodow from l.local)::smallint = any (weekdays) then null
                when weekdays @> array[1, 2, 3, 4, 5, 6, 7]::smallint[] then 'infinity'::timestamptz
                else (l.local::date + 1)::timestamp at time zone zone
            end
        when window_start < window_end then
            case
                when l.local::time >= window_start and l.local::time < window_end
                    and extract(isodow from l.local)::smallint = any (weekdays)
                then (l.local::date + window_end) at time zone zone
            end
        when l.local::time >= window_start and extract(isodow from l.local)::smallint = any (weekdays)
            then (l.local::date + 1 + window_end) at time zone zone
        when l.local::time < window_end and extract(isodow from l.local::date - 1)::smallint = any (weekdays)
            then (l.local::date + window_end) at time zone zone
    end
    from (select at_instant at time zone zone as local) as l
$$;

create table trunks (
    name text primary key,
    paused_at timestamptz,
    paused_reason text,
    check ((paused_at is null) = (paused_reason is null))
);

create table campaigns (
    id uuid primary key default uuid_v7(),
    name text not null unique check (length(name) between 1 and 100),
    status text not null default 'draft'
        check (status in ('draft', 'scheduled', 'running', 'paused', 'completed', 'cancelled')),
    status_reason text,
    status_changed_at timestamptz not null default now(),
    language text not null default 'en',
    trunk text not null default 'default',
    priority integer not null default 0,
    max_attempts smallint not null default 3 check (max_attempts between 1 and 15),
    retry_interval_minutes integer not null default 60 check (retry_interval_minutes between 0 and 525600),
    allowed_call_start_local time default '09:00',
    allowed_call_end_local time default '20:00',
    call_days smallint[] not null default array[1, 2, 3, 4, 5, 6, 7]::smallint[],
    time_zone text not null,
    max_concurrent_calls integer check (max_concurrent_calls >= 1),
    ring_timeout_seconds integer not null default 30 check (ring_timeout_seconds between 5 and 600),
    max_call_seconds integer not null default 600 check (max_call_seconds between 10 and 14400),
    detects_machines boolean not null default false,
    caller_id text check (caller_id ~ '^\+[1-9][0-9]{6,14}$'),
    answer_url text,
    starts_at timestamptz,
    ends_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    check ((allowed_call_start_local is null) = (allowed_call_end_local is null)),
    check (allowed_call_start_local <> allowed_call_end_local),
    check (cardinality(call_days) > 0 and call_days <@ array[1, 2, 3, 4, 5, 6, 7]::smallint[]),
    check (starts_at < ends_at),
    check (status <> 'running' or (caller_id is not null and answer_url is not null))
);

-- The zones that a campaign's contacts have; '' stands for the campaign's own. Lets the claim compute the open zones
-- first and never scan a closed one.
create table campaign_time_zones (
    campaign_id uuid not null references campaigns on delete cascade,
    time_zone text not null,
    primary key (campaign_id, time_zone)
);

-- A state change is never HOT, so every index here is paid several times per call: keep them few.
create table contacts (
    id uuid primary key default uuid_v7(),
    campaign_id uuid not null references campaigns on delete cascade,
    external_contact_id text,
    phone_number text not null check (phone_number ~ '^\+[1-9][0-9]{6,14}$'),
    email text,
    preferred_language text,
    has_prior_consent boolean not null default false,
    do_not_call boolean not null default false,
    time_zone text check (time_zone <> ''),
    state text not null default 'pending'
        check (state in ('pending', 'in_progress', 'completed', 'refused', 'not_reached', 'excluded')),
    attempts_count smallint not null default 0 check (attempts_count >= 0),
    last_attempt_at timestamptz,
    last_outcome text,
    next_attempt_at timestamptz,
    -- The claim. prior_state is set from the claim until the attempt row exists, and null from then on.
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

create index contacts_due on contacts (campaign_id, (coalesce(time_zone, '')), next_attempt_at)
    where state in ('pending', 'not_reached') and next_attempt_at is not null;

create index contacts_claimed on contacts (campaign_id, lease_until) where state = 'in_progress';

-- No foreign keys: the rows are only written by the statement that has just locked the contact, and a key-share lock
-- on the campaign's row for every call would make all dialers meet there.
create table call_attempts (
    id bigint generated always as identity primary key,
    call_id uuid not null unique,
    contact_id uuid not null,
    campaign_id uuid not null,
    attempt_number smallint not null check (attempt_number between 1 and 15),
    phone_number text not null,
    provider_call_id text,
    dialer_id text not null,
    status text not null default 'placing'
        check (status in ('placing', 'placed', 'ringing', 'answered', 'unknown', 'ended')),
    -- The rank of the strongest report so far; only a stronger one changes the row, whatever the order of arrival.
    report_rank smallint not null default 0,
    started_at timestamptz not null default now(),
    placed_at timestamptz,
    answered_at timestamptz,
    ended_at timestamptz,
    -- The call must have ended by then; afterwards somebody asks the provider.
    deadline_at timestamptz not null,
    outcome text
        check (outcome in ('completed', 'refused', 'no_answer', 'busy', 'failed', 'answering_machine')),
    -- False when the provider definitely placed nothing: such an attempt is not charged to the contact.
    counted boolean not null default true,
    answered_by text check (answered_by in ('human', 'machine', 'fax', 'unknown')),
    provider_raw_status text,
    error_code text,
    metadata jsonb,
    check ((status = 'ended') = (ended_at is not null)),
    check ((outcome is null) = (ended_at is null))
) with (
    fillfactor = 85,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_cost_delay = 1,
    autovacuum_vacuum_insert_scale_factor = 0.05
);

-- At most one open attempt per number, across campaigns.
create unique index call_attempts_open_number on call_attempts (phone_number) where ended_at is null;
create index call_attempts_open on call_attempts (deadline_at) where ended_at is null;
create index call_attempts_provider on call_attempts (provider_call_id) where provider_call_id is not null;
create index call_attempts_campaign on call_attempts (campaign_id, started_at);

create table exclusion_list_entries (
    phone_number text primary key check (phone_number ~ '^\+[1-9][0-9]{6,14}$'),
    reason text,
    source text not null default 'manual' check (source in ('import', 'api', 'manual')),
    created_at timestamptz not null default now()
);

-- Outbox: written in the transaction that ends a contact's story, published afterwards, always with the same id.
create table survey_events (
    event_id uuid primary key default uuid_v7(),
    kind text not null check (kind in ('completed', 'refused', 'not_reached')),
    call_id uuid not null,
    contact_id uuid not null,
    campaign_id uuid not null,
    external_contact_id text,
    attempts smallint not null,
    occurred_at timestamptz not null default now(),
    published_at timestamptz,
    unique (contact_id, kind)
);

create index survey_events_unpublished on survey_events (occurred_at) where published_at is null;

-- Who changed the state of which campaign, when and why.
create table campaign_changes (
    id bigint generated always as identity primary key,
    campaign_id uuid not null references campaigns on delete cascade,
    changed_at timestamptz not null default now(),
    status text not null,
    reason text,
    actor text not null
);
