// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Postgres

extension CallStore {
    /// Stops all placing on a trunk, with the reason for `doctor` and `campaign show`.
    /// - Returns: Whether it was not paused before.
    /// - Throws: `PostgresError`.
    @discardableResult
    public func pauseTrunk(_ name: String, reason: String) async throws -> Bool {
        try await self.client.execute(Self.pauseTrunkRow, [name, reason]).count > 0
    }

    /// Lets a trunk place calls again.
    /// - Returns: Whether it was paused.
    /// - Throws: `PostgresError`.
    @discardableResult
    public func resumeTrunk(_ name: String) async throws -> Bool {
        try await self.client.execute(Self.resumeTrunkRow, [name]).count > 0
    }

    /// The trunks that are paused, with the reasons.
    /// - Throws: `PostgresError`.
    public func pausedTrunks() async throws -> [(name: String, reason: String)] {
        try await self.client.execute(Self.selectPausedTrunks).map { row in
            (try row.decode(String.self, named: "name"), try row.decode(String.self, named: "paused_reason"))
        }
    }

    /// A trunk as people have set it, and what is wrong with it alone.
    public struct TrunkStanding: Sendable, Equatable {
        /// Its name.
        public let name: String
        /// Why it is paused.
        public let pausedReason: String?
        /// What is wrong with its queue.
        public let fault: String?
        /// How many running campaigns it has.
        public let runningCampaigns: Int
    }

    /// The trunks that campaigns use which are not over, that were ever paused, or that dialers serve.
    /// - Throws: `PostgresError`.
    public func trunks() async throws -> [TrunkStanding] {
        try await self.client.execute(Self.selectTrunkStandings).map { row in
            TrunkStanding(
                name: try row.decode(named: "name"),
                pausedReason: try row.decode(named: "paused_reason"),
                fault: try row.decode(named: "fault"),
                runningCampaigns: try row.decode(named: "running")
            )
        }
    }

    /// The trunks that campaigns use.
    /// - Throws: `PostgresError`.
    public func trunksInUse() async throws -> [String] {
        try await self.client.execute(Self.selectTrunks).map { try $0.decode(String.self, named: "trunk") }
    }

    /// Whether a campaign is running, and how long a call of a campaign that is not over takes at most, ringing included.
    /// - Throws: `PostgresError`.
    public func campaignsAtWork() async throws -> (running: Int, longestCall: Duration) {
        let row = try await self.client.execute(Self.selectAtWork).first
        return (try row?.decode(named: "running") ?? 0, .seconds(try row?.decode(Int.self, named: "longest_call") ?? 0))
    }

    private static let selectAtWork = PostgresStatement(
        name: "select_at_work",
        """
        select count(*) filter (where status = 'running') as running,
            coalesce(max(ring_timeout_seconds + max_call_seconds)
                filter (where status not in ('completed', 'cancelled')), 0)::bigint as longest_call
        from campaigns
        """
    )

    private static let pauseTrunkRow = PostgresStatement(
        name: "pause_trunk",
        """
        insert into trunks (name, paused_at, paused_reason)
        values ($1, now(), $2)
        on conflict (name) do update set paused_at = now(), paused_reason = excluded.paused_reason
            where trunks.paused_at is null
        returning name
        """
    )

    private static let resumeTrunkRow = PostgresStatement(
        name: "resume_trunk",
        """
        update trunks
        set paused_at = null, paused_reason = null, fault = null, fault_since = null, fault_count = 0, retry_at = null
        where name = $1 and paused_at is not null
        returning name
        """
    )

    private static let selectPausedTrunks = PostgresStatement(
        name: "select_paused_trunks",
        "select name, paused_reason from trunks where paused_at is not null order by name"
    )

    private static let selectTrunkStandings = PostgresStatement(
        name: "select_trunk_standings",
        """
        with names as (
            select trunk as name from campaigns where status not in ('completed', 'cancelled')
            union select name from trunks
            union select trunk from roles where trunk is not null and stopped_at is null)
        select n.name, t.paused_reason, t.fault,
            (select count(*) from campaigns k where k.trunk = n.name and k.status = 'running') as running
        from names n
        left join trunks t on t.name = n.name
        order by n.name
        """
    )

    private static let selectTrunks = PostgresStatement(
        name: "select_trunks",
        "select distinct trunk from campaigns where status not in ('completed', 'cancelled') order by trunk"
    )
}
