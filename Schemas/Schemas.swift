// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// The project's contracts, embedded in the binary: database migrations and message schemas.
public enum Schemas {
    /// One numbered, forward-only migration.
    public struct Migration: Sendable {
        /// Its number, from 1, without gaps.
        public let number: Int
        /// Its name, as in the file name.
        public let name: String
        /// The SQL script.
        public let sql: String

        /// Creates a migration.
        public init(number: Int, name: String, sql: String) {
            self.number = number
            self.name = name
            self.sql = sql
        }
    }

    /// All migrations in the order of their numbers.
    public static var migrations: [Migration] {
        [
            Migration(
                number: 1,
                name: "campaigns_contacts_attempts",
                sql: Self.text(PackageResources._001_campaigns_contacts_attempts_sql)
            ),
            Migration(
                number: 2,
                name: "survey_outcomes",
                sql: Self.text(PackageResources._002_survey_outcomes_sql)
            ),
            Migration(
                number: 3,
                name: "retry_by_outcome",
                sql: Self.text(PackageResources._003_retry_by_outcome_sql)
            ),
            Migration(
                number: 4,
                name: "weekly_windows",
                sql: Self.text(PackageResources._004_weekly_windows_sql)
            ),
            Migration(
                number: 5,
                name: "number_limits",
                sql: Self.text(PackageResources._005_number_limits_sql)
            ),
            Migration(
                number: 6,
                name: "contact_imports",
                sql: Self.text(PackageResources._006_contact_imports_sql)
            ),
        ]
    }

    /// The JSON Schema of each message by its type, e.g. `dial-request.v1`.
    public static var messages: [String: String] {
        [
            "dial-request.v1": Self.text(PackageResources.dial_request_v1_json),
            "call-event.v1": Self.text(PackageResources.call_event_v1_json),
            "survey-outcome.v1": Self.text(PackageResources.survey_outcome_v1_json),
            "survey-event.v1": Self.text(PackageResources.survey_event_v1_json),
        ]
    }

    private static func text(_ bytes: [UInt8]) -> String {
        String(decoding: bytes, as: UTF8.self)
    }
}
