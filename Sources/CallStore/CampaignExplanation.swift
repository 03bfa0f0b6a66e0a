// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation
import Postgres

extension CallStore {
    /// Where a campaign's contacts stand on the way to a call, and what holds them up.
    public struct CampaignFunnel: Sendable, Codable {
        /// All contacts.
        public var all = 0
        /// Completed, refused, or out of attempts.
        public var over = 0
        /// Excluded.
        public var excluded = 0
        /// Being called now.
        public var dialing = 0
        /// Claimed; their requests wait in the queue.
        public var queued = 0
        /// Due at a later time.
        public var resting = 0
        /// Due, but their window is closed.
        public var windowClosed = 0
        /// Due, and their window is open.
        public var callable = 0
        /// When the next contact that rests is due.
        public var nextDue: Date?
        /// The campaign's status, with its reason.
        public var status = ""
        /// Why the trunk is paused.
        public var trunkPaused: String?
        /// How many more calls the campaign's own cap allows; nil without one.
        public var headroom: Int?

        /// The first thing that keeps calls from being made; nil when they are made or there is nothing to call.
        public var obstacle: String? {
            if !self.status.hasPrefix("running") { return "the campaign is \(self.status)" }
            if let reason = self.trunkPaused { return "its trunk is paused: \(reason)" }
            if self.all == 0 { return "it has no contacts" }
            if self.all == self.over + self.excluded { return "every contact's story is over" }
            if self.headroom == 0 { return "the campaign's own cap on calls is reached" }
            if self.callable > 0 {
                return self.queued + self.dialing > 0
                    ? nil : "contacts are due and none is claimed: does a selector run? see `status` and `doctor`"
            }
            if self.windowClosed > 0 { return "the calling window is closed where \(self.windowClosed) contacts live" }
            if self.queued > 0, self.dialing == 0 { return "requests wait, and no dialer takes them" }
            if self.dialing + self.queued == 0, let next = self.nextDue {
                return "every contact rests; the next is due at \(next.formatted(.iso8601))"
            }
            return nil
        }
    }

    /// Counts a campaign's contacts on their way. Reads all of them once.
    /// - Throws: ``StoreError`` when there is no such campaign; `PostgresError`.
    public func explainCampaign(named name: String) async throws -> CampaignFunnel {
        let result = try await self.client.execute(Self.campaignFunnel, [name])
        guard let row = result.first else { throw Self.noCampaign(name) }
        var funnel = CampaignFunnel()
        funnel.status = try row.decode(String.self, at: 0)
        if let reason = try row.decode(String?.self, at: 1) { funnel.status += ": " + reason }
        funnel.trunkPaused = try row.decode(String?.self, at: 2)
        funnel.all = try row.decode(Int.self, at: 4)
        funnel.over = try row.decode(Int.self, at: 5)
        funnel.excluded = try row.decode(Int.self, at: 6)
        funnel.dialing = try row.decode(Int.self, at: 7)
        funnel.queued = try row.decode(Int.self, at: 8)
        funnel.resting = try row.decode(Int.self, at: 9)
        funnel.windowClosed = try row.decode(Int.self, at: 10)
        funnel.callable = try row.decode(Int.self, at: 11)
        funnel.nextDue = try row.decode(Date?.self, at: 12)
        if let cap = try row.decode(Int?.self, at: 3) { funnel.headroom = max(0, cap - funnel.dialing - funnel.queued) }
        return funnel
    }

    private static let campaignFunnel = PostgresStatement(
        name: "campaign_funnel",
        """
        with campaign as materialized (
            select k.*, t.paused_reason from campaigns k left join trunks t on t.name = k.trunk where k.name = $1)
        , zones as materialized (
            select z.time_zone, call_window_closes_at(
                k.calling_week, k.blocked_dates, coalesce(nullif(z.time_zone, ''), k.time_zone), now()) is not null as is_open
            from campaign k
            join campaign_time_zones z on z.campaign_id = k.id)
        , standing as (
            select
                case
                    when c.state = 'excluded' then 'excluded'
                    when c.state = 'in_progress' and c.prior_state is null then 'dialing'
                    when c.state = 'in_progress' then 'queued'
                    when c.next_attempt_at is null then 'over'
                    when c.next_attempt_at > now() then 'resting'
                    when z.is_open then 'callable'
                    else 'window_closed'
                end as place,
                c.next_attempt_at
            from campaign k
            join contacts c on c.campaign_id = k.id
            left join zones z on z.time_zone = coalesce(c.time_zone, ''))
        select k.status, k.status_reason, k.paused_reason, k.max_concurrent_calls::bigint,
            count(s.place), count(*) filter (where s.place = 'over'), count(*) filter (where s.place = 'excluded'),
            count(*) filter (where s.place = 'dialing'), count(*) filter (where s.place = 'queued'),
            count(*) filter (where s.place = 'resting'), count(*) filter (where s.place = 'window_closed'),
            count(*) filter (where s.place = 'callable'),
            min(s.next_attempt_at) filter (where s.place = 'resting')
        from campaign k
        left join standing s on true
        group by k.status, k.status_reason, k.paused_reason, k.max_concurrent_calls
        """
    )
}
