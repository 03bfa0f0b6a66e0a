// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Postgres

extension CallStore {
    /// What the sessions of roles ask of the planner: indexes. A statement is planned once for a session, at first on tables
    /// that are almost empty, where reading all of them is as cheap; the plan stays while they grow, until autovacuum looks
    /// at them. A scan that nothing can replace is then reckoned so dear that it would be compiled, which costs more than
    /// any of our statements.
    public static let sessionSettings = ["enable_seqscan": "off", "jit": "off"]

    /// The SQL of a call's life by name, from the claim to the outcome, for benchmarks that run it without the roles.
    public static let statementsOfACall: [String: String] = [
        "claim_contacts": Self.claimContacts.sql,
        "begin_attempt": Self.beginAttempt.sql,
        "mark_attempts_placed": Self.markAttemptsPlaced.sql,
        "record_reports": Self.recordReports.sql,
        "mark_events_published": Self.markEventsPublished.sql,
    ]
}
