// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
public import Foundation
import Postgres

extension CallStore {
    /// What a campaign's forecast starts from.
    public struct ForecastFacts: Sendable {
        /// Contacts that are alike and whose story is not over.
        public struct Group: Sendable, Equatable {
            /// Where they live: one IANA name, or several with commas between them.
            public let zones: String
            /// Dates on which nobody in their region is called, `YYYY-MM-DD`; those of the past are left out.
            public let blockedDates: [String]
            /// Their attempts so far. An attempt that is under way is not among them: the call counts as still to come.
            public let attempts: Int
            /// When all of them are due; nil when they are already, or have a call under way.
            public let due: Date?
            /// How many they are.
            public let count: Int
        }

        /// How attempts of one outcome went.
        public struct Outcome: Sendable, Equatable {
            /// How they ended.
            public let outcome: CallOutcome
            /// How many were charged and are over.
            public let count: Int
            /// Seconds from the placement to the answer or the end, in the mean; nil when no attempt tells.
            public let ringSeconds: Double?
            /// Seconds from the answer to the end, in the mean; nil when no attempt tells.
            public let talkSeconds: Double?
        }

        /// The database's clock.
        public let now: Date
        /// The campaign's windows, whatever they were made of.
        public let week: CallingWeek
        /// Dates on which it calls nobody, `YYYY-MM-DD`; those of the past are left out.
        public let blockedDates: [String]
        /// Its contacts.
        public let groups: [Group]
        /// Time zones of theirs that the database does not know: nobody is called there.
        public let unknownZones: [String]
        /// How many have completed.
        public let completed: Int
        /// Outcomes of its own attempts.
        public let ownOutcomes: [Outcome]
        /// Outcomes of the latest attempts of all campaigns.
        public let allOutcomes: [Outcome]
    }

    /// Reads what a forecast starts from: every contact of the campaign once, its attempts, and the latest attempts of all.
    /// - Parameter name: The campaign.
    /// - Returns: The facts.
    /// - Throws: ``StoreError`` when there is no such campaign; `PostgresError`.
    public func forecastFacts(campaign name: String) async throws -> ForecastFacts {
        guard let campaign = try await self.client.execute(Self.forecastCampaign, [name]).first else {
            throw Self.noCampaign(name)
        }
        let id: UUID = try campaign.decode(named: "id")
        return ForecastFacts(
            now: try campaign.decode(named: "asked_at"),
            week: try CallingWeek(multirange: campaign.decode(named: "week")),
            blockedDates: try campaign.decode(named: "blocked_dates"),
            groups: try await self.client.execute(Self.forecastGroups, [id]).map { row in
                ForecastFacts.Group(
                    zones: try row.decode(named: "zones"),
                    blockedDates: try row.decode(named: "blocked_dates"),
                    attempts: try row.decode(named: "attempts"),
                    due: try row.decode(named: "due"),
                    count: try row.decode(named: "count")
                )
            },
            unknownZones: try campaign.decode(named: "unknown_zones"),
            completed: try campaign.decode(named: "completed"),
            ownOutcomes: try await self.outcomes(id),
            allOutcomes: try await self.outcomes(nil)
        )
    }

    private func outcomes(_ campaign: UUID?) async throws -> [ForecastFacts.Outcome] {
        try await self.client.execute(Self.forecastOutcomes, [campaign, Self.latestAttempts]).map { row in
            let name: String = try row.decode(named: "outcome")
            guard let outcome = CallOutcome(rawValue: name) else {
                throw StoreError(code: .schemaMismatch, message: "outcome '\(name)' is unknown here")
            }
            return ForecastFacts.Outcome(
                outcome: outcome,
                count: try row.decode(named: "count"),
                ringSeconds: try row.decode(named: "ring_seconds"),
                talkSeconds: try row.decode(named: "talk_seconds")
            )
        }
    }

    /// Enough to learn from, and few enough to read at any time.
    private static let latestAttempts = 200_000

    private static let forecastCampaign = PostgresStatement(
        name: "forecast_campaign",
        """
        select k.id, now() as asked_at, k.calling_week::text as week, array(
            select d::date::text
            from unnest(k.blocked_dates) as r,
                generate_series(
                    greatest(lower(r), current_date - 2)::timestamp,
                    least(upper(r) - 1, current_date + 800)::timestamp, interval '1 day') as d
            order by d) as blocked_dates,
            (select count(*) from campaign_strata s join contacts c on c.stratum_id = s.id and c.state = 'completed'
             where s.campaign_id = k.id) as completed,
            array(
                select distinct unknown_zones(z.zones)
                from (
                    select distinct \(CallStore.zonesOfStratum) as zones
                    from campaign_strata s
                    where s.campaign_id = k.id) z
                where unknown_zones(z.zones) is not null
                order by 1) as unknown_zones
        from campaigns k
        where k.name = $1
        """
    )

    /// Contacts that come due within the same five minutes are told by the last of them, so that none is called early.
    private static let forecastGroups = PostgresStatement(
        name: "forecast_groups",
        """
        select s.zones, s.attempts::bigint as attempts, max(s.due) as due, count(*) as count, array(
            select d::date::text
            from regions g, unnest(g.blocked_dates) as r,
                generate_series(
                    greatest(lower(r), current_date - 2)::timestamp,
                    least(upper(r) - 1, current_date + 800)::timestamp, interval '1 day') as d
            where g.region = s.region
            order by d) as blocked_dates
        from (
            select t.zones, t.region,
                c.attempts_count - case when c.state = 'in_progress' and c.prior_state is null then 1 else 0 end
                    as attempts,
                case when c.state <> 'in_progress' and c.next_attempt_at > now() then c.next_attempt_at end as due
            from campaigns k
            join contacts c on c.campaign_id = k.id
            join (
                select s.id, s.region, \(CallStore.zonesOfStratum) as zones
                from campaigns k
                join campaign_strata s on s.campaign_id = k.id
                where k.id = $1
                offset 0) t on t.id = c.stratum_id
            where k.id = $1
                and (c.state = 'in_progress'
                    or c.state in ('pending', 'not_reached') and c.next_attempt_at is not null)) as s
        group by s.zones, s.region, s.attempts, date_bin('5 minutes', s.due, 'epoch')
        order by 3 nulls first, 1, 2, s.region
        """
    )

    /// `$1` campaign, or null for all; `$2` how many of the latest attempts are read.
    private static let forecastOutcomes = PostgresStatement(
        name: "forecast_outcomes",
        """
        select a.outcome, count(*) as count,
            avg(extract(epoch from coalesce(a.answered_at, a.ended_at) - a.placed_at))
                filter (where coalesce(a.answered_at, a.ended_at) >= a.placed_at)::float8 as ring_seconds,
            avg(extract(epoch from a.ended_at - a.answered_at)) filter (where a.ended_at >= a.answered_at)::float8 as talk_seconds
        from (
            select * from call_attempts
            where $1::uuid is null
            order by id desc
            limit $2) as a
        where a.counted and a.ended_at is not null
        group by a.outcome
        union all
        select a.outcome, count(*) as count,
            avg(extract(epoch from coalesce(a.answered_at, a.ended_at) - a.placed_at))
                filter (where coalesce(a.answered_at, a.ended_at) >= a.placed_at)::float8 as ring_seconds,
            avg(extract(epoch from a.ended_at - a.answered_at)) filter (where a.ended_at >= a.answered_at)::float8 as talk_seconds
        from (
            select * from call_attempts
            where campaign_id = $1::uuid
            order by started_at desc
            limit $2) as a
        where a.counted and a.ended_at is not null
        group by a.outcome
        order by 1
        """
    )
}
