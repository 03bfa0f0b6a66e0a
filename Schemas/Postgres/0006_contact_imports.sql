-- How far each import of contacts has come, so that an interrupted one goes on where it was.
-- Forward-only. Runs inside one transaction.

create table contact_imports (
    id uuid primary key default uuid_v7(),
    campaign_id uuid not null references campaigns on delete cascade,
    file_name text not null,
    -- Null for a pipe, which cannot be read again.
    file_size bigint check (file_size >= 0),
    -- Of the file's size, of its beginning and end, and of the options by which it is read.
    fingerprint text,
    -- Updated in the transaction that adds the contacts of these lines.
    lines_done bigint not null default 0,
    -- The part of the rejects file that belongs to them.
    rejects_bytes bigint not null default 0,
    rows_read bigint not null default 0,
    rows_added bigint not null default 0,
    rows_excluded bigint not null default 0,
    rows_present bigint not null default 0,
    rows_repeated bigint not null default 0,
    rows_rejected bigint not null default 0,
    zones_from_file bigint not null default 0,
    zones_from_number bigint not null default 0,
    zones_from_campaign bigint not null default 0,
    started_at timestamptz not null default now(),
    finished_at timestamptz
);

create unique index contact_imports_unfinished on contact_imports (campaign_id, fingerprint) where finished_at is null;
