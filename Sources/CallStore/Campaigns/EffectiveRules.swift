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
        /// How long consent counts; nil when it does not end by itself.
        public let consentPeriod: ConsentPeriod?
        /// Numbers that may be shown as the caller's, and those that may not; nil when any may.
        public let callerIDs: CallerIDPrefixes?
        /// What an interview must begin with.
        public let disclosure: String?
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
        let policy = try row.decode(String?.self, named: "document").map(Self.policy)
        return EffectiveRules(
            week: try CallingWeek(multirange: row.decode(named: "week")),
            policy: try row.decode(named: "policy"),
            requiresConsent: try row.decode(named: "requires_consent"),
            consentPeriod: policy?.consentPeriod,
            callerIDs: policy?.callerIDRule?.value,
            disclosure: policy?.disclosure
        )
    }
}
