-- Call Scheduler
-- SPDX-License-Identifier: Apache-2.0
--
-- One PostgreSQL role for each role of the call scheduler, with what it needs and no more. Run by the owner of the tables
-- after every `call-scheduler migrate`; running it again changes nothing:
--
--   psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -f ops/postgres/roles.sql
--
-- Then give each process a user of its own: create role dialer_1 login password '…' in role call_scheduler_dialer;
-- No role but the operator's can delete anything that people or calls have made, or change a campaign's rules, and only
-- people's, operator and reader, can read e-mail addresses. Tests run the statements of the four roles that are processes under
-- their names, and see each of these grants missed when it is taken away. In one transaction: roles that run miss nothing meanwhile.

begin;

do $$
declare
    name text;
begin
    foreach name in array array['selector', 'dialer', 'recorder', 'webhooks', 'operator', 'reader'] loop
        begin
            execute 'create role call_scheduler_' || name || ' nologin';
        exception when duplicate_object or unique_violation then
            null;
        end;
        execute 'revoke all on all tables in schema public from call_scheduler_' || name;
        execute 'grant usage on schema public to call_scheduler_' || name;
        -- Each program asks whether the schema is its own.
        execute 'grant select on schema_migrations to call_scheduler_' || name;
    end loop;
    -- Each process says how it is.
    foreach name in array array['selector', 'dialer', 'recorder', 'webhooks'] loop
        execute 'grant select, insert (instance, kind, id, host, version, trunk, fault, lines, live, breaker, passed_at, rests_seconds), '
            'update (seen_at, stopped_at, fault, lines, live, breaker, passed_at, rests_seconds) '
            'on roles to call_scheduler_' || name;
    end loop;
end
$$;

-- Claims contacts, and completes campaigns that have nobody left to call.
grant select on campaigns, trunks, campaign_strata, campaign_cells, regions, call_attempts, exclusion_list_entries,
    campaign_exclusions, country_rests, appointments, policies to call_scheduler_selector;
grant update (tries, missed_at, try_at, try_until, done_at, is_kept) on appointments to call_scheduler_selector;
grant update (status, status_reason, status_changed_at, updated_at, fault, fault_since, fault_count, retry_at) on campaigns
    to call_scheduler_selector;
grant insert (name, fault, fault_since, fault_count, retry_at), update (fault, fault_since, fault_count, retry_at) on trunks
    to call_scheduler_selector;
grant insert (campaign_id, status, reason, actor) on campaign_changes to call_scheduler_selector;
grant select (id, campaign_id, phone_number, has_prior_consent, consent_at, state, prior_state, call_id, lease_until, attempts_count,
    next_attempt_at, stratum_id, day_part_attempts, disposition) on contacts to call_scheduler_selector;
grant update (state, prior_state, call_id, lease_until, next_attempt_at, excluded_reason) on contacts
    to call_scheduler_selector;
grant update (deadline_at) on call_attempts to call_scheduler_selector;
grant select, insert, delete on contact_counts, attempt_counts to call_scheduler_selector;
-- Sweeps the lines of processes that are long gone.
grant delete on roles to call_scheduler_selector;

-- Makes attempts, and pauses a campaign or a trunk that the provider refuses for good.
grant select on campaigns, trunks, campaign_strata, campaign_cells, regions, call_attempts, exclusion_list_entries,
    campaign_exclusions, contact_counts, appointments to call_scheduler_dialer;
grant update (status, status_reason, status_changed_at, updated_at) on campaigns to call_scheduler_dialer;
grant insert (campaign_id, status, reason, actor), select (id) on campaign_changes to call_scheduler_dialer;
grant insert (name, paused_at, paused_reason) on trunks to call_scheduler_dialer;
grant select, insert (trunk, region, refused_at, rests_until, pause, error_code),
    update (refused_at, rests_until, pause, error_code) on country_rests to call_scheduler_dialer;
grant update (paused_at, paused_reason) on trunks to call_scheduler_dialer;
grant select (id, campaign_id, phone_number, has_prior_consent, consent_at, do_not_call, time_zone, state, prior_state, call_id,
    attempts_count, next_attempt_at, stratum_id, day_part_attempts, disposition) on contacts to call_scheduler_dialer;
