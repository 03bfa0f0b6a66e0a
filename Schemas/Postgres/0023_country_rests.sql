-- Countries that the provider does not call for a trunk's account: their contacts rest, and one is tried at growing
-- intervals, until a call is taken.
-- Forward-only. Runs inside one transaction. A program of the version before calls these countries as it did.

create table country_rests (
    trunk text not null,
    -- ISO 3166.
    region text not null check (region ~ '^[A-Z]{2}$'),
    refused_at timestamptz not null,
    rests_until timestamptz not null,
    -- How long it rests this time, in seconds.
    pause integer not null check (pause > 0),
    -- The provider's own.
    error_code text not null,
    primary key (trunk, region)
);

-- Until when a country rests; null when it may be called.
create function country_rests_until(on_trunk text, of_region text) returns timestamptz
language plpgsql stable parallel safe
as $$
begin
    if of_region = '' then
        return null;
    end if;
    return (select r.rests_until from country_rests r
        where r.trunk = on_trunk and r.region = of_region and r.rests_until > now());
end
$$;
