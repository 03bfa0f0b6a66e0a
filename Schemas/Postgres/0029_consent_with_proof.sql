-- Consent with its date, source and proof, and policies under which it ends by itself.
-- Forward-only. Runs inside one transaction; nothing is scanned. A program of before records consent without a date, which
-- under such a policy does not count, and calls by its own light until it is replaced.

alter table contacts
    add column consent_at timestamptz,
    add column consent_source text,
    add column consent_proof text;

-- What was said by number: recorded_at stands in where no date was given.
alter table consents
    add column given_at timestamptz,
    add column source text,
    add column proof text;

-- The policy's; null where consent does not end by itself.
alter table campaigns add column consent_expires interval check (consent_expires > interval '0');
alter table campaign_rules add column consent_expires interval;

-- The date of the consent under which the call was made.
alter table call_attempts add column consent_at timestamptz;

-- Whether consent of a date counts at an instant. A day's date may lie ahead of an instant in a zone that is ahead.
create function consent_holds(given_at timestamptz, expires interval, at_instant timestamptz) returns boolean
language sql stable parallel safe
as $$
    select expires is null
        or coalesce(given_at + expires > at_instant and given_at <= at_instant + interval '1 day', false)
$$;

create or replace function keep_campaign_rules() returns trigger
language plpgsql
as $$
begin
    insert into campaign_rules (
        campaign_id, calling_week, blocked_dates, number_limits, requires_consent, time_zone, max_attempts, ends_at,
        consent_expires)
    values (new.id, new.calling_week, new.blocked_dates, new.number_limits, new.requires_consent, new.time_zone,
        new.max_attempts, new.ends_at, new.consent_expires);
    return null;
end
$$;

create trigger campaigns_new_consent_rule after update on campaigns
    for each row when (
        new.consent_expires is distinct from old.consent_expires
        and (new.calling_week, new.blocked_dates, new.number_limits, new.requires_consent, new.time_zone,
            new.max_attempts, new.ends_at)
        is not distinct from
        (old.calling_week, old.blocked_dates, old.number_limits, old.requires_consent, old.time_zone,
            old.max_attempts, old.ends_at))
    execute function keep_campaign_rules();
