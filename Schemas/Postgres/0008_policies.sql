-- Calling rules as data: named, versioned documents that campaigns can only tighten.
-- Forward-only. Runs inside one transaction.

-- Rows are never changed: attempts refer to them.
create table policies (
    name text not null check (name ~ '^[a-z][a-z0-9-]{0,39}$'),
    version text not null check (version ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}(\.[2-9])?$'),
    document jsonb not null check (jsonb_typeof(document) = 'object'),
    installed_at timestamptz not null default now(),
    primary key (name, version)
);

create function refuse_change() returns trigger
language plpgsql
as $$
begin
    raise exception 'a policy never changes: install a new version';
end
$$;

create trigger policies_never_change before update or delete on policies
    for each row execute function refuse_change();

alter table campaigns
    add column if not exists requires_consent boolean not null default false,
    add column policy_name text,
    add column policy_version text,
    add column policy_week int4multirange not null default '{[0,10080)}',
    add column policy_blocked datemultirange not null default '{}',
    add column policy_limits jsonb not null default '[]' check (jsonb_typeof(policy_limits) = 'array'),
    -- What the campaign itself has settled. number_limits and blocked_dates are what is in force, and what every check
    -- reads. Null, and no dates: nothing but the campaign's own is in force yet.
    add column own_number_limits jsonb check (jsonb_typeof(own_number_limits) = 'array'),
    add column own_blocked_dates datemultirange not null default '{}',
    add constraint campaigns_policy foreign key (policy_name, policy_version) references policies match full;

-- A generated column cannot be changed, only made again; the table has a row per campaign.
alter table campaigns drop column calling_week;
alter table campaigns add column calling_week int4multirange not null generated always as (
    coalesce(weekly_windows, week_of(allowed_call_start_local, allowed_call_end_local, call_days)) * policy_week) stored;
-- Outside the policy's windows altogether, a campaign would never call and never say why.
alter table campaigns add constraint campaigns_calling_week check (not isempty(calling_week));

-- The policy under which the attempt was made, such as fr@2026-11-24.
alter table call_attempts add column policy text;
