// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
public import Foundation
import Postgres

extension CallStore {
    /// Why a contact is called now, or is not: every rule in the order in which it is asked.
    public struct ContactExplanation: Sendable {
        /// One rule.
        public struct Rule: Sendable, Codable, Equatable {
            /// What is asked.
            public let rule: String
            /// Whether it lets the contact be called now.
            public let passed: Bool
            /// The values that it was judged by.
            public let detail: String
        }

        /// The contact.
        public var contactID: UUID
        /// Its campaign's name.
        public var campaign: String
        /// The rules.
        public var rules: [Rule]
        /// The zone in which its window is judged.
        public var timeZone: String
        /// When it could be called next if nothing else changes; nil when it never will.
        public var nextPossible: Date?
        /// What must change first, by hand, before it can be called; nil when only time must pass.
        public var blocker: String?
    }

    /// Explains a contact in every campaign that it is in.
    /// - Parameters:
    ///   - phoneNumber: Its number; nil to look for the id.
    ///   - id: Its id.
    ///   - campaign: Only in this campaign.
    /// - Returns: One explanation per campaign, by the campaigns' names.
    /// - Throws: `PostgresError`.
    public func explainContacts(
        phoneNumber: PhoneNumber?,
        id: UUID?,
        campaign: String?
    ) async throws -> [ContactExplanation] {
        try await self.client.execute(Self.explainContact, [phoneNumber?.e164, id, campaign])
            .map { row in try ContactFacts(row).explanation() }
    }
}
