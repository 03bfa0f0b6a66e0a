-- What conducted the interview says of it. It wins over the provider's "completed", and may come before or after the
-- provider's end.
-- Forward-only. Runs inside one transaction.

alter table call_attempts add column survey_outcome text;
-- Not validated: the column is new, and a scan of all attempts would find nothing.
alter table call_attempts add constraint call_attempts_survey_outcome_check
    check (survey_outcome in ('completed', 'refused', 'opt_out')) not valid;
