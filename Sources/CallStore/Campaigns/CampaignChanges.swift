// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
public import Foundation
import Postgres

extension CallStore {
    /// What may change about a campaign while it runs. What is nil stays as it is.
    public struct CampaignChanges: Sendable, Equatable {
        /// A limit that can be lifted.
        public enum Limit: String, Sendable, CaseIterable {
            /// Calls at once.
            case maximumConcurrentCalls = "max-concurrent-calls"
            /// Calls per hour.
            case callsPerHour = "calls-per-hour"
            /// Completed interviews.
            case targetCompletes = "target-completes"
            /// The end date.
            case endsAt = "ends-at"
            /// Completed interviews by cell.
            case cellTargets = "cell-targets"
        }

        /// The caller ID.
        public var callerID: PhoneNumber?
        /// The answer URL.
        public var answerURL: String?
        /// When the campaign stops calling.
        public var endsAt: Date?
        /// Higher goes first.
        public var priority: Int?
        /// Its part of the trunk's lines.
        public var weight: Int?
        /// Calls at once, at most.
        public var maximumConcurrentCalls: Int?
        /// Calls per hour, at most.
        public var callsPerHour: Int?
        /// Completed interviews wanted.
        public var targetCompletes: Int?
        /// The same by cell; cells that are not named stay.
        public var cellTargets: [String: Int] = [:]
        /// What suffices to tell where contacts without a zone of their own are.
        public var zoneEvidence: ZoneEvidenceLevel?
        /// Limits to lift.
        public var cleared: Set<Limit> = []

        /// Creates changes that change nothing.
        public init() {}

        /// Everything that is wrong with these changes, each naming the option at fault.
        public func faults() -> [String] {
            var checked = CampaignSettings(name: "-", timeZone: "UTC")
            checked.answerURL = self.answerURL
            checked.weight = self.weight ?? 1
            checked.maximumConcurrentCalls = self.maximumConcurrentCalls
            checked.callsPerHour = self.callsPerHour
            checked.targetCompletes = self.targetCompletes
            checked.cellTargets = self.cellTargets
            return checked.faults()
        }
    }

    /// Changes a campaign. Takes effect on the next claim and on the next dial.
    /// - Parameters:
    ///   - name: The campaign's name.
    ///   - changes: What changes.
    /// - Throws: ``StoreError``: `notFound`, or `notAllowed` when the campaign's policy forbids the caller ID or the evidence;
    ///   `PostgresError`.
    public func change(campaign name: String, _ changes: CampaignChanges) async throws {
        do {
            guard try await self.isChanged(name, changes) else { throw Self.noCampaign(name) }
        } catch let error as PostgresError where error.constraintName == "campaigns_zone_evidence" {
            throw StoreError(
                code: .notAllowed,
                message:
                    "zone-evidence: the policy of campaign '\(name)' forbids \(changes.zoneEvidence?.rawValue ?? "it")"
            )
        }
    }

    private func isChanged(_ name: String, _ changes: CampaignChanges) async throws -> Bool {
        let cells = String(decoding: try JSONEncoder().encode(changes.cellTargets), as: UTF8.self)
        return try await self.client.withTransaction { connection in
            if let number = changes.callerID {
                try await Self.requireCallerID(number, ofCampaign: name, on: connection)
            }
            let result = try await connection.execute(
                Self.changeCampaign,
                [
                    name, changes.callerID?.e164, changes.answerURL, changes.endsAt, changes.priority, changes.weight,
                    changes.maximumConcurrentCalls, changes.callsPerHour, changes.targetCompletes, cells,
                    changes.cleared.map(\.rawValue).sorted(), changes.zoneEvidence?.rawValue,
                ]
            )
            return result.count > 0
        }
    }

    private static let changeCampaign = PostgresStatement(
        name: "change_campaign",
        """
        with changed as (
            update campaigns
            set caller_id = coalesce($2, caller_id), answer_url = coalesce($3, answer_url),
                ends_at = coalesce($4, case when not 'ends-at' = any ($11::text[]) then ends_at end),
                priority = coalesce($5::bigint, priority), weight = coalesce($6::bigint, weight),
                max_concurrent_calls = coalesce($7::bigint,
                    case when not 'max-concurrent-calls' = any ($11::text[]) then max_concurrent_calls end),
                calls_per_hour = coalesce($8::bigint,
                    case when not 'calls-per-hour' = any ($11::text[]) then calls_per_hour end),
                target_completes = coalesce($9::bigint,
                    case when not 'target-completes' = any ($11::text[]) then target_completes end),
                zone_evidence = coalesce($12, zone_evidence), updated_at = now()
            where name = $1
            returning id)
        , lifted as (
            delete from campaign_cells q using changed c
            where q.campaign_id = c.id and 'cell-targets' = any ($11::text[])
                and not $10::text::jsonb ? q.cell)
        , cells as (
            insert into campaign_cells (campaign_id, cell, target_completes)
            select c.id, t.key, t.value::int from changed c, jsonb_each_text($10::text::jsonb) as t
            on conflict (campaign_id, cell) do update set target_completes = excluded.target_completes)
        select id from changed
        """
    )
}
