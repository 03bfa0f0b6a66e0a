-- A call's row is written three times and more, and every index on it is paid for each time that a write is not HOT.
-- Forward-only. Runs inside one transaction.

-- Nothing looks a provider's id up but by the number that was called too, which has an index: without this one the write
-- that notes the id is HOT.
drop index call_attempts_provider;

-- Room on the page for the row's later versions. It counts for pages that are filled from now on.
alter table call_attempts set (fillfactor = 65);
