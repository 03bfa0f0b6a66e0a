-- When we asked the provider to cancel a call that must not ring any more. A call that ends so and was not answered is not
-- charged to its contact; who records its end need not be who asked for it.
-- Forward-only. Runs inside one transaction. A program of the version before charges such calls, as it did.

alter table call_attempts add column cancel_requested_at timestamptz;
