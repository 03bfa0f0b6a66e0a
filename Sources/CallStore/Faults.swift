// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation
import Postgres

extension CallStore {
    /// Something that gets no calls, or not all, because something is wrong with it alone.
    public struct Fault: Sendable, Equatable {
        /// What it is about.
        public enum Kind: String, Sendable, CaseIterable {
            /// A running campaign.
            case campaign
            /// A trunk.
            case trunk
        }

        /// What it is about.
        public let kind: Kind
        /// The campaign's or the trunk's name.
        public let name: String
        /// What is wrong.
        public let reason: String
        /// Since when.
        public let since: Date
        /// When it is tried again; nil when it is asked all the time, and only a part of it is wrong.
        public let retryAt: Date?
    }

    /// A trunk of running campaigns that is neither paused nor put aside.
    public struct RunningTrunk: Sendable, Equatable {
        /// Its name.
        public let name: String
        /// Whether something was wrong with it when it was asked last.
        public let hasFault: Bool
    }

    /// The trunks of running campaigns, without those that are paused or put aside until later.
    /// - Throws: `PostgresError`.
    public func runningTrunks() async throws -> [RunningTrunk] {
        try await self.client.execute(Self.selectRunningTrunks).map { row in
            RunningTrunk(name: try row.decode(named: "trunk"), hasFault: try row.decode(named: "has_fault"))
        }
    }

    /// What is wrong with running campaigns and with their trunks now.
    /// - Throws: `PostgresError`.
    public func faults() async throws -> [Fault] {
        try await self.client.execute(Self.selectFaults).map { row in
            Fault(
                kind: try row.decode(Bool.self, named: "is_trunk") ? .trunk : .campaign,
                name: try row.decode(named: "name"),
                reason: try row.decode(named: "fault"),
                since: try row.decode(named: "fault_since"),
                retryAt: try row.decode(named: "retry_at")
            )
        }
    }

    /// Puts a campaign aside alone, for five seconds at first and twice as long with each further time in a row, five
    /// minutes at most.
    /// - Throws: `PostgresError`.
    public func putAside(campaign: UUID, reason: String) async throws {
        try await self.client.execute(Self.putCampaignAside, [campaign, reason])
    }

    /// Puts a trunk aside alone, as long as ``putAside(campaign:reason:)`` does.
    /// - Throws: `PostgresError`.
    public func putAside(trunk: String, reason: String) async throws {
        try await self.client.execute(Self.putTrunkAside, [trunk, reason])
    }

    /// Notes what is wrong with parts of campaigns, of which the rest goes on.
    /// - Throws: `PostgresError`.
    public func noteFaults(_ faults: [(campaign: UUID, reason: String)]) async throws {
        guard !faults.isEmpty else { return }
        try await self.client.execute(Self.noteCampaignFaults, [faults.map(\.campaign), faults.map(\.reason)])
    }

    /// Notes that campaigns are well again.
    /// - Throws: `PostgresError`.
    public func clearFaults(campaigns: [UUID]) async throws {
        guard !campaigns.isEmpty else { return }
        try await self.client.execute(Self.clearCampaignFaults, [campaigns])
    }

    /// Notes that a trunk is well again.
    /// - Throws: `PostgresError`.
    public func clearFault(trunk: String) async throws {
        try await self.client.execute(Self.clearTrunkFault, [trunk])
    }

    private static let selectRunningTrunks = PostgresStatement(
        name: "running_trunks",
        """
        select k.trunk, bool_or(t.fault is not null) as has_fault
        from campaigns k
        left join trunks t on t.name = k.trunk
        where k.status = 'running' and t.paused_at is null and coalesce(t.retry_at, '-infinity') <= now()
        group by k.trunk
        order by k.trunk
        """
    )

    private static let selectFaults = PostgresStatement(
        name: "select_faults",
        """
        select false as is_trunk, k.name, k.fault, k.fault_since, k.retry_at
        from campaigns k
        where k.status = 'running' and k.fault is not null
        union all
        select true, t.name, t.fault, t.fault_since, t.retry_at
        from trunks t
        where t.fault is not null
            and exists (select from campaigns k where k.trunk = t.name and k.status = 'running')
        order by 1, 2
        """
    )

    /// SQL for the time of the next try, after so many in a row.
    private static func retryAt(_ count: String) -> String {
        "now() + least(interval '5 seconds' * 2 ^ least(\(count), 16), interval '5 minutes')"
    }

    private static let putCampaignAside = PostgresStatement(
        name: "put_campaign_aside",
        """
        update campaigns
        set fault = $2, fault_since = coalesce(fault_since, now()), retry_at = \(CallStore.retryAt("fault_count")),
            fault_count = fault_count + 1
        where id = $1
        """
    )

    private static let putTrunkAside = PostgresStatement(
        name: "put_trunk_aside",
        """
        insert into trunks as t (name, fault, fault_since, fault_count, retry_at)
        values ($1, $2, now(), 1, \(CallStore.retryAt("0")))
        on conflict (name) do update
        set fault = excluded.fault, fault_since = coalesce(t.fault_since, now()),
            retry_at = \(CallStore.retryAt("t.fault_count")), fault_count = t.fault_count + 1
        """
    )

    private static let noteCampaignFaults = PostgresStatement(
        name: "note_campaign_faults",
        """
        update campaigns k
        set fault = f.reason, fault_since = coalesce(k.fault_since, now()), fault_count = 0, retry_at = null
        from unnest($1::uuid[], $2::text[]) as f (id, reason)
        where k.id = f.id and k.id = any ($1::uuid[])
        """
    )

    private static let clearCampaignFaults = PostgresStatement(
        name: "clear_campaign_faults",
        """
        update campaigns
        set fault = null, fault_since = null, fault_count = 0, retry_at = null
        where id = any ($1::uuid[]) and fault is not null
        """
    )

    private static let clearTrunkFault = PostgresStatement(
        name: "clear_trunk_fault",
        """
        update trunks
        set fault = null, fault_since = null, fault_count = 0, retry_at = null
        where name = $1 and fault is not null
        """
    )
}
