-- The schema as the migrations up to 0030_zone_evidence make it, for reading: written by ops/write-schema,
-- held against a migrated database by SchemaTests, and never run by the program. Rights are in ops/postgres/roles.sql.
-- Tables come in the order in which they were made, then the functions, in that in which they were made
-- last, then triggers by table.
-- The migrator's own table, schema_migrations, is not here.

-- Functions say what they need before it is there.
SET check_function_bodies = off;

-- Time-ordered ids (RFC 9562, UUID version 7): index inserts stay at the right edge.
CREATE FUNCTION uuid_v7() RETURNS uuid
    LANGUAGE sql PARALLEL SAFE
    AS $$
    select encode(
        set_bit(set_bit(
            overlay(
                uuid_send(gen_random_uuid())
                placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
                from 1 for 6
            ), 52, 1), 53, 1),
        'hex')::uuid
$$;

-- A week of windows as minutes after Monday, 00:00, local time. A window that crosses midnight goes on into the next
-- day, the one of Sunday into Monday.
CREATE FUNCTION week_of(opens time without time zone, closes time without time zone, weekdays smallint[]) RETURNS int4multirange
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    select coalesce(range_agg(p.part), '{}'::int4multirange)
    from unnest(weekdays) as d
    cross join lateral (
        select (d - 1) * 1440 + coalesce(extract(epoch from opens)::int / 60, 0) as first,
            (d - 1) * 1440 + case
                when opens is null then 1440
                when opens < closes then extract(epoch from closes)::int / 60
                else 1440 + extract(epoch from closes)::int / 60
            end as last) as w
    cross join lateral (
        values (int4range(w.first, least(w.last, 10080))), (int4range(0, greatest(w.last - 10080, 0)))) as p (part)
    where not isempty(p.part)
$$;

CREATE FUNCTION zone_evidence_rank(evidence text) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    select array_position(array['country', 'area-code', 'postal-code'], evidence)
$$;

CREATE TABLE trunks (
    name text NOT NULL,
    paused_at timestamptz,
    paused_reason text,
    fault text,
    fault_since timestamptz,
    fault_count integer DEFAULT 0 NOT NULL,
    retry_at timestamptz,
    CONSTRAINT trunks_check CHECK (((paused_at IS NULL) = (paused_reason IS NULL))),
    CONSTRAINT trunks_pkey PRIMARY KEY (name)
);

CREATE TABLE campaigns (
    id uuid DEFAULT uuid_v7() NOT NULL,
    name text NOT NULL,
    status text DEFAULT 'draft'::text NOT NULL,
    status_reason text,
    status_changed_at timestamptz DEFAULT now() NOT NULL,
    language text DEFAULT 'en'::text NOT NULL,
    trunk text DEFAULT 'default'::text NOT NULL,
    priority integer DEFAULT 0 NOT NULL,
    max_attempts smallint DEFAULT 3 NOT NULL,
    retry_interval_minutes integer DEFAULT 60 NOT NULL,
    allowed_call_start_local time without time zone DEFAULT '09:00:00'::time without time zone,
    allowed_call_end_local time without time zone DEFAULT '20:00:00'::time without time zone,
    call_days smallint[] DEFAULT ARRAY[(1)::smallint, (2)::smallint, (3)::smallint, (4)::smallint, (5)::smallint, (6)::smallint, (7)::smallint] NOT NULL,
    time_zone text NOT NULL,
    max_concurrent_calls integer,
    ring_timeout_seconds integer DEFAULT 30 NOT NULL,
    max_call_seconds integer DEFAULT 600 NOT NULL,
    detects_machines boolean DEFAULT false NOT NULL,
    caller_id text,
    answer_url text,
    starts_at timestamptz,
    ends_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    -- Minutes by outcome, such as {"busy": 15}; what is not named takes retry_interval_minutes.
    retry_minutes jsonb DEFAULT '{}'::jsonb NOT NULL,
    -- Up to this share of the pause is added, different for each call, so that many contacts do not come back at once.
    retry_jitter_percent smallint DEFAULT 0 NOT NULL,
    -- Null: the one daily window of the older columns.
    weekly_windows int4multirange,
    -- Local dates.
    blocked_dates datemultirange DEFAULT '{}'::datemultirange NOT NULL,
    -- A list such as [{"attempts": 3, "hours": 24}, {"attempts": 1, "hours": 168, "outcomes": ["completed"]}]: no call while
    -- so many attempts, or attempts that ended like this, lie within the hours before.
    number_limits jsonb DEFAULT '[]'::jsonb NOT NULL,
    requires_consent boolean DEFAULT false NOT NULL,
    policy_name text,
    policy_version text,
    policy_week int4multirange DEFAULT '{[0,10080)}'::int4multirange NOT NULL,
    policy_blocked datemultirange DEFAULT '{}'::datemultirange NOT NULL,
    policy_limits jsonb DEFAULT '[]'::jsonb NOT NULL,
    -- What the campaign itself has settled. number_limits and blocked_dates are what is in force, and what every check
    -- reads. Null, and no dates: nothing but the campaign's own is in force yet.
    own_number_limits jsonb,
    own_blocked_dates datemultirange DEFAULT '{}'::datemultirange NOT NULL,
    calling_week int4multirange GENERATED ALWAYS AS ((COALESCE(weekly_windows, week_of(allowed_call_start_local, allowed_call_end_local, call_days)) * policy_week)) STORED NOT NULL,
    -- Lines of a trunk are shared among campaigns of one priority in these proportions.
    weight smallint DEFAULT 1 NOT NULL,
    calls_per_hour integer,
    target_completes integer,
    -- Attempts that ended like this, at most, such as {"busy": 5}.
    outcome_maximums jsonb DEFAULT '{}'::jsonb NOT NULL,
    -- Such as [{"name": "evening", "week": "{[1020,1200)}", "attempts": 2}]; attempts may be absent.
    day_parts jsonb DEFAULT '[]'::jsonb NOT NULL,
    -- Why nothing, or not everything, of a campaign is called although it runs, or why a trunk gets no requests; since when,
    -- how often in a row, and when it is tried again. Null in all of them when all is well.
    fault text,
    fault_since timestamptz,
    fault_count integer DEFAULT 0 NOT NULL,
    retry_at timestamptz,
    -- Since when a campaign is paused because all were; null once its state is changed by itself.
    paused_with_all_at timestamptz,
    -- The policy's; null where consent does not end by itself.
    consent_expires interval,
    zone_evidence text DEFAULT 'country'::text NOT NULL,
    -- The weakest that the policy allows.
    policy_zone_evidence text DEFAULT 'postal-code'::text NOT NULL,
    CONSTRAINT campaigns_call_days_check CHECK (((cardinality(call_days) > 0) AND (call_days <@ ARRAY[(1)::smallint, (2)::smallint, (3)::smallint, (4)::smallint, (5)::smallint, (6)::smallint, (7)::smallint]))),
    CONSTRAINT campaigns_caller_id_check CHECK ((caller_id ~ '^\+[1-9][0-9]{6,14}$'::text)),
    -- Outside the policy's windows altogether, a campaign would never call and never say why.
    CONSTRAINT campaigns_calling_week CHECK ((NOT isempty(calling_week))),
    CONSTRAINT campaigns_calls_per_hour_check CHECK (((calls_per_hour >= 1) AND (calls_per_hour <= 1000000))),
    CONSTRAINT campaigns_check CHECK (((allowed_call_start_local IS NULL) = (allowed_call_end_local IS NULL))),
    CONSTRAINT campaigns_check1 CHECK ((allowed_call_start_local <> allowed_call_end_local)),
    CONSTRAINT campaigns_check2 CHECK ((starts_at < ends_at)),
    CONSTRAINT campaigns_check3 CHECK (((status <> 'running'::text) OR ((caller_id IS NOT NULL) AND (answer_url IS NOT NULL)))),
    CONSTRAINT campaigns_consent_expires_check CHECK ((consent_expires > '00:00:00'::interval)),
    CONSTRAINT campaigns_day_parts_check CHECK ((jsonb_typeof(day_parts) = 'array'::text)),
    CONSTRAINT campaigns_max_attempts_check CHECK (((max_attempts >= 1) AND (max_attempts <= 15))),
    CONSTRAINT campaigns_max_call_seconds_check CHECK (((max_call_seconds >= 10) AND (max_call_seconds <= 14400))),
    CONSTRAINT campaigns_max_concurrent_calls_check CHECK ((max_concurrent_calls >= 1)),
    CONSTRAINT campaigns_name_check CHECK (((length(name) >= 1) AND (length(name) <= 100))),
    CONSTRAINT campaigns_number_limits_check CHECK ((jsonb_typeof(number_limits) = 'array'::text)),
    CONSTRAINT campaigns_outcome_maximums_check CHECK ((jsonb_typeof(outcome_maximums) = 'object'::text)),
    CONSTRAINT campaigns_own_number_limits_check CHECK ((jsonb_typeof(own_number_limits) = 'array'::text)),
    CONSTRAINT campaigns_policy_limits_check CHECK ((jsonb_typeof(policy_limits) = 'array'::text)),
    CONSTRAINT campaigns_policy_zone_evidence_check CHECK ((policy_zone_evidence = ANY (ARRAY['country'::text, 'area-code'::text, 'postal-code'::text]))),
    CONSTRAINT campaigns_retry_interval_minutes_check CHECK (((retry_interval_minutes >= 0) AND (retry_interval_minutes <= 525600))),
    CONSTRAINT campaigns_retry_jitter_percent_check CHECK (((retry_jitter_percent >= 0) AND (retry_jitter_percent <= 100))),
    CONSTRAINT campaigns_retry_minutes_check CHECK ((jsonb_typeof(retry_minutes) = 'object'::text)),
    CONSTRAINT campaigns_ring_timeout_seconds_check CHECK (((ring_timeout_seconds >= 5) AND (ring_timeout_seconds <= 600))),
    CONSTRAINT campaigns_status_check CHECK ((status = ANY (ARRAY['draft'::text, 'scheduled'::text, 'running'::text, 'paused'::text, 'completed'::text, 'cancelled'::text]))),
    CONSTRAINT campaigns_target_completes_check CHECK ((target_completes >= 1)),
    CONSTRAINT campaigns_weekly_windows_check CHECK (((weekly_windows <> '{}'::int4multirange) AND (weekly_windows <@ '{[0,10080)}'::int4multirange))),
    CONSTRAINT campaigns_weight_check CHECK (((weight >= 1) AND (weight <= 1000))),
    CONSTRAINT campaigns_zone_evidence CHECK ((zone_evidence_rank(zone_evidence) <= zone_evidence_rank(policy_zone_evidence))),
    CONSTRAINT campaigns_zone_evidence_check CHECK ((zone_evidence = ANY (ARRAY['country'::text, 'area-code'::text, 'postal-code'::text]))),
    CONSTRAINT campaigns_name_key UNIQUE (name),
    CONSTRAINT campaigns_pkey PRIMARY KEY (id)
);