grant update (state, prior_state, call_id, lease_until, attempts_count, last_attempt_at, next_attempt_at,
    day_part_attempts, excluded_reason) on contacts to call_scheduler_dialer;
grant insert (call_id, contact_id, campaign_id, attempt_number, phone_number, dialer_id, status, deadline_at, day_part,
    had_consent, consent_at, policy) on call_attempts to call_scheduler_dialer;
grant update (dialer_id, status, provider_call_id, placed_at, provider_raw_status, ended_at, outcome, error_code, counted,
    cancel_requested_at)
    on call_attempts to call_scheduler_dialer;

-- Records outcomes, moves contacts, and excludes who opts out during a call.
grant select on campaigns, campaign_strata, regions, call_attempts, survey_events to call_scheduler_recorder;
grant update (report_rank, status, provider_call_id, placed_at, answered_by, ringing_at, answered_at, ended_at, outcome,
    counted, error_code, provider_raw_status, survey_outcome, survey_reported_at) on call_attempts
    to call_scheduler_recorder;
grant select (id, campaign_id, external_contact_id, phone_number, time_zone, state, prior_state, call_id, lease_until,
    attempts_count, next_attempt_at, stratum_id, day_part_attempts, disposition, last_outcome) on contacts
    to call_scheduler_recorder;
grant update (state, prior_state, call_id, lease_until, next_attempt_at, last_outcome, excluded_reason, disposition)
    on contacts
    to call_scheduler_recorder;
grant insert (kind, call_id, contact_id, campaign_id, external_contact_id, attempts, occurred_at) on survey_events
    to call_scheduler_recorder;
grant update (published_at) on survey_events to call_scheduler_recorder;
grant insert (phone_number, reason, source, expires_at) on exclusion_list_entries to call_scheduler_recorder;
grant select, update (reason, source, expires_at) on exclusion_list_entries to call_scheduler_recorder;

-- Commits what interviews say of their outcome, moves their contacts, and excludes who opts out. Of calls it can change
-- nothing else, and the provider's callbacks do not come here.
grant select (id, name, retry_minutes, retry_interval_minutes, retry_jitter_percent, max_attempts, outcome_maximums,
    day_parts, calling_week, blocked_dates, time_zone, zone_evidence, ends_at) on campaigns to call_scheduler_webhooks;
grant select (id, region, own_zone_source, number_zones, postal_zones, region_zones) on campaign_strata to call_scheduler_webhooks;
grant select (id, call_id, contact_id, campaign_id, dialer_id, phone_number, ended_at, outcome, counted, answered_by,
    error_code, survey_outcome, survey_reported_at, ringing_at) on call_attempts to call_scheduler_webhooks;
grant update (outcome, survey_outcome, survey_reported_at) on call_attempts to call_scheduler_webhooks;
grant select (id, campaign_id, external_contact_id, phone_number, time_zone, state, prior_state, call_id, lease_until,
    attempts_count, next_attempt_at, stratum_id, day_part_attempts, disposition, last_outcome) on contacts
    to call_scheduler_webhooks;
grant update (state, prior_state, call_id, lease_until, next_attempt_at, last_outcome, excluded_reason, disposition)
    on contacts to call_scheduler_webhooks;
grant select, insert (kind, call_id, contact_id, campaign_id, external_contact_id, attempts, occurred_at) on survey_events
    to call_scheduler_webhooks;
grant select, insert (phone_number, reason, source, expires_at), update (reason, source, expires_at)
    on exclusion_list_entries to call_scheduler_webhooks;

-- Interviews and people make appointments, by a function that does no more than that.
revoke execute on function appoint_contact(uuid, timestamptz, timestamptz, text, uuid) from public;
grant execute on function appoint_contact(uuid, timestamptz, timestamptz, text, uuid)
    to call_scheduler_recorder, call_scheduler_webhooks, call_scheduler_operator;

-- People with the command line: everything but the schema.
grant select, insert, update, delete on all tables in schema public to call_scheduler_operator;
revoke insert, update, delete on schema_migrations from call_scheduler_operator;
grant usage on all sequences in schema public to call_scheduler_operator;

-- People who may only look.
grant select on all tables in schema public to call_scheduler_reader;

commit;
