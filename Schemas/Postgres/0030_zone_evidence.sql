-- Where somebody is by weaker evidence than the country: by the prefix of the number, by the postal code, by the part of
-- the country. Each is kept apart
-- from the zones that a contact has had until now; the campaign says which suffices.
-- Forward-only. Runs inside one transaction; only small tables are scanned. A program of before knows the zones in
-- `time_zone` alone, which stay as they were: it calls at fewer hours.

create function zone_evidence_rank(evidence text) returns integer
language sql immutable parallel safe
as $$
    select array_position(array['country', 'area-code', 'postal-code'], evidence)
$$;

alter table campaigns
    add column zone_evidence text not null default 'country'
        check (zone_evidence in ('country', 'area-code', 'postal-code')),
    -- The weakest that the policy allows.
    add column policy_zone_evidence text not null default 'postal-code'
        check (policy_zone_evidence in ('country', 'area-code', 'postal-code')),
    add constraint campaigns_zone_evidence
        check (zone_evidence_rank(zone_evidence) <= zone_evidence_rank(policy_zone_evidence));

-- A stratum with weaker evidence has the source 'several', and what its `time_zone` comes from beside it: a program of
-- before must not put its own contacts, of whose numbers it knows nothing, into such a stratum.
alter table campaign_strata
    add column own_zone_source text not null default '' check (own_zone_source in ('', 'campaign', 'file', 'number')),
    add column number_zones text not null default '',
    add column postal_zones text not null default '',
    add column region_zones text not null default '',
    drop constraint campaign_strata_time_zone_source_check,
    add constraint campaign_strata_time_zone_source_check
        check (time_zone_source in ('campaign', 'file', 'number', 'several')),
    add constraint campaign_strata_evidence check (
        (time_zone_source = 'several') = (number_zones <> '' or postal_zones <> '' or region_zones <> '')
        and (time_zone_source = 'several') = (own_zone_source <> ''));

do $$
declare
    name text;
begin
    select c.conname into strict name
    from pg_constraint c
    where c.conrelid = 'campaign_strata'::regclass and c.contype = 'u';
    execute format('alter table campaign_strata drop constraint %I', name);
end
$$;
alter table campaign_strata add constraint campaign_strata_once
    unique (
        campaign_id, region, time_zone, time_zone_source, own_zone_source, number_zones, postal_zones, region_zones, cell);

-- The zones of which all must be open, by the evidence that suffices: lists with commas; '' for the campaign's zone. What
-- suffices narrows, as far as it agrees. Where one source contradicts another, both count, also one that does not suffice.
create function counting_zones(
    own text, own_source text, by_number text, by_postal_code text, by_region text, evidence text
) returns text
language plpgsql immutable parallel safe
as $$
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

-- Kept with the other rules, for whoever judges a period by them.
alter table campaign_rules add column zone_evidence text not null default 'country';

create or replace function keep_campaign_rules() returns trigger
language plpgsql
as $$
begin
    insert into campaign_rules (
        campaign_id, calling_week, blocked_dates, number_limits, requires_consent, time_zone, max_attempts, ends_at,
        consent_expires, zone_evidence)
    values (new.id, new.calling_week, new.blocked_dates, new.number_limits, new.requires_consent, new.time_zone,
        new.max_attempts, new.ends_at, new.consent_expires, new.zone_evidence);
    return null;
end
$$;

create trigger campaigns_new_evidence after update on campaigns
    for each row when (
        new.zone_evidence is distinct from old.zone_evidence
        and (new.calling_week, new.blocked_dates, new.number_limits, new.requires_consent, new.time_zone, new.max_attempts,
            new.ends_at, new.consent_expires)
        is not distinct from
        (old.calling_week, old.blocked_dates, old.number_limits, old.requires_consent, old.time_zone, old.max_attempts,
            old.ends_at, old.consent_expires))
    execute function keep_campaign_rules();

-- How many rows of an import have weaker evidence.
alter table contact_imports
    add column zones_by_prefix bigint not null default 0,
    add column zones_by_postal_code bigint not null default 0,
    add column zones_by_region bigint not null default 0;
