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
            (try row.decode(String.self, at: 0), try row.decode(String.self, at: 1))
        }
    }

    /// The trunks that campaigns use.
    /// - Throws: `PostgresError`.
    public func trunksInUse() async throws -> [String] {
        try await self.client.execute(Self.selectTrunks).map { try $0.decode(String.self, at: 0) }
    }

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

    private static let selectTrunks = PostgresStatement(
        name: "select_trunks",
        "select distinct trunk from campaigns where status not in ('completed', 'cancelled') order by trunk"
    )
}
