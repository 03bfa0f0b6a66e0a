-- Who gave an interview in a call during which they were excluded, few ever: their interviews count for the quota. In a
-- migration of its own, because it reads the table, beside the running roles.
-- Forward-only.

-- @alone forget an index that was not finished
drop index concurrently if exists contacts_excluded_interviewed
-- @alone index them
create index concurrently contacts_excluded_interviewed on contacts (stratum_id) where state = 'excluded' and disposition <= 1
