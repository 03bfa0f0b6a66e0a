// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
public import Foundation
import Postgres

extension CallStore {
    /// Why a contact is called now, or is not: every rule in the order in which it is asked.
    public struct ContactExplanation: Sendable {
        /// One rule.
        public struct Rule: Sendable, Codable, Equatable {
            /// What is asked.
            public let rule: String
            /// Whether it lets the contact be called now.
            public let passed: Bool
            /// The values that it was judged by.
            public let detail: String
        }

        /// The contact.
        public var contactID: UUID
        /// Its campaign's name.
        public var campaign: String
        /// The rules.
        public var rules: [Rule]
        /// The zone in which its window is judged.
        public var timeZone: String
        /// When it could be called next if nothing else changes; nil when it never will.
        public var nextPossible: Date?
        /// What must change first, by hand, before it can be called; nil when only time must pass.
        public var blocker: String?
    }

    /// Explains a contact in every campaign that it is in.
    /// - Parameters:
    ///   - phoneNumber: Its number; nil to look for the id.
    ///   - id: Its id.
    ///   - campaign: Only in this campaign.
    /// - Returns: One explanation per campaign, by the campaigns' names.
    /// - Throws: `PostgresError`.
    public func explainContacts(
        phoneNumber: PhoneNumber?,
        id: UUID?,
        campaign: String?
    ) async throws -> [ContactExplanation] {
        try await self.client.execute(Self.explainContact, [phoneNumber?.e164, id, campaign])
            .map { row in try ContactFacts(row).explanation() }
    }

    private static let explainContact = PostgresStatement(
        name: "explain_contact",
        """
        with hit as materialized (
            select c.id, k.name, k.status, k.status_reason, k.starts_at, k.ends_at, k.max_attempts, k.caller_id,
                k.answer_url, k.calling_week as week, k.blocked_dates as blocked,
                t.paused_reason, c.state, c.do_not_call, c.attempts_count, c.next_attempt_at, c.call_id, c.prior_state,
                c.phone_number, coalesce(c.time_zone, k.time_zone) as zone, c.time_zone is null as is_campaign_zone,
                l.rests_until, k.number_limits,
                greatest(now(), c.next_attempt_at, l.rests_until, case when k.status = 'scheduled' then k.starts_at end) as earliest
            from campaigns k
            left join trunks t on t.name = k.trunk
            cross join lateral (
                select * from contacts c
                where c.campaign_id = k.id and ($1::text is null or c.phone_number = $1)
                    and ($2::uuid is null or c.id = $2)) c
            cross join lateral (select number_rests_until(c.phone_number, k.number_limits) as rests_until) l
            where $3::text is null or k.name = $3)
        select h.id, h.name, h.status, h.status_reason, h.ends_at, h.ends_at <= now(), h.paused_reason,
            h.caller_id is not null and h.answer_url is not null, h.state, h.do_not_call, e.created_at, e.reason,
            h.attempts_count::bigint, h.max_attempts::bigint, h.next_attempt_at, h.next_attempt_at <= now(),
            h.call_id, h.prior_state is null, h.zone, h.is_campaign_zone,
            h.week::text,
            call_window_closes_at(h.week, h.blocked, h.zone, now()),
            to_char(now() at time zone h.zone, 'Dy HH24:MI'), o.call_id,
            (select min(s.at)
             from (
                 select h.earliest as at
                 union all
                 select ((date_trunc('week', h.earliest at time zone h.zone)
                     + make_interval(weeks => weeks, mins => lower(r))) at time zone h.zone)
                 from generate_series(0, 5) as weeks, unnest(h.week) as r
                 union all
                 -- A window may be open already when a blocked date ends.
                 select upper(d)::timestamp at time zone h.zone from unnest(h.blocked) as d) s
             where s.at >= h.earliest and (h.ends_at is null or s.at < h.ends_at)
                 and call_window_closes_at(h.week, h.blocked, h.zone, s.at) is not null),
            h.rests_until, h.number_limits::text
        from hit h
        left join exclusion_list_entries e on e.phone_number = h.phone_number
        left join call_attempts o on o.phone_number = h.phone_number and o.ended_at is null
        order by h.name
        """
    )
}

/// The values of one contact's rules, and the words for them.
private struct ContactFacts {
    private typealias Rule = CallStore.ContactExplanation.Rule
    private let row: PostgresRow

    init(_ row: PostgresRow) { self.row = row }

    func explanation() throws -> CallStore.ContactExplanation {
        let rules = try self.campaignRules() + self.contactRules() + self.timeRules()
        let mustChange = rules.first { !$0.passed && !Self.passWithTime.contains($0.rule) }
        let isForGood = rules.contains { !$0.passed && Self.forGood.contains($0.rule) }
        return CallStore.ContactExplanation(
            contactID: try self.row.decode(UUID.self, at: 0),
            campaign: try self.row.decode(String.self, at: 1),
            rules: rules,
            timeZone: try self.row.decode(String.self, at: 18),
            nextPossible: isForGood ? nil : try self.row.decode(Date?.self, at: 24),
            blocker: mustChange.map { "\($0.rule): \($0.detail)" }
        )
    }

