// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
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

        /// Creates a problem.
        public init(isError: Bool, field: String, problem: String) {
            self.isError = isError
            self.field = field
            self.problem = problem
        }
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
        let contacts = try row.decode(Int.self, named: "contacts")
        let callable = try row.decode(Int.self, named: "callable")
        let endsAt = try row.decode(Date?.self, named: "ends_at")
        let zones = try row.decode(Int.self, named: "zones")
        let closedZones = try row.decode([String].self, named: "closed_zones")
        let isNever = try row.decode(Bool.self, named: "is_never")
        error(try row.decode(Bool.self, named: "lacks_caller_id"), "caller_id", "is missing (campaign set --caller-id)")
        error(
            try row.decode(Bool.self, named: "lacks_answer_url"),
            "answer_url",
            "is missing (campaign set --answer-url)"
        )
        try self.checkPolicy(row, error, warning)
        error(contacts == 0, "contacts", "there are none (contacts import FILE.csv --campaign \(name))")
        error(endsAt.map { $0 <= Date() } ?? false, "ends_at", "has passed")
        let unknownZones = try row.decode([String].self, named: "unknown_zones").joined(separator: "; ")
        let isUnknown = try row.decode(Bool?.self, named: "are_zones_unknown") ?? false
        let noZone =
            "the database does not know \(unknownZones), and nobody is called there: its host lacks these time zones"
        error(isUnknown, "time_zone", noZone)
        warning(!unknownZones.isEmpty && !isUnknown, "time_zone", noZone)
        error(
            zones > 0 && closedZones.count == zones || isNever,
            "window",
            "never opens before the end, in any zone of the contacts: look at window, policy, blocked dates and ends_at"
        )
        warning(
            !closedZones.isEmpty && closedZones.count < zones,
            "window",
            "never opens before the end for contacts in \(closedZones.joined(separator: "; "))"
        )
        let closedParts = try row.decode([String].self, named: "closed_parts")
        let arePartsClosed = try row.decode(Bool.self, named: "are_parts_closed")
        error(arePartsClosed, "day_parts", "lie outside the calling window, all of them")
        warning(
            !closedParts.isEmpty && !arePartsClosed,
            "day_parts",
            "lie outside the calling window: \(closedParts.joined(separator: ", "))"
        )
        warning(contacts > 0 && callable == 0, "contacts", "all are excluded or over: nobody will be called")
        let withoutConsent = try row.decode(Int.self, named: "without_consent")
        warning(
            withoutConsent > 0,
            "requires_consent",
            "\(withoutConsent) contacts have no consent on record and will not be called"
        )
        let emptyCells = try row.decode([String].self, named: "empty_cells")
        warning(
            !emptyCells.isEmpty,
            "cell_targets",
            "no contact is in \(emptyCells.joined(separator: ", ")): their targets cannot be reached"
        )
        let freeCells = try row.decode([String].self, named: "free_cells")
        warning(
            !freeCells.isEmpty,
            "cell_targets",
            "there is no target for \(freeCells.map { $0.isEmpty ? "contacts without a cell" : $0 }.joined(separator: ", "))"
                + ": they are called without a quota"
        )
        try self.checkEnd(row, endsAt: endsAt, callable: callable, warning)
        warning(
            try row.decode(Int.self, named: "ring_timeout_seconds") < 15,
            "ring_timeout_seconds",
            "rings for less than 15 seconds; rules in several countries demand as much"
        )
        warning(
            try row.decode(Bool.self, named: "lacks_limits"),
            "number_limits",
            "there are none: a number that is in several campaigns may be called by each (campaign create --limit)"
        )
        return problems
    }

    private func checkPolicy(
        _ row: PostgresRow,
        _ error: (Bool, String, String) -> Void,
        _ warning: (Bool, String, String) -> Void
    ) throws {
        guard let policy = try row.decode(String?.self, named: "policy").map(Self.policy) else { return }
        let callerID = try row.decode(String?.self, named: "caller_id").map { try PhoneNumber($0) }
        if let fault = policy.fault(ofCallerID: callerID) { error(true, "caller_id", fault) }
        let today = try row.decode(String.self, named: "today")
        warning(
            policy.isOverdue(on: today),
            "policy",
            "\(policy.label) was to be looked at again by \(policy.reviewBy ?? ""): is there a newer one (policy list)?"
        )
        if let disclosure = policy.disclosure {
            warning(true, "disclosure", "the interview must begin with: \(disclosure)")
        }
        let unproven = try row.decode(Int.self, named: "without_valid_consent")
        warning(
            unproven > 0,
            "consent_expires",
            "consent of \(unproven) contacts has no date or is older than \(policy.consentPeriod?.description ?? "allowed"), "
                + "and they will not be called"
        )
    }

    private func checkEnd(
        _ row: PostgresRow,
        endsAt: Date?,
        callable: Int,
        _ warning: (Bool, String, String) -> Void
    ) throws {
        guard let endsAt else { return }
        let begin = max(Date(), try row.decode(Date?.self, named: "starts_at") ?? Date())
        let seconds = endsAt.timeIntervalSince(begin)
        warning(
            try row.decode(Double.self, named: "retry_seconds") > seconds,
            "ends_at",
            "comes before the last of the attempts could: shorten the retry interval or lower max_attempts"
        )
        let attempts = try row.decode(Int.self, named: "max_attempts")
        let limits = try JSONDecoder().decode(
            [NumberLimit].self,
            from: Data(try row.decode(String.self, named: "number_limits").utf8)
        )
        for limit in limits where limit.outcomes == nil {
            // The first `limit.attempts` may follow one another; each further round of them waits for the period.
            let needed = Double((attempts - 1) / limit.attempts * limit.hours) * 3600
            warning(
                needed > seconds,
                "number_limits",
                "\(limit) leaves no time for \(attempts) attempts before the end: some contacts will keep attempts unused"
            )
        }
        if let lines = try row.decode(Int?.self, named: "max_concurrent_calls") {
            // Nobody knows how long calls will last; none is shorter than a few seconds of ringing.
            warning(
                Double(callable) * 5 / Double(lines) > seconds,
                "max_concurrent_calls",
                "is too low to call \(callable) contacts once before the end: see `campaign forecast`"
            )
        }
        if let rate = try row.decode(Int?.self, named: "calls_per_hour") {
            warning(
                Double(callable) * 3600 / Double(rate) > seconds,
                "calls_per_hour",
                "is too low to call \(callable) contacts once before the end: see `campaign forecast`"
            )
        }
    }

    /// A place is closed when no window opens in it within six weeks, or before the campaign ends.
    private static let campaignFacts = PostgresStatement(
        name: "campaign_facts",
        """
        with campaign as materialized (select * from campaigns where name = $1)
        , places as materialized (
            select d.zones, u.unknown,
                u.unknown is null and coalesce(w.opens_at, 'infinity') < coalesce(k.ends_at, 'infinity') as opens
            from campaign k
            cross join lateral (
                select distinct \(CallStore.zonesOfStratum) as zones, s.region
                from campaign_strata s
                where s.campaign_id = k.id) d
            cross join lateral (select unknown_zones(d.zones) as unknown offset 0) u
            cross join lateral (
                select case when u.unknown is null then call_window_opens_at(
                    k.calling_week, blocked_in(k.blocked_dates, d.region), d.zones,
                    greatest(now(), k.starts_at)) end as opens_at) w)
        select k.caller_id is null as lacks_caller_id, k.caller_id, current_date::text as today, (
                select p.document::text from policies p where p.name = k.policy_name and p.version = k.policy_version)
                as policy,
            (select count(*) from contacts c
             where k.requires_consent and k.consent_expires is not null and c.campaign_id = k.id and c.has_prior_consent
                and not consent_holds(c.consent_at, k.consent_expires, now())
                and (c.state in ('pending', 'not_reached') and c.next_attempt_at is not null
                    or c.state = 'excluded' and c.excluded_reason = 'no consent')) as without_valid_consent,
            k.answer_url is null as lacks_answer_url, k.ends_at,
            (select count(*) from contacts c where c.campaign_id = k.id) as contacts,
            (select count(*) from contacts c
             where c.campaign_id = k.id and c.state in ('pending', 'not_reached', 'in_progress')
                and (c.state = 'in_progress' or c.next_attempt_at is not null)) as callable,
            (select count(*) from contacts c
             where c.campaign_id = k.id and c.excluded_reason = 'no consent' and not c.has_prior_consent) as without_consent,
            (select count(distinct zones) from places where unknown is null) as zones,
            coalesce((
                select array_agg(distinct zones order by zones) from places where unknown is null and not opens), '{}')
                as closed_zones,
            coalesce((
                select array_agg(distinct unknown order by unknown) from places where unknown is not null), '{}')
                as unknown_zones,
            (select bool_and(unknown is not null) from places) as are_zones_unknown,
            ((k.max_attempts - 1) * k.retry_interval_minutes * 60)::float8 as retry_seconds,
            k.ring_timeout_seconds::bigint as ring_timeout_seconds,
            k.number_limits = '[]' and exists (
                select from campaigns o where o.id <> k.id and o.status in ('running', 'scheduled', 'paused'))
                as lacks_limits,
            coalesce((
                select array_agg(p.part ->> 'name')
                from jsonb_array_elements(k.day_parts) as p (part)
                where isempty((p.part ->> 'week')::int4multirange * k.calling_week)), '{}') as closed_parts,
            k.day_parts <> '[]' and isempty(k.calling_week * coalesce((
                select range_agg(r)
                from jsonb_array_elements(k.day_parts) as p (part), unnest((p.part ->> 'week')::int4multirange) as r),
                '{}')) as are_parts_closed,
            coalesce((
                select array_agg(q.cell order by q.cell)
                from campaign_cells q
                where q.campaign_id = k.id and not exists (
                    select from campaign_strata s where s.campaign_id = k.id and s.cell = q.cell)), '{}') as empty_cells,
            coalesce((
                select array_agg(distinct s.cell order by s.cell)
                from campaign_strata s
                where s.campaign_id = k.id and exists (select from campaign_cells q where q.campaign_id = k.id)
                    and not exists (
                        select from campaign_cells q where q.campaign_id = k.id and q.cell = s.cell)), '{}') as free_cells,
            k.starts_at, k.calls_per_hour::bigint as calls_per_hour, k.max_attempts::bigint as max_attempts,
            k.number_limits::text as number_limits, k.max_concurrent_calls::bigint as max_concurrent_calls, isempty(k.calling_week) as is_never
        from campaign k
        """
    )
}
