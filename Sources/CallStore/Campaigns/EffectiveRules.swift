// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
import Postgres

extension CallStore {
    /// The rules that are in force for a campaign: its own and its policy's.
    public struct EffectiveRules: Sendable, Equatable {
        /// When it calls.
        public let week: CallingWeek
        /// The policy as name and version, such as `fr@2026-11-24`; nil without one.
        public let policy: String?
        /// Whether it calls only contacts with prior consent.
        public let requiresConsent: Bool
    }

    /// The rules that are in force for a campaign. Its limits, dates, attempts and ring timeout are those of ``Campaign``
    /// and ``blockedDates(campaign:)``.
    /// - Parameter name: The campaign.
    /// - Returns: The rules.
    /// - Throws: ``StoreError`` when there is no such campaign; `PostgresError`.
    public func effectiveRules(campaign name: String) async throws -> EffectiveRules {
        guard let row = try await self.client.execute(Self.selectRules, [name]).first else {
            throw Self.noCampaign(name)
        }
        return EffectiveRules(
            week: try CallingWeek(multirange: row.decode(String.self, at: 0)),
            policy: try row.decode(String?.self, at: 1),
            requiresConsent: try row.decode(Bool.self, at: 2)
        )
    }
}
