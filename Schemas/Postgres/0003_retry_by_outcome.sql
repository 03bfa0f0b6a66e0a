-- The pause before the next attempt may depend on how the last one ended.
-- Forward-only. Runs inside one transaction.

-- Minutes by outcome, such as {"busy": 15}; what is not named takes retry_interval_minutes.
alter table campaigns add column retry_minutes jsonb not null default '{}'
    check (jsonb_typeof(retry_minutes) = 'object');
-- Up to this share of the pause is added, different for each call, so that many contacts do not come back at once.
alter table campaigns add column retry_jitter_percent smallint not null default 0
    check (retry_jitter_percent between 0 and 100);