-- The zones that a campaign's contacts have; '' stands for the campaign's own. Lets the claim compute the open zones
-- first and never scan a closed one.
CREATE TABLE campaign_time_zones (
    campaign_id uuid NOT NULL,
    time_zone text NOT NULL,
    CONSTRAINT campaign_time_zones_pkey PRIMARY KEY (campaign_id, time_zone),
    CONSTRAINT campaign_time_zones_campaign_id_fkey FOREIGN KEY (campaign_id) REFERENCES campaigns(id) ON DELETE CASCADE
);

-- A state change is never HOT, so every index here is paid several times per call: keep them few.
CREATE TABLE contacts (
    id uuid DEFAULT uuid_v7() NOT NULL,
    campaign_id uuid NOT NULL,
    external_contact_id text,
    phone_number text,
    email text,
    preferred_language text,
    has_prior_consent boolean DEFAULT false NOT NULL,
    do_not_call boolean DEFAULT false NOT NULL,
    time_zone text,
    state text DEFAULT 'pending'::text NOT NULL,
    attempts_count smallint DEFAULT 0 NOT NULL,
    last_attempt_at timestamptz,
    last_outcome text,
    next_attempt_at timestamptz,
    -- The claim. prior_state is set from the claim until the attempt row exists, and null from then on.
    call_id uuid,
    prior_state text,
    lease_until timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    stratum_id integer NOT NULL,
    excluded_reason text,
    -- Attempts made in each part, in the campaign's order; null before the first.
    day_part_attempts smallint[],
    erased_at timestamptz,
    -- The smallest of a contact's attempts; 9 without any.
    disposition smallint DEFAULT 9 NOT NULL,
    -- When a later row or file brought the wish; null where it came with the contact.
    do_not_call_at timestamptz,
    -- Which import has brought a contact. No index: an undo reads the campaign's contacts.
    import_id uuid,
    consent_at timestamptz,
    consent_source text,
    consent_proof text,
    CONSTRAINT contacts_attempts_count_check CHECK ((attempts_count >= 0)),
    CONSTRAINT contacts_check CHECK (((state <> 'in_progress'::text) OR ((call_id IS NOT NULL) AND (lease_until IS NOT NULL)))),
    CONSTRAINT contacts_check1 CHECK (((prior_state IS NULL) OR (state = 'in_progress'::text))),
    CONSTRAINT contacts_check2 CHECK (((state = ANY (ARRAY['pending'::text, 'not_reached'::text, 'in_progress'::text])) OR (next_attempt_at IS NULL))),
    CONSTRAINT contacts_disposition_check CHECK (((disposition >= 0) AND (disposition <= 9))),
    CONSTRAINT contacts_phone_number_check CHECK ((phone_number ~ '^\+[1-9][0-9]{6,14}$'::text)),
    CONSTRAINT contacts_prior_state_check CHECK ((prior_state = ANY (ARRAY['pending'::text, 'not_reached'::text]))),
    CONSTRAINT contacts_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'in_progress'::text, 'completed'::text, 'refused'::text, 'not_reached'::text, 'excluded'::text]))),
    CONSTRAINT contacts_time_zone_check CHECK ((time_zone <> ''::text)),
    CONSTRAINT contacts_campaign_id_phone_number_key UNIQUE (campaign_id, phone_number),
    CONSTRAINT contacts_pkey PRIMARY KEY (id),
    CONSTRAINT contacts_campaign_id_fkey FOREIGN KEY (campaign_id) REFERENCES campaigns(id) ON DELETE CASCADE
)
WITH (fillfactor='80', autovacuum_vacuum_scale_factor='0.01', autovacuum_vacuum_threshold='10000', autovacuum_vacuum_cost_delay='1', autovacuum_analyze_scale_factor='0.02');
ALTER TABLE contacts
    ADD CONSTRAINT contacts_erased_check CHECK (((phone_number IS NOT NULL) OR ((erased_at IS NOT NULL) AND (next_attempt_at IS NULL) AND (state <> ALL (ARRAY['pending'::text, 'in_progress'::text]))))) NOT VALID;
CREATE INDEX contacts_claimed ON contacts (campaign_id, lease_until) WHERE (state = 'in_progress'::text);
-- Entered once in a contact's life.
CREATE INDEX contacts_completed ON contacts (stratum_id) WHERE (state = 'completed'::text);
CREATE INDEX contacts_due_by_stratum ON contacts (stratum_id, next_attempt_at) WHERE ((state = ANY (ARRAY['pending'::text, 'not_reached'::text])) AND (next_attempt_at IS NOT NULL));
CREATE INDEX contacts_excluded_interviewed ON contacts (stratum_id) WHERE ((state = 'excluded'::text) AND (disposition <= 1));

-- No foreign keys: the rows are only written by the statement that has just locked the contact, and a key-share lock
-- on the campaign's row for every call would make all dialers meet there.
CREATE TABLE call_attempts (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    call_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    attempt_number smallint NOT NULL,
    phone_number text,
    provider_call_id text,
    dialer_id text NOT NULL,
    status text DEFAULT 'placing'::text NOT NULL,
    -- The rank of the strongest report so far; only a stronger one changes the row, whatever the order of arrival.
    report_rank smallint DEFAULT 0 NOT NULL,
    started_at timestamptz DEFAULT now() NOT NULL,
    placed_at timestamptz,
    answered_at timestamptz,
    ended_at timestamptz,
    -- The call must have ended by then; afterwards somebody asks the provider.
    deadline_at timestamptz NOT NULL,
    outcome text,
    -- False when the provider definitely placed nothing: such an attempt is not charged to the contact.
    counted boolean DEFAULT true NOT NULL,
    answered_by text,
    provider_raw_status text,
    error_code text,
    metadata jsonb,
    survey_outcome text,
    -- The policy under which the attempt was made, such as fr@2026-11-24.
    policy text,
    day_part smallint,
    -- When the interview's own outcome became known, which may be long after the call.
    survey_reported_at timestamptz,
    -- Whether consent was on record when the call was made; null for those before this migration.
    had_consent boolean,
    ringing_at timestamptz,
    cancel_requested_at timestamptz,
    -- The date of the consent under which the call was made.
    consent_at timestamptz,
    CONSTRAINT call_attempts_answered_by_check CHECK ((answered_by = ANY (ARRAY['human'::text, 'machine'::text, 'fax'::text, 'unknown'::text]))),
    CONSTRAINT call_attempts_attempt_number_check CHECK (((attempt_number >= 1) AND (attempt_number <= 15))),
    CONSTRAINT call_attempts_check CHECK (((status = 'ended'::text) = (ended_at IS NOT NULL))),
    CONSTRAINT call_attempts_check1 CHECK (((outcome IS NULL) = (ended_at IS NULL))),
    CONSTRAINT call_attempts_status_check CHECK ((status = ANY (ARRAY['placing'::text, 'placed'::text, 'ringing'::text, 'answered'::text, 'unknown'::text, 'ended'::text]))),
    CONSTRAINT call_attempts_call_id_key UNIQUE (call_id),
    CONSTRAINT call_attempts_pkey PRIMARY KEY (id)
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='10000', autovacuum_vacuum_cost_delay='1', autovacuum_vacuum_insert_scale_factor='0.05', fillfactor='65');
ALTER TABLE call_attempts
    ADD CONSTRAINT call_attempts_outcome_check CHECK ((outcome = ANY (ARRAY['completed'::text, 'refused'::text, 'no_answer'::text, 'busy'::text, 'failed'::text, 'answering_machine'::text, 'rejected'::text, 'callback'::text]))) NOT VALID;
