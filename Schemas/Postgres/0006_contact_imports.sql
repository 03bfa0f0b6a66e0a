-- Replaced when the import's branch is merged.
select 1;
