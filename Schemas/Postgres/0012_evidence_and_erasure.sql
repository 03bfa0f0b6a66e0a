-- What it takes to judge a period by the rules as they were, and to forget a person.
-- Forward-only. Runs inside one transaction.

-- The rules of campaigns and regions from an instant on.
create table campaign_rules (
    id bigint primary key generated always as identity,
    campaign_id uuid not null references campaigns on delete cascade,
    valid_from timestamptz not null default clock_timestamp(),
    calling_week int4multirange not null,
    blocked_dates datemultirange not null,
    number_limits jsonb not null,
    requires_consent boolean not null,
    time_zone text not null,
    max_attempts smallint not null,
    ends_at timestamptz
);
create index campaign_rules_by_campaign on campaign_rules (campaign_id, valid_from);

create table region_rules (
    id bigint primary key generated always as identity,
    region text not null,
    valid_from timestamptz not null default clock_timestamp(),
    blocked_dates datemultirange not null
);
create index region_rules_by_region on region_rules (region, valid_from);

create function keep_campaign_rules() returns trigger
language plpgsql
as $$
begin
    insert into campaign_rules (
        campaign_id, calling_week, blocked_dates, number_limits, requires_consent, time_zone, max_attempts, ends_at)
    values (new.id, new.calling_week, new.blocked_dates, new.number_limits, new.requires_consent, new.time_zone,
        new.max_attempts, new.ends_at);
    return null;
end
$$;

create trigger campaigns_first_rules after insert on campaigns
    for each row execute function keep_campaign_rules();
create trigger campaigns_new_rules after update on campaigns
    for each row when (
        (new.calling_week, new.blocked_dates, new.number_limits, new.requires_consent, new.time_zone, new.max_attempts,
            new.ends_at)
        is distinct from
        (old.calling_week, old.blocked_dates, old.number_limits, old.requires_consent, old.time_zone, old.max_attempts,
            old.ends_at))
    execute function keep_campaign_rules();

create function keep_region_rules() returns trigger
language plpgsql
as $$
begin
    insert into region_rules (region, blocked_dates) values (new.region, new.blocked_dates);
    return null;
end
$$;

create trigger regions_new_rules after insert or update on regions
    for each row execute function keep_region_rules();

insert into campaign_rules (campaign_id, valid_from, calling_week, blocked_dates, number_limits, requires_consent,
    time_zone, max_attempts, ends_at)
select id, created_at, calling_week, blocked_dates, number_limits, requires_consent, time_zone, max_attempts, ends_at
from campaigns;

-- When the interview's own outcome became known, which may be long after the call.
alter table call_attempts add column survey_reported_at timestamptz;
-- Whether consent was on record when the call was made; null for those before this migration.
alter table call_attempts add column had_consent boolean;

-- Until when a number rests, as it was at an instant: of the attempts made before, by what was known of them then.
create function number_rested_until(number text, limits jsonb, at_instant timestamptz) returns timestamptz
language sql stable parallel safe
as $$
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

-- A person who asked to be forgotten leaves rows without a name, for the counts.
alter table contacts alter column phone_number drop not null;
alter table contacts add column erased_at timestamptz;
alter table contacts add constraint contacts_erased_check check (
    phone_number is not null
    or erased_at is not null and next_attempt_at is null and state not in ('pending', 'in_progress')) not valid;
alter table call_attempts alter column phone_number drop not null;

-- Numbers of persons who were forgotten and must not come back with the next import: HMAC-SHA-256 under a key that is
-- kept outside the database.
create table suppressed_numbers (
    digest bytea primary key check (length(digest) = 32),
    created_at timestamptz not null default now()
);

-- A period is judged page by page.
create index call_attempts_started on call_attempts (started_at, id);
