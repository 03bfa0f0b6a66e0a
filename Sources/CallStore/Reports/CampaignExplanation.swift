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
        /// Due, in countries that the provider does not call now.
        public var countryParked = 0
        /// These countries.
        public var countryRests: [CountryRest] = []
        /// Due, but their window is closed.
        public var windowClosed = 0
        /// Due and their window is open, but their cell has as many completes, and calls under way, as are wanted.
        public var cellFull = 0
        /// Due, their window is open, and their cell wants them.
        public var callable = 0
        /// How many of these were looked at for limits and day parts; there may be too many to look at all.
        public var examined = 0
        /// Of those looked at, the ones that rest by a limit of their number or wait for their day part.
        public var limited = 0
        /// When the next contact that rests is due.
        public var nextDue: Date?
        /// The campaign's status, with its reason.
        public var status = ""
        /// Why the trunk is paused.
        public var trunkPaused: String?
        /// What is wrong with the campaign alone, or with its trunk's queue.
        public var fault: String?
        /// How many more calls the campaign's own caps, rate and target allow now; nil without one.
        public var headroom: Int?
        /// How many more requests the trunk's queue takes; nil when the broker was not asked.
        public var queueRoom: Int?
        /// Its trunk.
        public var trunk = ""
        /// Whether calls are made, and if not, why; nil before ``CallStore/CampaignFunnel/judge(by:)``.
        public var verdict: String?
    }

    /// Counts a campaign's contacts on their way. Reads all of them once.
    /// - Parameter name: The campaign's name.
    /// - Returns: The funnel.
    /// - Throws: ``StoreError`` when there is no such campaign; `PostgresError`.
    public func explainCampaign(named name: String) async throws -> CampaignFunnel {
        let result = try await self.client.execute(Self.campaignFunnel, [name, Self.funnelDepth])
        guard let row = result.first else { throw Self.noCampaign(name) }
        var funnel = CampaignFunnel()
        funnel.status = try row.decode(named: "status")
        if let reason = try row.decode(String?.self, named: "status_reason") { funnel.status += ": " + reason }
        funnel.trunk = try row.decode(named: "trunk")
        funnel.trunkPaused = try row.decode(named: "paused_reason")
        funnel.fault = try row.decode(named: "what_is_wrong")
        funnel.all = try row.decode(named: "total")
        funnel.over = try row.decode(named: "over")
        funnel.excluded = try row.decode(named: "excluded")
        funnel.dialing = try row.decode(named: "dialing")
        funnel.queued = try row.decode(named: "queued")
        funnel.resting = try row.decode(named: "resting")
        funnel.countryParked = try row.decode(named: "country_parked")
        funnel.countryRests = try await self.client.execute(Self.campaignCountryRests, [name]).map { row in
            CountryRest(
                country: try row.decode(named: "region"),
                restsUntil: try row.decode(named: "rests_until"),
                errorCode: try row.decode(named: "error_code")
            )
        }
        funnel.windowClosed = try row.decode(named: "window_closed")
        funnel.cellFull = try row.decode(named: "cell_full")
        funnel.callable = try row.decode(named: "callable")
        funnel.nextDue = try row.decode(named: "next_due")
        funnel.examined = try row.decode(named: "examined")
        funnel.limited = try row.decode(named: "limited")
        funnel.headroom = try row.decode(named: "room")
        return funnel
    }

    private static let campaignCountryRests = PostgresStatement(
        name: "campaign_country_rests",
        """
        select r.region, r.rests_until, r.error_code
        from campaigns k
        join country_rests r on r.trunk = k.trunk and r.rests_until > now()
        where k.name = $1
            and exists (select from campaign_strata s where s.campaign_id = k.id and s.region = r.region)
        order by r.rests_until
        """
    )

    /// So many that are due are looked at for limits and day parts, which takes a while for each.
    private static let funnelDepth = 5000

    private static let campaignFunnel = PostgresStatement(
        name: "campaign_funnel",
        """
        with campaign as materialized (
            select k.*, t.paused_reason, coalesce(k.fault, t.fault) as what_is_wrong
            from campaigns k
            left join trunks t on t.name = k.trunk
            where k.name = $1)
        , strata as materialized (
            select s.id, \(CallStore.zonesOfStratum) as zones,
                blocked_in(k.blocked_dates, s.region) as blocked, coalesce(r.calls, 1) > 0 as is_wanted,
                coalesce(
                    call_window_closes_at_if_known(k.calling_week, blocked_in(k.blocked_dates, s.region),
                        \(CallStore.zonesOfStratum), now()) > now(),
                    false) as is_open,
                country_rests_until(k.trunk, s.region) is null as is_called
            from campaign k
            join campaign_strata s on s.campaign_id = k.id
            left join lateral campaign_cell_room(k.id) r on r.cell = s.cell)
        , standing as materialized (
            select count(*) as total, count(*) filter (where p.place = 'over') as over,
                count(*) filter (where p.place = 'excluded') as excluded,
                count(*) filter (where p.place = 'dialing') as dialing,
                count(*) filter (where p.place = 'queued') as queued,
                count(*) filter (where p.place = 'resting') as resting,
                count(*) filter (where p.place = 'country_parked') as country_parked,
                count(*) filter (where p.place = 'window_closed') as window_closed,
                count(*) filter (where p.place = 'cell_full') as cell_full,
                count(*) filter (where p.place = 'callable') as callable,
                min(p.next_attempt_at) filter (where p.place = 'resting') as next_due
            from (
                select c.next_attempt_at,
                    case
                        when c.state = 'excluded' then 'excluded'
                        when c.state = 'in_progress' and c.prior_state is null then 'dialing'
                        when c.state = 'in_progress' then 'queued'
                        when c.next_attempt_at is null then 'over'
                        when c.next_attempt_at > now() then 'resting'
                        when not s.is_called then 'country_parked'
                        when not s.is_open then 'window_closed'
                        when not s.is_wanted then 'cell_full'
                        else 'callable'
                    end as place
                from campaign k
                join contacts c on c.campaign_id = k.id
                join strata s on s.id = c.stratum_id) p)
        , looked_at as materialized (
            select number_rests_until(c.phone_number, k.number_limits) is not null
                or day_part_turn(k.day_parts, c.day_part_attempts, k.calling_week, s.blocked, s.zones, now(),
                    coalesce(k.ends_at, 'infinity')) is not null as is_limited
            from campaign k
            join strata s on s.is_open and s.is_wanted and s.is_called
            join contacts c on c.stratum_id = s.id and c.state in ('pending', 'not_reached') and c.next_attempt_at <= now()
            where k.number_limits <> '[]' or k.day_parts <> '[]'
            limit $2)
        select k.status, k.status_reason, k.trunk, k.paused_reason, k.what_is_wrong, d.*, nullif(campaign_room(k.id), 2147483647) as room,
            case
                when k.number_limits = '[]' and k.day_parts = '[]' then d.callable
                else (select count(*) from looked_at)
            end as examined,
            (select count(*) from looked_at where is_limited) as limited
        from campaign k
        cross join standing d
        """
    )
}
