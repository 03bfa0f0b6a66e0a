// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
public import Foundation
import Postgres

extension CallStore {
    /// What of a campaign can be exported as a table.
    public enum Export: Sendable, CaseIterable {
        /// A row for each contact, in the order of the numbers.
        case contacts
        /// A row for each attempt, in the order in which they were made.
        case attempts

        /// The names of the columns.
        ///
        /// Times are ISO 8601 in UTC, truths are `true` and `false`, and what is not known is empty. `disposition` is the
        /// code of a ``Disposition``; on an attempt it is empty while the call lasts and when it was not charged. A
        /// contact's `disposition_is_final` is true when nothing more will come of it. `appointment` is `open`, `kept`, `missed`
        /// when no call was made in time, or `unanswered`.
        public var columns: [String] {
            switch self {
            case .contacts:
                [
                    "contact_id", "external_contact_id", "phone_number", "preferred_language", "time_zone",
                    "has_prior_consent", "do_not_call", "state", "attempts", "last_attempt_at", "last_outcome",
                    "next_attempt_at", "disposition", "disposition_is_final", "created_at",
                    "appointment_at", "appointment_until", "appointment", "consent_at", "consent_source",
                    "consent_proof",
                ]
            case .attempts:
                [
                    "call_id", "contact_id", "external_contact_id", "phone_number", "attempt_number", "status",
                    "outcome", "disposition", "survey_outcome", "answered_by", "counted", "started_at", "placed_at",
                    "answered_at", "ended_at", "error_code", "provider_call_id", "provider_status", "dialer_id",
                    "policy",
                ]
            }
        }
    }

    /// Reads a table in pages, all of one instant; memory does not grow with the campaign.
    /// - Parameters:
    ///   - export: Which table.
    ///   - campaign: The campaign.
    ///   - pageSize: Rows at once, at least 1.
    ///   - body: Called with one page after the other; each row has a text for each of the columns.
    /// - Throws: `PostgresError`, and what `body` throws.
    public func export(
        _ export: Export,
        campaign: UUID,
        pageSize: Int = 2000,
        _ body: ([[String]]) async throws -> Void
    ) async throws {
        try await self.client.withTransaction(isolation: .repeatableRead) { connection in
            var last = ""
            while true {
                let statement = export == .contacts ? Self.contactPage : Self.attemptExportPage
                let rows = try await connection.execute(statement, [campaign, last, pageSize])
                guard rows.count > 0 else { return }
                last = try rows[rows.count - 1].decode(named: "place")
                let disposition = export.columns.firstIndex(of: "disposition")
                try await body(
                    try rows.map { row in
                        var fields = try row.decode([String].self, named: "fields")
                        if let disposition, let rank = Int(fields[disposition]) {
                            fields[disposition] = Disposition(counted: rank)?.code ?? ""
                        }
                        return fields
                    }
                )
            }
        }
    }

    private static func texts(_ expressions: [String]) -> String {
        "array[" + expressions.map { "coalesce(\($0), '')" }.joined(separator: ", ") + "]"
    }

    private static func time(_ column: String) -> String {
        "to_char(\(column) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
    }

    /// By number, because that is the unique index of a campaign's contacts and attempts are found by number as well.
    private static let contactPage = PostgresStatement(
        name: "export_contacts",
        """
        select c.phone_number as place, \(CallStore.texts([
            "c.id::text", "c.external_contact_id", "c.phone_number", "c.preferred_language",
            CallStore.zonesOfContact, "c.has_prior_consent::text", "c.do_not_call::text", "c.state",
            "c.attempts_count::text", CallStore.time("c.last_attempt_at"), "c.last_outcome",
            CallStore.time("c.next_attempt_at"), "(\(CallStore.dispositionOfContact))::text",
            "\(CallStore.contactIsFinal)::text", CallStore.time("c.created_at"),
            CallStore.time("p.appointed_at"), CallStore.time("p.appointed_until"), CallStore.stateOfAppointment("p"),
            CallStore.time("c.consent_at"), "c.consent_source", "c.consent_proof",
        ])) as fields
        from contacts c
        join campaigns k on k.id = c.campaign_id
        join campaign_strata s on s.id = c.stratum_id
        left join appointments p on p.contact_id = c.id
        where c.campaign_id = $1 and c.phone_number > $2
        order by c.phone_number
        limit $3
        """
    )

    private static let attemptExportPage = PostgresStatement(
        name: "export_attempts",
        """
        select a.id::text as place, \(CallStore.texts([
            "a.call_id::text", "a.contact_id::text", "c.external_contact_id", "a.phone_number",
            "a.attempt_number::text", "a.status", "a.outcome", "\(CallStore.dispositionOfAttempt)::text",
            "a.survey_outcome", "a.answered_by", "a.counted::text", CallStore.time("a.started_at"),
            CallStore.time("a.placed_at"), CallStore.time("a.answered_at"), CallStore.time("a.ended_at"),
            "a.error_code", "a.provider_call_id", "a.provider_raw_status", "a.dialer_id", "a.policy",
        ])) as fields
        from call_attempts a
        left join contacts c on c.id = a.contact_id
        where a.campaign_id = $1 and a.id > coalesce(nullif($2, '')::bigint, 0)
        order by a.id
        limit $3
        """
    )
}
