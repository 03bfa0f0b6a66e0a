// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Postgres

extension CallStore {
    /// How a running campaign stands, for those who watch it.
    public struct CampaignFigures: Sendable {
        /// The campaign's name.
        public let name: String
        /// Contacts whose time has come, whatever their window says; no more than ``CallStore/countedAtMost`` are counted.
        public let due: Int
        /// Those among them that have been called before.
        public let retriesDue: Int
        /// Contacts that are claimed or being called.
        public let underWay: Int
    }

    /// Counting ends there: more due contacts than this say nothing new, and cost time.
    public static let countedAtMost = 10_000

    /// How the running campaigns stand.
    /// - Throws: `PostgresError`.
    public func campaignFigures() async throws -> [CampaignFigures] {
        try await self.client.execute(Self.campaignFigures, [Self.countedAtMost]).map { row in
            CampaignFigures(
                name: try row.decode(named: "name"),
                due: try row.decode(named: "due"),
                retriesDue: try row.decode(named: "retries"),
                underWay: try row.decode(named: "under_way")
            )
        }
    }

    /// `$1` contacts to count at most.
    private static let campaignFigures = PostgresStatement(
        name: "campaign_figures",
        """
        select k.name, d.due, d.retries,
            (select count(*) from contacts p where p.campaign_id = k.id and p.state = 'in_progress') as under_way
        from campaigns k
        cross join lateral (
            select count(*) as due, count(*) filter (where o.state = 'not_reached') as retries
            from (
                select c.state
                from campaign_strata s
                cross join lateral (
                    select p.state
                    from contacts p
                    where p.stratum_id = s.id and p.state in ('pending', 'not_reached')
                        and p.next_attempt_at is not null and p.next_attempt_at <= now()
                    order by p.next_attempt_at
                    limit $1) c
                where s.campaign_id = k.id
                limit $1) o) d
        where k.status = 'running'
        order by k.priority desc, k.created_at
        """
    )
}
