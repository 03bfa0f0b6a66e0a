-- What each process says of itself every few seconds, so that people are told who works and who does not, and why.
-- Forward-only. Runs inside one transaction. A program of the version before writes nothing here, and nobody decides by it
-- whether a call is made.

create table roles (
    -- A process; its lines go on from one of the same id that it has taken over from.
    instance uuid not null,
    kind text not null check (kind in ('selector', 'dialer', 'recorder', 'webhooks')),
    id text not null,
    host text not null,
    version text not null,
    -- A dialer's.
    trunk text,
    since timestamptz not null default now(),
    seen_at timestamptz not null default now(),
    -- When it has ended in good order.
    stopped_at timestamptz,
    -- Why it is not ready; null when it is.
    fault text,
    -- A dialer's: how many calls it makes at once at most, how many are live, and where its breaker stands.
    lines integer,
    live integer,
    breaker text check (breaker in ('closed', 'open', 'probing')),
    -- A selector's: when its last pass ended, and how long it rests after one.
    passed_at timestamptz,
    rests_seconds double precision,
    primary key (instance, kind)
) with (fillfactor = 50, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