-- Not validated: the column is new, and a scan of all attempts would find nothing.
ALTER TABLE call_attempts
    ADD CONSTRAINT call_attempts_survey_outcome_check CHECK ((survey_outcome = ANY (ARRAY['completed'::text, 'refused'::text, 'opt_out'::text, 'callback'::text]))) NOT VALID;
CREATE INDEX call_attempts_campaign ON call_attempts (campaign_id, started_at);
CREATE INDEX call_attempts_number ON call_attempts (phone_number, started_at);
CREATE INDEX call_attempts_open ON call_attempts (deadline_at) WHERE (ended_at IS NULL);
-- At most one open attempt per number, across campaigns.
CREATE UNIQUE INDEX call_attempts_open_number ON call_attempts (phone_number) WHERE (ended_at IS NULL);
-- A period is judged page by page.
CREATE INDEX call_attempts_started ON call_attempts (started_at, id);

CREATE TABLE exclusion_list_entries (
    phone_number text NOT NULL,
    reason text,
    source text DEFAULT 'manual'::text NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    -- Null: for good. Until it ends, a contact rests; after it, it may be called again.
    expires_at timestamptz,
    CONSTRAINT exclusion_list_entries_phone_number_check CHECK ((phone_number ~ '^\+[1-9][0-9]{6,14}$'::text)),
    CONSTRAINT exclusion_list_entries_source_check CHECK ((source = ANY (ARRAY['import'::text, 'api'::text, 'manual'::text]))),
    CONSTRAINT exclusion_list_entries_pkey PRIMARY KEY (phone_number)
);

-- Outbox: written in the transaction that ends a contact's story, published afterwards, always with the same id.
CREATE TABLE survey_events (
    event_id uuid DEFAULT uuid_v7() NOT NULL,
    kind text NOT NULL,
    call_id uuid NOT NULL,
    contact_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    external_contact_id text,
    attempts smallint NOT NULL,
    occurred_at timestamptz DEFAULT now() NOT NULL,
    published_at timestamptz,
    CONSTRAINT survey_events_kind_check CHECK ((kind = ANY (ARRAY['completed'::text, 'refused'::text, 'not_reached'::text]))),
    CONSTRAINT survey_events_contact_id_kind_key UNIQUE (contact_id, kind),
    CONSTRAINT survey_events_pkey PRIMARY KEY (event_id)
);
CREATE INDEX survey_events_unpublished ON survey_events (occurred_at) WHERE (published_at IS NULL);

-- Who changed the state of which campaign, when and why.
CREATE TABLE campaign_changes (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    campaign_id uuid NOT NULL,
    changed_at timestamptz DEFAULT now() NOT NULL,
    status text NOT NULL,
    reason text,
    actor text NOT NULL,
    CONSTRAINT campaign_changes_pkey PRIMARY KEY (id),
    CONSTRAINT campaign_changes_campaign_id_fkey FOREIGN KEY (campaign_id) REFERENCES campaigns(id) ON DELETE CASCADE
);

