// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Postgres

extension CallStore {
    /// The SQL of a call's life by name, from the claim to the outcome, for benchmarks that run it without the roles.
    public static let statementsOfACall: [String: String] = [
        "claim_contacts": Self.claimContacts.sql,
        "begin_attempt": Self.beginAttempt.sql,
        "mark_attempts_placed": Self.markAttemptsPlaced.sql,
        "record_reports": Self.recordReports.sql,
        "mark_events_published": Self.markEventsPublished.sql,
    ]
}