    /// These need only patience.
    private static let passWithTime: Set<String> = [
        "due", "window open", "no call under way", "number free", "within limits",
    ]
    /// After these nothing follows.
    private static let forGood: Set<String> = [
        "story not over", "not excluded", "attempts left", "before the end date",
    ]

    private func campaignRules() throws -> [Rule] {
        let status = try self.row.decode(String.self, at: 2)
        let reason = try self.row.decode(String?.self, at: 3)
        let pausedReason = try self.row.decode(String?.self, at: 6)
        let isComplete = try self.row.decode(Bool.self, at: 7)
        let end = try self.row.decode(Date?.self, at: 4)
        return [
            Rule(
                rule: "campaign runs",
                passed: status == "running",
                detail: "it is \(status)" + (reason.map { ": \($0)" } ?? "")
            ),
            Rule(rule: "trunk open", passed: pausedReason == nil, detail: pausedReason ?? "it is open"),
            Rule(
                rule: "campaign complete",
                passed: isComplete,
                detail: isComplete ? "caller ID and answer URL are set" : "caller ID or answer URL is missing"
            ),
            Rule(
                rule: "before the end date",
                passed: try self.row.decode(Bool?.self, at: 5) != true,
                detail: end.map { "ends at \($0.formatted(.iso8601))" } ?? "no end date"
            ),
        ]
    }

    private func contactRules() throws -> [Rule] {
        let state = try self.row.decode(String.self, at: 8)
        let doNotCall = try self.row.decode(Bool.self, at: 9)
        let excludedAt = try self.row.decode(Date?.self, at: 10)
        let reason = try self.row.decode(String?.self, at: 11)
        let used = try self.row.decode(Int.self, at: 12)
        let allowed = try self.row.decode(Int.self, at: 13)
        var exclusion = "it is on no list"
        if doNotCall { exclusion = "it was imported as do_not_call" }
        if state == "excluded" { exclusion = "it was excluded" }
        if let excludedAt {
            exclusion =
                "on the exclusion list since \(excludedAt.formatted(.iso8601))" + (reason.map { ": \($0)" } ?? "")
        }
        return [
            Rule(
                rule: "story not over",
                passed: !["completed", "refused"].contains(state),
                detail: "it is \(state)"
            ),
            Rule(
                rule: "not excluded",
                passed: !doNotCall && excludedAt == nil && state != "excluded",
                detail: exclusion
            ),
            Rule(rule: "attempts left", passed: used < allowed, detail: "\(used) of \(allowed) are used"),
        ]
    }

    private func timeRules() throws -> [Rule] {
        let dueAt = try self.row.decode(Date?.self, at: 14)
        let isDue = try self.row.decode(Bool?.self, at: 15) ?? false
        let callID = try self.row.decode(UUID?.self, at: 16)
        let isDialed = try self.row.decode(Bool.self, at: 17)
        let zone = try self.row.decode(String.self, at: 18)
        let origin = try self.row.decode(Bool.self, at: 19) ? "the campaign's zone" : "its own zone"
        let week = try CallingWeek(multirange: self.row.decode(String.self, at: 20))
        let closesAt = try self.row.decode(Date?.self, at: 21)
        let localTime = try self.row.decode(String.self, at: 22)
        let otherCall = try self.row.decode(UUID?.self, at: 23)
        let restsUntil = try self.row.decode(Date?.self, at: 25)
        let limits = try JSONDecoder().decode(
            [NumberLimit].self,
            from: Data(try self.row.decode(String.self, at: 26).utf8)
        )
        let words = limits.isEmpty ? "no limit" : limits.map(\.description).joined(separator: "; ")
        let claim = callID.map { "\(isDialed ? "is being called" : "waits in the queue") as \($0.lowercased)" }
        return [
            Rule(rule: "no call under way", passed: callID == nil, detail: claim ?? "there is none"),
            Rule(
                rule: "due",
                passed: isDue || callID != nil,
                detail: dueAt.map { "due at \($0.formatted(.iso8601))" } ?? (callID == nil ? "never" : "it was due")
            ),
            Rule(
                rule: "window open",
                passed: closesAt != nil,
                detail: "\(week); it is \(localTime) in \(zone), \(origin)"
            ),
            Rule(
                rule: "within limits",
                passed: restsUntil == nil || callID != nil,
                detail: words + (restsUntil.map { "; rests until \($0.formatted(.iso8601))" } ?? "")
            ),
            Rule(
                rule: "number free",
                passed: otherCall == nil || otherCall == callID,
                detail: otherCall.map { "open call \($0.lowercased)" } ?? "no open call to it"
            ),
        ]
    }
}
