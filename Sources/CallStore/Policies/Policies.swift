// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
public import Foundation
import Postgres
import Schemas

extension CallStore {
    /// A policy that campaigns can name.
    public struct PolicyEntry: Sendable {
        /// The policy.
        public let policy: Policy
        /// When this version came into the database; nil for a shipped one that no campaign has used yet.
        public let installedAt: Date?
        /// How many campaigns are under this version.
        public let campaigns: Int
        /// Whether it was to be looked at again before today.
        public let isOverdue: Bool
    }

    /// The policies that come with the program, by name.
    /// - Throws: ``Policy/Fault`` when one cannot be read.
    public static func shippedPolicies() throws -> [Policy] {
        try Schemas.policies.sorted { $0.key < $1.key }.map { try Policy.parse($0.value) }
    }

    /// All policies, shipped and installed, by name, the newest version first.
    /// - Throws: `PostgresError`; ``StoreError`` when one that is stored cannot be read here.
    public func policies() async throws -> [PolicyEntry] {
        let today = try await self.client.execute(Self.selectToday).first?.decode(named: "today") ?? ""
        var entries = try await self.client.execute(Self.selectPolicies).map { row in
            let policy = try Self.policy(row.decode(named: "document"))
            return PolicyEntry(
                policy: policy,
                installedAt: try row.decode(named: "installed_at"),
                campaigns: try row.decode(named: "campaigns"),
                isOverdue: policy.isOverdue(on: today)
            )
        }
        let installed = Set(entries.map(\.policy.label))
        for policy in try Self.shippedPolicies() where !installed.contains(policy.label) {
            entries.append(
                PolicyEntry(policy: policy, installedAt: nil, campaigns: 0, isOverdue: policy.isOverdue(on: today))
            )
        }
        return entries.sorted {
            $0.policy.name == $1.policy.name
                ? $0.policy.version > $1.policy.version : $0.policy.name < $1.policy.name
        }
    }

    /// The newest version of a policy, shipped or installed.
    /// - Parameter name: Its name.
    /// - Returns: The policy.
    /// - Throws: ``StoreError`` with code `notFound`.
    public func policy(named name: String) async throws -> Policy {
        guard let entry = try await self.policies().first(where: { $0.policy.name == name }) else {
            throw StoreError(
                code: .notFound,
                message: "there is no policy named '\(name)'; `call-scheduler policy list` shows them"
            )
        }
        return entry.policy
    }

    /// Puts a campaign that is not running under a policy, in place of the one that it had.
    ///
    /// The campaign's own windows, limits and dates stay as they are and count as well; attempts, ring timeout and
    /// consent are tightened for good.
    /// - Parameters:
    ///   - policy: The policy.
    ///   - name: The campaign.
    ///   - actor: Who wishes it.
    /// - Throws: ``StoreError``: `notFound`, or `notAllowed` with the reason.
    public func apply(_ policy: Policy, toCampaign name: String, actor: String = "program") async throws {
        try await self.client.withTransaction { try await Self.apply(policy, toCampaign: name, actor: actor, on: $0) }
    }

    /// Runs a statement, and applies a policy in the same transaction.
    func execute(
        _ statement: PostgresStatement,
        _ parameters: [any PostgresEncodable],
        andApply policy: Policy?,
        to campaign: String,
        actor: String
    ) async throws -> PostgresResult {
        guard let policy else { return try await self.client.execute(statement, parameters) }
        return try await self.client.withTransaction { connection in
            let result = try await connection.execute(statement, parameters)
            try await Self.apply(policy, toCampaign: campaign, actor: actor, on: connection)
            return result
        }
    }

    private static func apply(
        _ policy: Policy,
        toCampaign name: String,
        actor: String,
        on connection: PostgresConnection
    ) async throws {
        let document: [any PostgresEncodable] = [policy.name, policy.version, policy.document]
        try await connection.execute(Self.installPolicy, document)
        let installed = try await connection.execute(Self.comparePolicy, document)
        guard try installed.first?.decode(Bool.self, named: "is_the_same") == true else {
            throw StoreError(
                code: .alreadyExists,
                message: "policy \(policy.label) is installed with other content: give the document a new version"
            )
        }
        let rows = try await connection.execute(Self.lockForPolicy, [name, policy.week.multirange])
        guard let row = rows.first else { throw Self.noCampaign(name) }
        guard try row.decode(String.self, named: "status") != "running" else {
            throw StoreError(
                code: .notAllowed,
                message: "campaign '\(name)' is running: pause it before its policy is changed"
            )
        }
        guard try row.decode(Bool.self, named: "has_hours") else {
            throw StoreError(
                code: .notAllowed,
                message:
                    "campaign '\(name)': policy \(policy.label) leaves nothing of its windows; it allows \(policy.week)"
            )
        }
        if let fault = policy.fault(
            ofCallerID: try row.decode(String?.self, named: "caller_id").map { try PhoneNumber($0) }
        ) {
            throw Self.callerIDFault(campaign: name, fault)
        }
        try await connection.execute(
            Self.applyPolicy,
            [
                name, policy.name, policy.version, policy.week.multirange, policy.blockedDates,
                String(decoding: try JSONEncoder().encode(policy.limits), as: UTF8.self), policy.maximumAttempts,
                policy.ringTimeoutMinimum ?? 0, policy.requiresConsent, actor, policy.consentPeriod?.text,
                policy.weakestZoneEvidence.rawValue,
            ]
        )
    }

    private static func callerIDFault(campaign: String, _ fault: String) -> StoreError {
        StoreError(code: .notAllowed, message: "campaign '\(campaign)': caller_id: \(fault)")
    }

    /// Holds the campaign until the transaction ends, and refuses a number that its policy does not let be shown.
    /// - Parameters:
    ///   - number: The number; nil for the one that the campaign has.
    ///   - name: The campaign.
    ///   - connection: The transaction's.
    /// - Throws: ``StoreError``: `notFound`, or `notAllowed` with the reason; `PostgresError`.
    static func requireCallerID(
        _ number: PhoneNumber? = nil,
        ofCampaign name: String,
        on connection: PostgresConnection
    ) async throws {
        guard let row = try await connection.execute(Self.policyOfCampaign, [name]).first else {
            throw Self.noCampaign(name)
        }
        let present = try row.decode(String?.self, named: "caller_id").map { try PhoneNumber($0) }
        let policy = try row.decode(String?.self, named: "document").map(Self.policy)
        if let fault = policy?.fault(ofCallerID: number ?? present) { throw Self.callerIDFault(campaign: name, fault) }
    }

    /// Policies of campaigns that are not over which were to be looked at again before today.
    /// - Returns: Each with its label, the day and the campaigns.
    /// - Throws: `PostgresError`.
    public func overduePolicies() async throws -> [(policy: String, reviewBy: String, campaigns: [String])] {
        try await self.client.execute(Self.selectOverduePolicies).map { row in
            (
                try row.decode(named: "policy"), try row.decode(named: "review_by"), try row.decode(named: "campaigns")
            )
        }
    }

    static func policy(_ document: String) throws -> Policy {
        do {
            return try Policy.parse(document)
        } catch {
            throw StoreError(code: .schemaMismatch, message: "a stored policy cannot be read here: \(error)")
        }
    }
}
