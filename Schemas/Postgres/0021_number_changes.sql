-- Changes in number plans that were installed; the last counts.
-- Forward-only. Runs inside one transaction.

create table number_changes (
    id bigint primary key generated always as identity,
    document text not null,
    installed_at timestamptz not null default now()
);
