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
            Migration(
                number: 7,
                name: "strata",
                sql: Self.text(PackageResources._007_strata_sql)
            ),
            Migration(
                number: 8,
                name: "policies",
                sql: Self.text(PackageResources._008_policies_sql)
            ),
            Migration(
                number: 9,
                name: "exclusions_and_consent",
                sql: Self.text(PackageResources._009_exclusions_and_consent_sql)
            ),
            Migration(
                number: 10,
                name: "shares_and_quotas",
                sql: Self.text(PackageResources._010_shares_and_quotas_sql)
            ),
            Migration(
                number: 11,
                name: "day_parts",
                sql: Self.text(PackageResources._011_day_parts_sql)
            ),
            Migration(
                number: 12,
                name: "evidence_and_erasure",
                sql: Self.text(PackageResources._012_evidence_and_erasure_sql)
            ),
            Migration(
                number: 13,
                name: "ringing",
                sql: Self.text(PackageResources._013_ringing_sql)
            ),
            Migration(
                number: 14,
                name: "fewer_index_entries",
                sql: Self.text(PackageResources._014_fewer_index_entries_sql)
            ),
            Migration(
                number: 15,
                name: "rests_during_calls",
                sql: Self.text(PackageResources._015_rests_during_calls_sql)
            ),
            Migration(
                number: 16,
                name: "counters",
                sql: Self.text(PackageResources._016_counters_sql)
            ),
            Migration(
                number: 17,
                name: "calls_in_the_cap",
                sql: Self.text(PackageResources._017_calls_in_the_cap_sql)
            ),
            Migration(
                number: 18,
                name: "excluded_interviews",
                sql: Self.text(PackageResources._018_excluded_interviews_sql)
            ),
            Migration(
                number: 19,
                name: "rules_at_dial",
                sql: Self.text(PackageResources._019_rules_at_dial_sql)
            ),
            Migration(
                number: 20,
                name: "words_of_persons",
                sql: Self.text(PackageResources._020_words_of_persons_sql)
            ),
            Migration(
                number: 21,
                name: "number_changes",
                sql: Self.text(PackageResources._021_number_changes_sql)
            ),
            Migration(
                number: 22,
                name: "canceled_by_us",
                sql: Self.text(PackageResources._022_canceled_by_us_sql)
            ),
            Migration(
                number: 23,
                name: "country_rests",
                sql: Self.text(PackageResources._023_country_rests_sql)
            ),
            Migration(
                number: 24,
                name: "words_of_interviews",
                sql: Self.text(PackageResources._024_words_of_interviews_sql)
            ),
            Migration(
                number: 25,
                name: "unknown_zones",
                sql: Self.text(PackageResources._025_unknown_zones_sql)
            ),
            Migration(
                number: 26,
                name: "roles",
                sql: Self.text(PackageResources._026_roles_sql)
            ),
            Migration(
                number: 27,
                name: "operators",
                sql: Self.text(PackageResources._027_operators_sql)
            ),
            Migration(
                number: 28,
                name: "appointments",
                sql: Self.text(PackageResources._028_appointments_sql)
            ),
            Migration(
                number: 29,
                name: "consent_with_proof",
                sql: Self.text(PackageResources._029_consent_with_proof_sql)
            ),
            Migration(
                number: 30,
                name: "zone_evidence",
                sql: Self.text(PackageResources._030_zone_evidence_sql)
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

    /// The shipped policies by name, e.g. `fr`.
    public static var policies: [String: String] {
        [
            "au": Self.text(PackageResources.au_json),
            "br": Self.text(PackageResources.br_json),
            "ca": Self.text(PackageResources.ca_json),
            "cautious": Self.text(PackageResources.cautious_json),
            "de": Self.text(PackageResources.de_json),
            "es": Self.text(PackageResources.es_json),
            "fr": Self.text(PackageResources.fr_json),
            "fr-research": Self.text(PackageResources.fr_research_json),
            "gb": Self.text(PackageResources.gb_json),
            "in": Self.text(PackageResources.in_json),
            "it": Self.text(PackageResources.it_json),
            "it-research": Self.text(PackageResources.it_research_json),
            "pt": Self.text(PackageResources.pt_json),
            "us": Self.text(PackageResources.us_json),
            "us-strict": Self.text(PackageResources.us_strict_json),
        ]
    }

    /// The JSON Schema of a policy.
    public static var policySchema: String { Self.text(PackageResources.policy_v1_schema_json) }

    /// What has changed in number plans since the tables of libphonenumber, JSON.
    public static var numberChanges: String { Self.text(PackageResources.changes_since_json) }

    /// Where prefixes of numbers and postal codes belong, as time zones, JSON.
    public static var zonePrefixes: String { Self.text(PackageResources.zones_json) }

    private static func text(_ bytes: [UInt8]) -> String {
        String(decoding: bytes, as: UTF8.self)
    }
}
