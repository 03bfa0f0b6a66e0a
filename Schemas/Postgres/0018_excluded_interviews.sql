-- Who gave an interview in a call during which they were excluded, few ever: their interviews count for the quota. In a
-- migration of its own, because it reads the table once, and nobody shall wait for the locks of the next one meanwhile.
-- Forward-only. Runs inside one transaction.

create index contacts_excluded_interviewed on contacts (stratum_id) where state = 'excluded' and disposition <= 1;
