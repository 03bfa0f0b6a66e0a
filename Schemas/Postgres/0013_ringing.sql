-- When the phone began to ring, so that the time from there to the answer can be told.
alter table call_attempts add column ringing_at timestamptz;