CREATE TABLE contact_imports (
    id uuid DEFAULT uuid_v7() NOT NULL,
    campaign_id uuid NOT NULL,
    file_name text NOT NULL,
    -- Null for a pipe, which cannot be read again.
    file_size bigint,
    -- Of the file's size, of its beginning and end, and of the options by which it is read.
    fingerprint text,
    -- Updated in the transaction that adds the contacts of these lines.
    lines_done bigint DEFAULT 0 NOT NULL,
    -- The part of the rejects file that belongs to them.
    rejects_bytes bigint DEFAULT 0 NOT NULL,
    rows_read bigint DEFAULT 0 NOT NULL,
    rows_added bigint DEFAULT 0 NOT NULL,
    rows_excluded bigint DEFAULT 0 NOT NULL,
    rows_present bigint DEFAULT 0 NOT NULL,
    rows_repeated bigint DEFAULT 0 NOT NULL,
    rows_rejected bigint DEFAULT 0 NOT NULL,
    zones_from_file bigint DEFAULT 0 NOT NULL,
    zones_from_number bigint DEFAULT 0 NOT NULL,
    zones_from_campaign bigint DEFAULT 0 NOT NULL,
    started_at timestamptz DEFAULT now() NOT NULL,
    finished_at timestamptz,
    -- Persons who asked to be forgotten, left out.
    rows_erased bigint DEFAULT 0 NOT NULL,
    -- Contacts that were there and that a row has taken out: as do-not-call, or for want of consent.
    rows_barred bigint DEFAULT 0 NOT NULL,
    rows_withdrawn bigint DEFAULT 0 NOT NULL,
    -- Rows whose number is in no range that is known to be assigned: taken, and told.
    rows_unassigned bigint DEFAULT 0 NOT NULL,
    undone_at timestamptz,
    undone_by text,
    -- How many rows of an import have weaker evidence.
    zones_by_prefix bigint DEFAULT 0 NOT NULL,
    zones_by_postal_code bigint DEFAULT 0 NOT NULL,
    zones_by_region bigint DEFAULT 0 NOT NULL,
    CONSTRAINT contact_imports_file_size_check CHECK ((file_size >= 0)),
    CONSTRAINT contact_imports_pkey PRIMARY KEY (id),
    CONSTRAINT contact_imports_campaign_id_fkey FOREIGN KEY (campaign_id) REFERENCES campaigns(id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX contact_imports_unfinished ON contact_imports (campaign_id, fingerprint) WHERE (finished_at IS NULL);

-- The claim looks at open strata only; contacts of a closed one are never read.
CREATE TABLE campaign_strata (
    id integer NOT NULL GENERATED ALWAYS AS IDENTITY,
    campaign_id uuid NOT NULL,
    -- ISO 3166; '' when it is not known.
    region text DEFAULT ''::text NOT NULL,
    -- IANA; several candidates as a list with commas, of which all must be open; '' for the campaign's zone.
    time_zone text DEFAULT ''::text NOT NULL,
    time_zone_source text DEFAULT 'campaign'::text NOT NULL,
    cell text DEFAULT ''::text NOT NULL,
    -- A stratum with weaker evidence has the source 'several', and what its `time_zone` comes from beside it: a program of
    -- before must not put its own contacts, of whose numbers it knows nothing, into such a stratum.
    own_zone_source text DEFAULT ''::text NOT NULL,
    number_zones text DEFAULT ''::text NOT NULL,
    postal_zones text DEFAULT ''::text NOT NULL,
    region_zones text DEFAULT ''::text NOT NULL,
    CONSTRAINT campaign_strata_cell_check CHECK ((length(cell) <= 100)),
    CONSTRAINT campaign_strata_evidence CHECK ((((time_zone_source = 'several'::text) = ((number_zones <> ''::text) OR (postal_zones <> ''::text) OR (region_zones <> ''::text))) AND ((time_zone_source = 'several'::text) = (own_zone_source <> ''::text)))),
    CONSTRAINT campaign_strata_own_zone_source_check CHECK ((own_zone_source = ANY (ARRAY[''::text, 'campaign'::text, 'file'::text, 'number'::text]))),
    CONSTRAINT campaign_strata_region_check CHECK ((region ~ '^([A-Z]{2})?$'::text)),
    CONSTRAINT campaign_strata_time_zone_source_check CHECK ((time_zone_source = ANY (ARRAY['campaign'::text, 'file'::text, 'number'::text, 'several'::text]))),
    CONSTRAINT campaign_strata_once UNIQUE (campaign_id, region, time_zone, time_zone_source, own_zone_source, number_zones, postal_zones, region_zones, cell),
    CONSTRAINT campaign_strata_pkey PRIMARY KEY (id),
    CONSTRAINT campaign_strata_campaign_id_fkey FOREIGN KEY (campaign_id) REFERENCES campaigns(id) ON DELETE CASCADE
);

-- Local dates on which nobody is called in a region, whatever the campaign.
CREATE TABLE regions (
    region text NOT NULL,
    blocked_dates datemultirange DEFAULT '{}'::datemultirange NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT regions_region_check CHECK ((region ~ '^[A-Z]{2}$'::text)),
    CONSTRAINT regions_pkey PRIMARY KEY (region)
);

-- Rows are never changed: attempts refer to them.
CREATE TABLE policies (
    name text NOT NULL,
    version text NOT NULL,
    document jsonb NOT NULL,
    installed_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT policies_document_check CHECK ((jsonb_typeof(document) = 'object'::text)),
    CONSTRAINT policies_name_check CHECK ((name ~ '^[a-z][a-z0-9-]{0,39}$'::text)),
    CONSTRAINT policies_version_check CHECK ((version ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}(\.[2-9])?$'::text)),
    CONSTRAINT policies_pkey PRIMARY KEY (name, version)
);
ALTER TABLE ONLY campaigns
    ADD CONSTRAINT campaigns_policy FOREIGN KEY (policy_name, policy_version) REFERENCES policies(name, version) MATCH FULL;

CREATE TABLE campaign_exclusions (
    campaign_id uuid NOT NULL,
    phone_number text NOT NULL,
    reason text,
    source text DEFAULT 'manual'::text NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    expires_at timestamptz,
    CONSTRAINT campaign_exclusions_phone_number_check CHECK ((phone_number ~ '^\+[1-9][0-9]{6,14}$'::text)),
    CONSTRAINT campaign_exclusions_source_check CHECK ((source = ANY (ARRAY['import'::text, 'api'::text, 'manual'::text]))),
    CONSTRAINT campaign_exclusions_pkey PRIMARY KEY (campaign_id, phone_number),
    CONSTRAINT campaign_exclusions_campaign_id_fkey FOREIGN KEY (campaign_id) REFERENCES campaigns(id) ON DELETE CASCADE
);

-- What was taken off the lists, so that a period can be judged afterwards by the lists as they were.
CREATE TABLE removed_exclusions (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    campaign_id uuid,
    phone_number text NOT NULL,
    reason text,
    source text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    removed_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT removed_exclusions_pkey PRIMARY KEY (id)
);
CREATE INDEX removed_exclusions_of_number ON removed_exclusions (phone_number);

CREATE TABLE campaign_cells (
    campaign_id uuid NOT NULL,
    cell text NOT NULL,
    target_completes integer NOT NULL,
    CONSTRAINT campaign_cells_cell_check CHECK (((length(cell) >= 1) AND (length(cell) <= 100))),
    CONSTRAINT campaign_cells_target_completes_check CHECK ((target_completes >= 0)),
    CONSTRAINT campaign_cells_pkey PRIMARY KEY (campaign_id, cell),
    CONSTRAINT campaign_cells_campaign_id_fkey FOREIGN KEY (campaign_id) REFERENCES campaigns(id) ON DELETE CASCADE
);

-- The rules of campaigns and regions from an instant on.
CREATE TABLE campaign_rules (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    campaign_id uuid NOT NULL,
    valid_from timestamptz DEFAULT clock_timestamp() NOT NULL,
    calling_week int4multirange NOT NULL,
    blocked_dates datemultirange NOT NULL,
    number_limits jsonb NOT NULL,
    requires_consent boolean NOT NULL,
    time_zone text NOT NULL,
    max_attempts smallint NOT NULL,
    ends_at timestamptz,
    consent_expires interval,
    -- Kept with the other rules, for whoever judges a period by them.
    zone_evidence text DEFAULT 'country'::text NOT NULL,
    CONSTRAINT campaign_rules_pkey PRIMARY KEY (id),
    CONSTRAINT campaign_rules_campaign_id_fkey FOREIGN KEY (campaign_id) REFERENCES campaigns(id) ON DELETE CASCADE
);
CREATE INDEX campaign_rules_by_campaign ON campaign_rules (campaign_id, valid_from);

CREATE TABLE region_rules (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    region text NOT NULL,
    valid_from timestamptz DEFAULT clock_timestamp() NOT NULL,
    blocked_dates datemultirange NOT NULL,
    CONSTRAINT region_rules_pkey PRIMARY KEY (id)
);
CREATE INDEX region_rules_by_region ON region_rules (region, valid_from);

-- Numbers of persons who were forgotten and must not come back with the next import: HMAC-SHA-256 under a key that is
-- kept outside the database.
CREATE TABLE suppressed_numbers (
    digest bytea NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT suppressed_numbers_digest_check CHECK ((length(digest) = 32)),
    CONSTRAINT suppressed_numbers_pkey PRIMARY KEY (digest)
);

-- Sums to be summed up: whoever changes rows adds what has changed, and waits for nobody; the Selector merges them.
CREATE TABLE contact_counts (
    campaign_id uuid NOT NULL,
    state text NOT NULL,
    -- Whether it is to be called again.
    is_waiting boolean NOT NULL,
    disposition smallint NOT NULL,
    contacts bigint NOT NULL
)
WITH (autovacuum_vacuum_threshold='1000');
CREATE INDEX contact_counts_campaign ON contact_counts (campaign_id);

CREATE TABLE attempt_counts (
    campaign_id uuid NOT NULL,
    -- Null while the call is open.
    outcome text,
    counted boolean NOT NULL,
    attempts bigint NOT NULL
)
WITH (autovacuum_vacuum_threshold='1000');
CREATE INDEX attempt_counts_campaign ON attempt_counts (campaign_id);

-- What was said last about consent, also by those who are no contact yet: an import grants nothing that was withdrawn.
-- Without a campaign it holds for all.
CREATE TABLE consents (
    phone_number text NOT NULL,
    campaign_id uuid,
    is_given boolean NOT NULL,
    recorded_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    -- What was said by number: recorded_at stands in where no date was given.
    given_at timestamptz,
    source text,
    proof text,
    CONSTRAINT consents_phone_number_check CHECK ((phone_number ~ '^\+[1-9][0-9]{6,14}$'::text)),
    CONSTRAINT consents_campaign_id_fkey FOREIGN KEY (campaign_id) REFERENCES campaigns(id) ON DELETE CASCADE
);
CREATE INDEX consents_of_campaign ON consents (campaign_id) WHERE (campaign_id IS NOT NULL);
CREATE UNIQUE INDEX consents_of_number ON consents (phone_number, COALESCE(campaign_id, '00000000-0000-0000-0000-000000000000'::uuid));

CREATE TABLE number_changes (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    document text NOT NULL,
    installed_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT number_changes_pkey PRIMARY KEY (id)
);

CREATE TABLE country_rests (
    trunk text NOT NULL,
    -- ISO 3166.
    region text NOT NULL,
    refused_at timestamptz NOT NULL,
    rests_until timestamptz NOT NULL,
    -- How long it rests this time, in seconds.
    pause integer NOT NULL,
    -- The provider's own.
    error_code text NOT NULL,
    CONSTRAINT country_rests_pause_check CHECK ((pause > 0)),
    CONSTRAINT country_rests_region_check CHECK ((region ~ '^[A-Z]{2}$'::text)),
    CONSTRAINT country_rests_pkey PRIMARY KEY (trunk, region)
);

CREATE TABLE roles (
    -- A process; its lines go on from one of the same id that it has taken over from.
    instance uuid NOT NULL,
    kind text NOT NULL,
    id text NOT NULL,
    host text NOT NULL,
    version text NOT NULL,
    -- A dialer's.
    trunk text,
    since timestamptz DEFAULT now() NOT NULL,
    seen_at timestamptz DEFAULT now() NOT NULL,
    -- When it has ended in good order.
    stopped_at timestamptz,
    -- Why it is not ready; null when it is.
    fault text,
    -- A dialer's: how many calls it makes at once at most, how many are live, and where its breaker stands.
    lines integer,
    live integer,
    breaker text,
    -- A selector's: when its last pass ended, and how long it rests after one.
    passed_at timestamptz,
    rests_seconds double precision,
    CONSTRAINT roles_breaker_check CHECK ((breaker = ANY (ARRAY['closed'::text, 'open'::text, 'probing'::text]))),
    CONSTRAINT roles_kind_check CHECK ((kind = ANY (ARRAY['selector'::text, 'dialer'::text, 'recorder'::text, 'webhooks'::text]))),
    CONSTRAINT roles_pkey PRIMARY KEY (instance, kind)
)
WITH (fillfactor='50', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_scale_factor='0');

CREATE TABLE appointments (
    contact_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    -- What was agreed.
    appointed_at timestamptz NOT NULL,
    appointed_until timestamptz NOT NULL,
    made_at timestamptz DEFAULT now() NOT NULL,
    source text NOT NULL,
    source_call_id uuid,
    -- When it is tried: at the time itself, and once more ten minutes after that has failed.
    try_at timestamptz NOT NULL,
    try_until timestamptz NOT NULL,
    tries smallint DEFAULT 0 NOT NULL,
    -- The call that tries.
    call_id uuid,
    -- It was let pass without a call.
    missed_at timestamptz,
    done_at timestamptz,
    is_kept boolean,
    CONSTRAINT appointments_check CHECK ((appointed_until > appointed_at)),
    CONSTRAINT appointments_check1 CHECK (((done_at IS NOT NULL) OR (is_kept IS NULL))),
    CONSTRAINT appointments_source_check CHECK ((source = ANY (ARRAY['person'::text, 'import'::text, 'interview'::text]))),
    CONSTRAINT appointments_tries_check CHECK (((tries >= 0) AND (tries <= 2))),
    CONSTRAINT appointments_pkey PRIMARY KEY (contact_id),
    CONSTRAINT appointments_campaign_id_fkey FOREIGN KEY (campaign_id) REFERENCES campaigns(id) ON DELETE CASCADE,
    CONSTRAINT appointments_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES contacts(id) ON DELETE CASCADE
);
CREATE INDEX appointments_late ON appointments (try_until) WHERE (done_at IS NULL);
CREATE INDEX appointments_open ON appointments (campaign_id, try_at) WHERE (done_at IS NULL);

-- The one answer to "may we phone this time zone at this instant?", used by the Selector, the Dialer and reports:
-- null when the window is closed, else the instant at which it closes ('infinity' when it never does).
-- A window whose start is after its end crosses midnight and belongs to the weekday on which it opens.
CREATE FUNCTION call_window_closes_at(window_start time without time zone, window_end time without time zone, weekdays smallint[], zone text, at_instant timestamptz) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
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

-- Until when a number rests under these limits; null when it may be called now. A limit over n attempts frees the number
-- when the n-th last of them leaves its period.
CREATE FUNCTION number_rests_until(number text, limits jsonb) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
    select max(b.rests_until)
    from jsonb_to_recordset(limits) as l (attempts integer, hours integer, outcomes text[])
    cross join lateral (
        select r.at + make_interval(hours => l.hours) as rests_until
        from (
            select case when l.outcomes is null then a.started_at else coalesce(a.ended_at, a.started_at) end as at
            from call_attempts a
            -- A call that began before the period may have ended within it; none lasts longer than a day.
            where a.phone_number = number and a.counted
                and a.started_at > now() - make_interval(hours => l.hours + 24)
                and (l.outcomes is null or a.outcome = any (l.outcomes))) as r
        where r.at > now() - make_interval(hours => l.hours)
        order by r.at desc
        offset l.attempts - 1
        limit 1) as b
$$;

-- Finds or makes the stratum of a contact that comes without one: from a program of the version before, or by hand.
CREATE FUNCTION find_stratum() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
declare
    same campaign_strata;
    source text := case when new.time_zone is null then 'campaign' else 'file' end;
begin
    if tg_op = 'UPDATE' then
        select * into same from campaign_strata where id = new.stratum_id;
    end if;
    insert into campaign_strata (campaign_id, region, time_zone, time_zone_source, cell)
    select new.campaign_id, coalesce(same.region, ''), coalesce(new.time_zone, ''), source, coalesce(same.cell, '')
    where not exists (
        select from campaign_strata s
        where s.campaign_id = new.campaign_id and s.region = coalesce(same.region, '')
            and s.time_zone = coalesce(new.time_zone, '') and s.time_zone_source = source
            and s.cell = coalesce(same.cell, ''))
    on conflict do nothing;
    select s.id into strict new.stratum_id
    from campaign_strata s
    where s.campaign_id = new.campaign_id and s.region = coalesce(same.region, '')
        and s.time_zone = coalesce(new.time_zone, '') and s.time_zone_source = source
        and s.cell = coalesce(same.cell, '');
    return new;
end
$$;

-- In PL/pgSQL, here and below: a function in SQL is planned anew by each statement, and for each call by another function.
CREATE FUNCTION blocked_in(campaign_dates datemultirange, in_region text) RETURNS datemultirange
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    AS $$
begin
    if in_region = '' then
        return campaign_dates;
    end if;
    return campaign_dates + coalesce((select r.blocked_dates from regions r where r.region = in_region), '{}');
end
$$;

-- The nights on which clocks change: the local time of the window's end may not exist, or come twice, and the window may
-- close by the change itself. No change is longer than three hours, and one that matters is as near to now, or to the end
-- that was computed: the minutes there are asked one by one.
CREATE FUNCTION call_window_closes_by_minutes(week int4multirange, blocked datemultirange, zone text, at_instant timestamptz, computed timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    AS $$
declare
    closes_at timestamptz;
begin
    select min(s.at) into closes_at
    from (
        select generate_series(
            date_trunc('minute', at_instant) + interval '1 minute',
            least(computed, at_instant + interval '3 hours'), interval '1 minute') as at
        union all
        select generate_series(
            greatest(date_trunc('minute', at_instant) + interval '1 minute', computed - interval '3 hours'),
            computed, interval '1 minute')) as s
    cross join lateral (select s.at at time zone zone as local) as t
    where blocked @> t.local::date
        or not week @> ((extract(isodow from t.local) - 1) * 1440 + extract(hour from t.local) * 60
            + extract(minute from t.local))::int;
    -- The pause between two windows is skipped: the next one is open at once.
    return coalesce(closes_at, call_window_closes_at(week, blocked, zone, computed));
end
$$;

-- The one answer to "may we phone this time zone at this instant?", used by the Selector, the Dialer and reports:
-- null when the window is closed, else the instant at which it closes ('infinity' when it never does). The function of
-- the same name with five arguments answers programs of the version before.
-- As before, but for two things. A contact may be in one of several zones, a list with commas: all must be open, and the
-- first to close closes. And the end is told right on the nights on which clocks change, where the former function told
-- it up to two hours late when a window opens or closes within the hour that is skipped, or that comes twice.
CREATE FUNCTION call_window_closes_at(week int4multirange, blocked datemultirange, zone text, at_instant timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    AS $$
declare
    one text;
    first_end timestamptz;
    local_end timestamp;
    local timestamp;
    closes_at timestamptz;
begin
    foreach one in array string_to_array(zone, ',') loop
        local := at_instant at time zone one;
        select case
            when not week @> m.minute or blocked @> local::date then null
            when week = '{[0,10080)}' and b.date is null then 'infinity'
            else least(
                date_trunc('week', local) + make_interval(mins => case
                    -- The window of Sunday night ends where that of Monday morning does.
                    when c.closes = 10080 and week @> 0 then 10080 + (
                        select upper(r) from unnest(week) as r where r @> 0)
                    else c.closes
                end),
                b.date::timestamp)
            end
        into local_end
        from (
            select ((extract(isodow from local) - 1) * 1440 + extract(hour from local) * 60
                + extract(minute from local))::int as minute) as m
        left join lateral (select upper(r) as closes from unnest(week) as r where r @> m.minute) as c on true
        left join lateral (
            select min(lower(r)) as date from unnest(blocked) as r where lower(r) > local::date) as b on true;
        if local_end is null then
            return null;
        end if;
        closes_at := local_end at time zone one;
        -- The usual case: between now and then the clock runs on, and then it shows the window's end.
        if closes_at <> 'infinity' and (
            closes_at at time zone one <> local_end
            or local_end - (closes_at at time zone 'UTC') <> local - (at_instant at time zone 'UTC'))
        then
            closes_at := call_window_closes_by_minutes(week, blocked, one, at_instant, closes_at);
        end if;
        first_end := least(first_end, closes_at);
    end loop;
    return first_end;
end
$$;

-- The first instant, not before the given one, at which the window is open; null when none is within six weeks of it or
-- of the end of a blocked date.
CREATE FUNCTION call_window_opens_at(week int4multirange, blocked datemultirange, zones text, from_instant timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    AS $$
begin
    if call_window_closes_at(week, blocked, zones, from_instant) is not null then
        return from_instant;
    end if;
    return (
        select min(s.at)
        from (
            select (date_trunc('week', from_instant at time zone z) + make_interval(weeks => weeks, mins => lower(r)))
                at time zone z as at
            from unnest(string_to_array(zones, ',')) as z, generate_series(0, 6) as weeks, unnest(week) as r
            union all
            -- A window may be open already when a blocked date ends.
            select upper(d)::timestamp at time zone z
            from unnest(string_to_array(zones, ',')) as z, unnest(blocked) as d) as s
        where s.at >= from_instant and call_window_closes_at(week, blocked, zones, s.at) is not null);
end
$$;

CREATE FUNCTION refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    raise exception 'a policy never changes: install a new version';
end
$$;

CREATE FUNCTION keep_removed_exclusion() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    insert into removed_exclusions (campaign_id, phone_number, reason, source, created_at, expires_at)
    values ((to_jsonb(old) ->> 'campaign_id')::uuid, old.phone_number, old.reason, old.source, old.created_at,
        old.expires_at);
    return null;
end
$$;

-- Which part an instant falls in, from 1; null when in none, or when the contact's hour is not known because several
-- zones are possible.
CREATE FUNCTION day_part_at(parts jsonb, zones text, at_instant timestamptz) RETURNS smallint
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
    select case when parts = '[]' or position(',' in zones) > 0 then null
    else (
        select min(p.place)
        from jsonb_array_elements(parts) with ordinality as p (part, place)
        where (p.part ->> 'week')::int4multirange @> (
            select ((extract(isodow from t.local) - 1) * 1440 + extract(hour from t.local) * 60
                + extract(minute from t.local))::int
            from (select at_instant at time zone zones as local) as t))::smallint
    end
$$;

CREATE FUNCTION count_day_part(used smallint[], part smallint, change integer) RETURNS smallint[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    select array_agg(
        (coalesce(used[n], 0) + case when n = part then change else 0 end)::smallint order by n)
    from generate_series(1, greatest(part, cardinality(used))) as n
$$;

CREATE FUNCTION keep_region_rules() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    insert into region_rules (region, blocked_dates) values (new.region, new.blocked_dates);
    return null;
end
$$;

-- Until when a number rests, as it was at an instant: of the attempts made before, by what was known of them then.
CREATE FUNCTION number_rested_until(number text, limits jsonb, at_instant timestamptz) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
    select max(b.rests_until)
    from jsonb_to_recordset(limits) as l (attempts integer, hours integer, outcomes text[])
    cross join lateral (
        select r.at + make_interval(hours => l.hours) as rests_until
        from (
            select case when l.outcomes is null then a.started_at else a.ended_at end as at
            from call_attempts a
            where a.phone_number = number and a.counted and a.started_at < at_instant
                and a.started_at > at_instant - make_interval(hours => l.hours + 24)
                and (l.outcomes is null
                    or a.outcome = any (l.outcomes) and greatest(a.ended_at, a.survey_reported_at) <= at_instant)) as r
        where r.at > at_instant - make_interval(hours => l.hours)
        order by r.at desc
        offset l.attempts - 1
        limit 1) as b
$$;

-- The same for whoever is about to make the attempt: one at a time per number, each seeing what the one before has
-- committed. Volatile, so that the question is asked after the lock is held, and not on the caller's older snapshot.
CREATE FUNCTION number_rests_until_in_turn(number text, limits jsonb) RETURNS timestamptz
    LANGUAGE plpgsql
    AS $$
begin
    perform pg_advisory_xact_lock(hashtextextended(number, 5));
    -- Asked first: what ends after this question is seen by the next one.
    if exists (select from call_attempts a where a.phone_number = number and a.ended_at is null) then
        return now() + interval '1 minute';
    end if;
    return number_rests_until(number, limits);
end
$$;

-- The functions count for whoever writes, with the rights of the tables' owner: a role may have no access to the sums.
CREATE FUNCTION count_contacts() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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

CREATE FUNCTION count_attempts() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION settle_dispositions() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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

-- Interviews that count for the quota, of the whole campaign. From the sums, whatever the campaign's size.
CREATE FUNCTION campaign_completes(campaign uuid) RETURNS bigint
    LANGUAGE plpgsql STABLE
    AS $$
begin
    return (
        select coalesce(sum(n.contacts), 0)::bigint
        from contact_counts n
        where n.campaign_id = campaign
            and (n.state = 'completed' or n.state = 'excluded' and n.disposition <= 1));
end
$$;

-- How many more calls a campaign's rules allow now; null where it has no such rule. A call may become an interview and
-- keeps its place until it ends, whatever becomes of its contact meanwhile. A claim counts claims that wait as well; the
-- dial does not: each of those will be asked the same. Volatile, and each question one statement, so that it sees at
-- once whatever was committed when its turn came, and not the caller's older snapshot.
CREATE FUNCTION campaign_room_by_rule(campaign uuid, at_dial boolean, OUT calls_at_once bigint, OUT calls_per_hour bigint, OUT completes bigint) RETURNS record
    LANGUAGE plpgsql
    AS $$
declare
    k campaigns;
    -- In shares of a minute, or of the time for one call if that is longer, so that an hour's calls are not placed in
    -- its first minute.
    period double precision;
begin
    select * into strict k from campaigns c where c.id = campaign;
    if k.max_concurrent_calls is null and k.target_completes is null and k.calls_per_hour is null then
        return;
    end if;
    period := greatest(60, 3600.0 / k.calls_per_hour);
    select k.max_concurrent_calls - n.waiting - n.open_calls,
        k.target_completes - n.waiting - n.open_calls - campaign_completes(campaign),
        least(
            k.calls_per_hour - n.waiting - h.calls,
            ceil(k.calls_per_hour * period / 3600)::bigint - n.waiting - h.calls_in_period)
    into calls_at_once, completes, calls_per_hour
    from (
        select
            case when at_dial then 0 else (
                select count(*) from contacts c
                where c.campaign_id = campaign and c.state = 'in_progress' and c.prior_state is not null)
            end as waiting,
            case when coalesce(k.max_concurrent_calls, k.target_completes) is null then 0 else (
                -- Not by equality: the index by campaign holds every call that it ever made, the others the open ones.
                select count(*) from call_attempts a
                where a.ended_at is null and a.campaign_id is not distinct from campaign)
            end as open_calls) as n
    left join lateral (
        select count(*) as calls,
            count(*) filter (where a.started_at > now() - make_interval(secs => period)) as calls_in_period
        from call_attempts a
        where k.calls_per_hour is not null and a.campaign_id = campaign and a.counted
            and a.started_at > now() - interval '1 hour') as h on true;
end
$$;

-- The same for each cell that has a target.
CREATE FUNCTION campaign_cell_room(campaign uuid, at_dial boolean) RETURNS TABLE(cell text, calls bigint)
    LANGUAGE plpgsql
    AS $$
begin
    if not exists (select from campaign_cells q where q.campaign_id = campaign) then
        return;
    end if;
    return query
        with taken as (
            select s.cell, count(*) as contacts
            from campaign_strata s
            join contacts c on c.stratum_id = s.id and c.state = 'completed'
            where s.campaign_id = campaign
            group by s.cell
            union all
            select s.cell, count(*)
            from campaign_strata s
            join contacts c on c.stratum_id = s.id and c.state = 'excluded' and c.disposition <= 1
            where s.campaign_id = campaign
            group by s.cell
            union all
            select s.cell, count(*)
            from call_attempts a
            join contacts c on c.id = a.contact_id
            join campaign_strata s on s.id = c.stratum_id
            where a.ended_at is null and a.campaign_id is not distinct from campaign
            group by s.cell
            union all
            select s.cell, count(*)
            from contacts c
            join campaign_strata s on s.id = c.stratum_id
            where not at_dial and c.campaign_id = campaign and c.state = 'in_progress' and c.prior_state is not null
            group by s.cell)
        select q.cell, greatest(0, q.target_completes - coalesce(
            (select sum(t.contacts) from taken t where t.cell = q.cell), 0))::bigint
        from campaign_cells q
        where q.campaign_id = campaign;
end
$$;

-- How many contacts of a campaign may be claimed now: calls at once, calls per hour, and completes still wanted. A call
-- under way may become a complete, so no more are under way than are wanted. Volatile, so that the question is asked
-- after the caller has locked the campaign, and not on its older snapshot: two Selectors never exceed a cap together.
-- At the claim, all of a campaign's rules in one number.
CREATE FUNCTION campaign_room(campaign uuid) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
begin
    return (
        select greatest(0, coalesce(least(r.calls_at_once, r.calls_per_hour, r.completes), 2147483647))
        from campaign_room_by_rule(campaign, false) r);
end
$$;

-- The same for each cell that has a target.
CREATE FUNCTION campaign_cell_room(campaign uuid) RETURNS TABLE(cell text, calls bigint)
    LANGUAGE plpgsql
    AS $$
begin
    return query select r.cell, r.calls from campaign_cell_room(campaign, false) r;
end
$$;

-- At the dial, one after the other for each campaign that has such rules, each seeing the calls that the one before has
-- made: together they exceed nothing. Callers ask in the order of the campaigns' ids, after they hold all other locks.
CREATE FUNCTION campaign_room_in_turn(campaign uuid, OUT calls_at_once bigint, OUT calls_per_hour bigint, OUT completes bigint, OUT cells jsonb) RETURNS record
    LANGUAGE plpgsql
    AS $$
begin
    if not exists (
        select from campaigns k
        where k.id = campaign and (
            coalesce(k.max_concurrent_calls, k.target_completes, k.calls_per_hour) is not null
            or exists (select from campaign_cells q where q.campaign_id = k.id)))
    then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtextextended(campaign::text, 18));
    select r.calls_at_once, r.calls_per_hour, r.completes into calls_at_once, calls_per_hour, completes
    from campaign_room_by_rule(campaign, true) r;
    select jsonb_object_agg(r.cell, r.calls) into cells from campaign_cell_room(campaign, true) r;
end
$$;

-- As `call_window_closes_at`, and '-infinity' where that cannot tell: a time zone that the server knows no more must not
-- fail what is done for others. Nobody is called where the hour is not known.
CREATE FUNCTION call_window_closes_at_if_known(week int4multirange, blocked datemultirange, zones text, at_instant timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql STABLE
    AS $$
begin
    return call_window_closes_at(week, blocked, zones, at_instant);
exception when data_exception then
    return '-infinity';
end
$$;

-- When a contact's turn comes: null for now, 'infinity' when every part is used up. Its turn is in the parts in which it
-- was tried least; those that would come too late, after `until`, give way to others.
-- As before, but for a time zone that the server knows no more: the parts of the day cannot be told there, and a call's
-- end is recorded all the same.
CREATE FUNCTION day_part_turn(parts jsonb, used smallint[], week int4multirange, blocked datemultirange, zones text, at_instant timestamptz, until timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql STABLE
    AS $$
declare
    level record;
    turn timestamptz;
    first_turn timestamptz := 'infinity';
begin
    if parts = '[]' or position(',' in zones) > 0 then
        return null;
    end if;
    begin
        perform at_instant at time zone zones;
    exception when invalid_parameter_value then
        return null;
    end;
    for level in
        select p.count, (
            select range_agg(r)
            from jsonb_array_elements(parts) with ordinality as q (part, place), unnest((q.part ->> 'week')::int4multirange) as r
            where coalesce(used[q.place], 0) <= p.count
                and coalesce(used[q.place], 0) < coalesce((q.part ->> 'attempts')::int, 32767)) * week as open
        from (
            select distinct coalesce(used[o.place], 0) as count
            from jsonb_array_elements(parts) with ordinality as o (part, place)
            where coalesce(used[o.place], 0) < coalesce((o.part ->> 'attempts')::int, 32767)
                and not isempty((o.part ->> 'week')::int4multirange * week)) as p
        order by p.count
    loop
        turn := call_window_opens_at(level.open, blocked, zones, at_instant);
        if turn <= at_instant then
            return null;
        end if;
        -- No window in sight: to be asked again when the calendar reaches further.
        turn := coalesce(turn, at_instant + interval '42 days');
        if turn < until then
            return turn;
        end if;
        first_turn := least(first_turn, turn);
    end loop;
    return first_turn;
end
$$;

-- Tells the end of a story that does not end with a call: a claimed contact turns out to be out of attempts, or out of day
-- parts. With the rights of the tables' owner: neither selectors nor dialers write events, or read what is in them. The last
-- call is named, if there was one.
CREATE FUNCTION announce_not_reached(contact uuid, claim uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    insert into survey_events (kind, call_id, contact_id, campaign_id, external_contact_id, attempts)
    select 'not_reached', coalesce(l.call_id, claim, uuid_v7()), c.id, c.campaign_id, c.external_contact_id,
        c.attempts_count
    from contacts c
    left join lateral (
        select a.call_id
        from call_attempts a
        where a.phone_number = c.phone_number and a.contact_id = c.id
        order by a.started_at desc
        limit 1) l on true
    where c.id = contact
    on conflict do nothing;
end
$$;

-- An exclusion that has expired and is renewed is another one: between the two the number could be called.
CREATE FUNCTION keep_expired_exclusion() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    insert into removed_exclusions (campaign_id, phone_number, reason, source, created_at, expires_at)
    values ((to_jsonb(old) ->> 'campaign_id')::uuid, old.phone_number, old.reason, old.source, old.created_at,
        old.expires_at);
    new.created_at := clock_timestamp();
    return new;
end
$$;

-- A report that comes late, or again, must not bring back what a person asked to be forgotten.
CREATE FUNCTION keep_attempt_erased() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    new.provider_call_id := null;
    new.metadata := null;
    return new;
end
$$;

-- Whether a call is charged may change after its end: when we have canceled it, and when it turns out that it was answered,
-- or placed, after all. With the rights of the tables' owner: whoever records outcomes may not change what is charged else.
-- Whoever closes an attempt of which nothing was placed gives the contact back in the same statement.
CREATE FUNCTION charge_contacts() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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

-- Until when a country rests; null when it may be called.
CREATE FUNCTION country_rests_until(on_trunk text, of_region text) RETURNS timestamptz
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    AS $$
begin
    if of_region = '' then
        return null;
    end if;
    return (select r.rests_until from country_rests r
        where r.trunk = on_trunk and r.region = of_region and r.rests_until > now());
end
$$;

-- By a trigger, because whoever records interviews may change nothing else of a call; and so also for the former program.
CREATE FUNCTION charge_interview() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    new.counted := true;
    new.error_code := nullif(new.error_code, 'canceled_by_us');
    return new;
end
$$;

CREATE FUNCTION unknown_zones(zones text) RETURNS text
    LANGUAGE plpgsql STABLE
    AS $$
declare
    zone text;
    unknown text[] := '{}';
begin
    foreach zone in array string_to_array(zones, ',') loop
        begin
            perform now() at time zone zone;
        exception when invalid_parameter_value then
            unknown := unknown || zone;
        end;
    end loop;
    return nullif(array_to_string(unknown, ', '), '');
end
$$;

-- Makes an appointment, or moves the one that there is. Whoever makes it need not be able to change contacts.
CREATE FUNCTION appoint_contact(contact uuid, wanted_at timestamptz, wanted_until timestamptz, made_by text, by_call uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION try_appointment() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
    update appointments a
    set tries = a.tries + 1, call_id = new.call_id
    where a.contact_id = new.id and a.done_at is null and a.try_at <= now() and a.tries < 2;
    return new;
end
$$;

-- A claim or a call has ended: the appointment is kept, tried once more, or still to come.
CREATE FUNCTION keep_appointment() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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

-- What an attempt that was charged has brought, in AAPOR's order of precedence: the smallest counts. 0 an interview that
-- was reported, 1 one that only the provider tells of, 2 a refusal, 3 an answering device, 4 a fax, 5 a number that does
-- not work, 6 no answer, 7 busy, 8 a technical problem; null while it is open, or when nothing was placed.
-- The callback that came to nothing: somebody was there, and no more is known (AAPOR knows no code of its own for it).
CREATE FUNCTION attempt_disposition(outcome text, counted boolean, answered_by text, error_code text, survey_outcome text) RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
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

-- Whether consent of a date counts at an instant. A day's date may lie ahead of an instant in a zone that is ahead.
CREATE FUNCTION consent_holds(given_at timestamptz, expires interval, at_instant timestamptz) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
    select expires is null
        or coalesce(given_at + expires > at_instant and given_at <= at_instant + interval '1 day', false)
$$;

-- The zones of which all must be open, by the evidence that suffices: lists with commas; '' for the campaign's zone. What
-- suffices narrows, as far as it agrees. Where one source contradicts another, both count, also one that does not suffice.
CREATE FUNCTION counting_zones(own text, own_source text, by_number text, by_postal_code text, by_region text, evidence text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
declare
    owns text[];
    one text;
    zones text[];
    narrowed text[];
    others text[] := '{}';
    contradicts boolean := false;
begin
    if evidence = 'country' or by_number = '' and by_postal_code = '' and by_region = '' then
        return own;
    end if;
    owns := string_to_array(own, ',');
    foreach one in array array[
        case when own_source = 'file' then own else '' end, by_number,
        case when evidence = 'postal-code' then by_postal_code else '' end,
        case when evidence = 'postal-code' then by_region else '' end]
    loop
        zones := string_to_array(one, ',');
        narrowed := case
            when one = '' then narrowed
            when narrowed is null then zones
            else array(select unnest(narrowed) intersect select unnest(zones))
        end;
    end loop;
    if narrowed is null and own = '' then
        return own;
    end if;
    narrowed := coalesce(narrowed, owns);
    contradicts := own <> '' and not narrowed && owns;
    foreach one in array array[by_number, by_postal_code, by_region] loop
        if one <> '' then
            zones := string_to_array(one, ',');
            others := others || zones;
            contradicts := contradicts or not narrowed && zones;
        end if;
    end loop;
    if contradicts then
        narrowed := others;
        -- A country contains the others, or it is one that the file names against them.
        foreach one in array array[by_number, by_postal_code, by_region] loop
            if own_source = 'file' or one <> '' and not owns && string_to_array(one, ',') then
                narrowed := narrowed || owns;
            end if;
        end loop;
    end if;
    return (select string_agg(distinct z, ',' order by z) from (select unnest(narrowed) collate "C" as z) as n);
end
$$;

CREATE FUNCTION keep_campaign_rules() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    insert into campaign_rules (
        campaign_id, calling_week, blocked_dates, number_limits, requires_consent, time_zone, max_attempts, ends_at,
        consent_expires, zone_evidence)
    values (new.id, new.calling_week, new.blocked_dates, new.number_limits, new.requires_consent, new.time_zone,
        new.max_attempts, new.ends_at, new.consent_expires, new.zone_evidence);
    return null;
end
$$;

CREATE TRIGGER campaigns_first_rules AFTER INSERT ON campaigns FOR EACH ROW EXECUTE FUNCTION keep_campaign_rules();
CREATE TRIGGER campaigns_new_consent_rule AFTER UPDATE ON campaigns FOR EACH ROW WHEN (((new.consent_expires IS DISTINCT FROM old.consent_expires) AND (NOT (((((((new.calling_week IS DISTINCT FROM old.calling_week) OR (new.blocked_dates IS DISTINCT FROM old.blocked_dates)) OR (new.number_limits IS DISTINCT FROM old.number_limits)) OR (new.requires_consent IS DISTINCT FROM old.requires_consent)) OR (new.time_zone IS DISTINCT FROM old.time_zone)) OR (new.max_attempts IS DISTINCT FROM old.max_attempts)) OR (new.ends_at IS DISTINCT FROM old.ends_at))))) EXECUTE FUNCTION keep_campaign_rules();
CREATE TRIGGER campaigns_new_evidence AFTER UPDATE ON campaigns FOR EACH ROW WHEN (((new.zone_evidence IS DISTINCT FROM old.zone_evidence) AND (NOT ((((((((new.calling_week IS DISTINCT FROM old.calling_week) OR (new.blocked_dates IS DISTINCT FROM old.blocked_dates)) OR (new.number_limits IS DISTINCT FROM old.number_limits)) OR (new.requires_consent IS DISTINCT FROM old.requires_consent)) OR (new.time_zone IS DISTINCT FROM old.time_zone)) OR (new.max_attempts IS DISTINCT FROM old.max_attempts)) OR (new.ends_at IS DISTINCT FROM old.ends_at)) OR (new.consent_expires IS DISTINCT FROM old.consent_expires))))) EXECUTE FUNCTION keep_campaign_rules();
CREATE TRIGGER campaigns_new_rules AFTER UPDATE ON campaigns FOR EACH ROW WHEN ((((((((new.calling_week IS DISTINCT FROM old.calling_week) OR (new.blocked_dates IS DISTINCT FROM old.blocked_dates)) OR (new.number_limits IS DISTINCT FROM old.number_limits)) OR (new.requires_consent IS DISTINCT FROM old.requires_consent)) OR (new.time_zone IS DISTINCT FROM old.time_zone)) OR (new.max_attempts IS DISTINCT FROM old.max_attempts)) OR (new.ends_at IS DISTINCT FROM old.ends_at))) EXECUTE FUNCTION keep_campaign_rules();

CREATE TRIGGER contacts_count_deleted AFTER DELETE ON contacts REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION count_contacts();
CREATE TRIGGER contacts_count_inserted AFTER INSERT ON contacts REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_contacts();
CREATE TRIGGER contacts_count_updated AFTER UPDATE ON contacts REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_contacts();
CREATE TRIGGER contacts_find_stratum BEFORE INSERT ON contacts FOR EACH ROW WHEN ((new.stratum_id IS NULL)) EXECUTE FUNCTION find_stratum();
CREATE TRIGGER contacts_keep_appointment BEFORE UPDATE ON contacts FOR EACH ROW WHEN (((new.state IS DISTINCT FROM old.state) AND ((old.state = ANY (ARRAY['in_progress'::text, 'completed'::text])) OR (new.state = ANY (ARRAY['completed'::text, 'refused'::text, 'excluded'::text]))))) EXECUTE FUNCTION keep_appointment();
CREATE TRIGGER contacts_move_stratum BEFORE UPDATE OF time_zone ON contacts FOR EACH ROW WHEN (((new.time_zone IS DISTINCT FROM old.time_zone) AND (new.stratum_id = old.stratum_id))) EXECUTE FUNCTION find_stratum();
CREATE TRIGGER contacts_try_appointment BEFORE UPDATE ON contacts FOR EACH ROW WHEN (((new.state = 'in_progress'::text) AND (old.prior_state IS NOT NULL) AND (new.prior_state IS NULL))) EXECUTE FUNCTION try_appointment();

CREATE TRIGGER call_attempts_charge_interview BEFORE UPDATE ON call_attempts FOR EACH ROW WHEN (((old.survey_outcome IS NULL) AND (new.survey_outcome IS NOT NULL) AND (NOT new.counted))) EXECUTE FUNCTION charge_interview();
CREATE TRIGGER call_attempts_charge_updated AFTER UPDATE ON call_attempts REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION charge_contacts();
CREATE TRIGGER call_attempts_count_deleted AFTER DELETE ON call_attempts REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION count_attempts();
CREATE TRIGGER call_attempts_count_inserted AFTER INSERT ON call_attempts REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_attempts();
CREATE TRIGGER call_attempts_count_updated AFTER UPDATE ON call_attempts REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_attempts();
CREATE TRIGGER call_attempts_settle_inserted AFTER INSERT ON call_attempts REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION settle_dispositions();
CREATE TRIGGER call_attempts_settle_updated AFTER UPDATE ON call_attempts REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION settle_dispositions();
CREATE TRIGGER call_attempts_stay_erased BEFORE UPDATE ON call_attempts FOR EACH ROW WHEN (((new.phone_number IS NULL) AND ((new.provider_call_id IS NOT NULL) OR (new.metadata IS NOT NULL)))) EXECUTE FUNCTION keep_attempt_erased();

CREATE TRIGGER exclusion_list_entries_removed AFTER DELETE ON exclusion_list_entries FOR EACH ROW EXECUTE FUNCTION keep_removed_exclusion();
CREATE TRIGGER exclusion_list_entries_renewed BEFORE UPDATE ON exclusion_list_entries FOR EACH ROW WHEN (((old.expires_at <= clock_timestamp()) AND (new.expires_at IS DISTINCT FROM old.expires_at))) EXECUTE FUNCTION keep_expired_exclusion();

CREATE TRIGGER regions_new_rules AFTER INSERT OR UPDATE ON regions FOR EACH ROW EXECUTE FUNCTION keep_region_rules();

CREATE TRIGGER policies_never_change BEFORE DELETE OR UPDATE ON policies FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER campaign_exclusions_removed AFTER DELETE ON campaign_exclusions FOR EACH ROW EXECUTE FUNCTION keep_removed_exclusion();
CREATE TRIGGER campaign_exclusions_renewed BEFORE UPDATE ON campaign_exclusions FOR EACH ROW WHEN (((old.expires_at <= clock_timestamp()) AND (new.expires_at IS DISTINCT FROM old.expires_at))) EXECUTE FUNCTION keep_expired_exclusion();
