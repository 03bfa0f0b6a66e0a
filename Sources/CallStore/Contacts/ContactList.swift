// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation
import Postgres

extension CallStore {
    /// A contact as it stands, without what is personal but its number.
    public struct ContactStanding: Sendable, Equatable {
        /// Its id.
        public let id: UUID
        /// Its id in the system that it comes from.
        public let externalID: String?
        /// Its number.
        public let phoneNumber: String
        /// Its state.
        public let state: String
        /// How many attempts were charged to it.
        public let attempts: Int
        /// How the last attempt ended.
        public let lastOutcome: String?
        /// When it is due; nil when its story is over.
        public let nextAttempt: Date?
        /// Why it is excluded.
        public let excludedReason: String?
    }

    /// The states in which contacts are.
    public static let contactStates = ["pending", "in_progress", "completed", "refused", "not_reached", "excluded"]

    /// Contacts of a campaign in the order in which they were loaded.
    /// - Parameters:
    ///   - campaign: The campaign's id.
    ///   - state: Only in this state.
    ///   - after: Only those behind this one.
    ///   - limit: So many at most.
    /// - Returns: The contacts.
    /// - Throws: `PostgresError`.
    public func contacts(
        campaign: UUID,
        state: String? = nil,
        after: UUID? = nil,
        limit: Int
    ) async throws -> [ContactStanding] {
        try await self.client.execute(Self.selectContacts, [campaign, state, after, limit]).map { row in
            ContactStanding(
                id: try row.decode(named: "id"),
                externalID: try row.decode(named: "external_contact_id"),
                phoneNumber: try row.decode(named: "phone_number"),
                state: try row.decode(named: "state"),
                attempts: try row.decode(named: "attempts"),
                lastOutcome: try row.decode(named: "last_outcome"),
                nextAttempt: try row.decode(named: "next_attempt_at"),
                excludedReason: try row.decode(named: "excluded_reason")
            )
        }
    }

    private static let selectContacts = PostgresStatement(
        """
        select c.id, c.external_contact_id, c.phone_number, c.state, c.attempts_count::bigint as attempts, c.last_outcome,
            c.next_attempt_at, c.excluded_reason
        from contacts c
        where c.campaign_id = $1 and ($2::text is null or c.state = $2) and ($3::uuid is null or c.id > $3)
        order by c.id
        limit $4
        """,
        prepared: false
    )
}
