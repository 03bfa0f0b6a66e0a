// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Postgres

extension CallStore {
    /// Something about a campaign that will keep it from calling, or from calling as intended.
    public struct CampaignProblem: Sendable, Codable, Equatable {
        /// Whether the campaign cannot start while it stands.
        public let isError: Bool
        /// The setting at fault.
        public let field: String
        /// What is wrong, and what to do.
        public let problem: String
    }

    /// Looks for problems before a campaign is started.
    /// - Parameter name: The campaign's name.
    /// - Returns: Errors first; empty when all is well.
    /// - Throws: ``StoreError`` when there is no such campaign; `PostgresError`.
    public func checkCampaign(named name: String) async throws -> [CampaignProblem] {
        guard let row = try await self.client.execute(Self.campaignFacts, [name]).first else {
            throw Self.noCampaign(name)
        }
        var problems: [CampaignProblem] = []
        func error(_ isSo: Bool, _ field: String, _ problem: String) {
            if isSo { problems.append(.init(isError: true, field: field, problem: problem)) }
        }
        func warning(_ isSo: Bool, _ field: String, _ problem: String) {
            if isSo { problems.append(.init(isError: false, field: field, problem: problem)) }
        }
        let contacts = try row.decode(Int.self, at: 3)
        let callable = try row.decode(Int.self, at: 4)
        let endsAt = try row.decode(Date?.self, at: 2)
        let zones = try row.decode(Int.self, at: 5)
        let closedZones = try row.decode([String].self, at: 6)
        error(try row.decode(Bool.self, at: 0), "caller_id", "is missing (campaign set --caller-id)")
        error(try row.decode(Bool.self, at: 1), "answer_url", "is missing (campaign set --answer-url)")
        error(contacts == 0, "contacts", "there are none (contacts import FILE.csv --campaign \(name))")
        error(endsAt.map { $0 <= Date() } ?? false, "ends_at", "has passed")
        error(
            zones > 0 && closedZones.count == zones,
            "window",
            "never opens before the end, in any zone of the contacts: look at window, blocked dates and ends_at"
        )
        warning(
            !closedZones.isEmpty && closedZones.count < zones,
            "window",
            "never opens before the end for contacts in \(closedZones.joined(separator: ", "))"
        )
        warning(contacts > 0 && callable == 0, "contacts", "all are excluded or over: nobody will be called")
        if let endsAt {
            let rounds = try row.decode(Double.self, at: 7)
            warning(
                rounds > endsAt.timeIntervalSinceNow,
                "ends_at",
                "comes before the last of the attempts could: shorten the retry interval or lower max_attempts"
            )
        }
        warning(
            try row.decode(Int.self, at: 8) < 15,
            "ring_timeout_seconds",
            "rings for less than 15 seconds; rules in several countries demand as much"
        )
        warning(
            try row.decode(Bool.self, at: 9),
            "number_limits",
            "there are none: a number that is in several campaigns may be called by each (campaign create --limit)"
        )
        return problems
    }

    /// A zone is closed when no window opens in it within two months, or before the campaign ends.
    private static let campaignFacts = PostgresStatement(
        name: "campaign_facts",
        """
        with campaign as materialized (select * from campaigns where name = $1)
        , zones as materialized (
            select coalesce(nullif(z.time_zone, ''), k.time_zone) as zone, exists (
                select
                from (
                    select now() as at
                    union all
                    select (date_trunc('week', now() at time zone coalesce(nullif(z.time_zone, ''), k.time_zone))
                        + make_interval(weeks => weeks, mins => lower(r)))
                        at time zone coalesce(nullif(z.time_zone, ''), k.time_zone)
                    from generate_series(0, 8) as weeks, unnest(k.calling_week) as r
                    union all
                    select upper(d)::timestamp at time zone coalesce(nullif(z.time_zone, ''), k.time_zone)
                    from unnest(k.blocked_dates) as d) s
                where s.at >= now() and (k.ends_at is null or s.at < k.ends_at)
                    and call_window_closes_at(
                        k.calling_week, k.blocked_dates, coalesce(nullif(z.time_zone, ''), k.time_zone), s.at)
                        is not null) as opens
            from campaign k
            join campaign_time_zones z on z.campaign_id = k.id)
        select k.caller_id is null, k.answer_url is null, k.ends_at,
            (select count(*) from contacts c where c.campaign_id = k.id),
            (select count(*) from contacts c
             where c.campaign_id = k.id and c.state in ('pending', 'not_reached', 'in_progress')
                and (c.state = 'in_progress' or c.next_attempt_at is not null)),
            (select count(*) from zones),
            coalesce((select array_agg(zone order by zone) from zones where not opens), '{}'),
            ((k.max_attempts - 1) * k.retry_interval_minutes * 60)::float8,
            k.ring_timeout_seconds::bigint,
            k.number_limits = '[]' and exists (
                select from campaigns o where o.id <> k.id and o.status in ('running', 'scheduled', 'paused'))
        from campaign k
        """
    )
}
