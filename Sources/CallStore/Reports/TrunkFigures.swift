// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Postgres

extension CallStore {
    /// How a trunk stands, for those who watch it.
    public struct TrunkFigures: Sendable, Equatable {
        /// Its name.
        public let name: String
        /// Whether campaigns that run use it.
        public let isInUse: Bool
        /// Whether it is paused.
        public let isPaused: Bool
        /// How old the oldest claim is whose call no dialer has begun yet; 0 when there is none.
        public let oldestClaimSeconds: Double

        /// Creates one.
        public init(name: String, isInUse: Bool, isPaused: Bool, oldestClaimSeconds: Double) {
            self.name = name
            self.isInUse = isInUse
            self.isPaused = isPaused
            self.oldestClaimSeconds = oldestClaimSeconds
        }
    }

    /// The trunks of campaigns that run or are paused.
    /// - Throws: `PostgresError`.
    public func trunkFigures() async throws -> [TrunkFigures] {
        try await self.client.execute(Self.selectTrunkFigures).map { row in
            TrunkFigures(
                name: try row.decode(named: "trunk"),
                isInUse: try row.decode(named: "is_in_use"),
                isPaused: try row.decode(named: "is_paused"),
                oldestClaimSeconds: try row.decode(named: "oldest_claim")
            )
        }
    }

    /// By two clocks, which may differ a little.
    private static let selectTrunkFigures = PostgresStatement(
        name: "trunk_figures",
        """
        select k.trunk, bool_or(k.status = 'running') as is_in_use, bool_or(t.paused_at is not null) as is_paused,
            greatest(0, extract(epoch from now() - coalesce(min(o.claimed_at), now())))::float8 as oldest_claim
        from campaigns k
        left join trunks t on t.name = k.trunk
        left join lateral (
            select \(CallStore.claimTime("p.call_id")) as claimed_at
            from contacts p
            where p.campaign_id = k.id and p.state = 'in_progress' and p.prior_state is not null
            order by p.lease_until
            limit 1) o on true
        where k.status in ('running', 'paused')
        group by k.trunk
        order by k.trunk
        """
    )
}
