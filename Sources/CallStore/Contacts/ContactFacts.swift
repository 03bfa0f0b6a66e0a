// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation
import Postgres

/// The values of one contact's rules, and the words for them.
struct ContactFacts {
    private typealias Rule = CallStore.ContactExplanation.Rule
    private let row: PostgresRow

    init(_ row: PostgresRow) { self.row = row }

    func explanation() throws -> CallStore.ContactExplanation {
        let rules = try self.campaignRules() + self.contactRules() + self.timeRules()
        let mustChange = rules.first { !$0.passed && !Self.passWithTime.contains($0.rule) }
        let isForGood = rules.contains { !$0.passed && Self.forGood.contains($0.rule) }
        return CallStore.ContactExplanation(
            contactID: try self.value("id"),
            campaign: try self.value("name"),
            rules: rules,
            timeZone: try self.value(String.self, "zones").split(separator: ",").first.map(String.init) ?? "UTC",
            nextPossible: isForGood ? nil : try self.value("next_possible"),
            blocker: mustChange.map { "\($0.rule): \($0.detail)" }
        )
    }

    /// These need only patience.
    private static let passWithTime: Set<String> = [
        "due", "window open", "no call under way", "number free", "within limits", "exclusion over", "its day part",
        "room under the caps", "country called",
    ]
    /// After these nothing follows.
    private static let forGood: Set<String> = [
        "story not over", "not excluded", "attempts left", "before the end date",
    ]

    private func value<Value: PostgresDecodable>(_ type: Value.Type = Value.self, _ column: String) throws -> Value {
        try self.row.decode(named: column)
    }

    private func value<Value: PostgresDecodable>(_ column: String) throws -> Value {
        try self.row.decode(named: column)
    }

    private static func time(_ date: Date) -> String { date.formatted(.iso8601) }

    private func campaignRules() throws -> [Rule] {
        let status = try self.value(String.self, "status")
        let reason = try self.value(String?.self, "status_reason")
        let pausedReason = try self.value(String?.self, "paused_reason")
        let isComplete = try self.value(Bool.self, "is_complete")
        let end = try self.value(Date?.self, "ends_at")
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
                passed: try self.value(Bool?.self, "has_ended") != true,
                detail: end.map { "ends at \(Self.time($0))" } ?? "no end date"
            ),
        ]
    }

    private func contactRules() throws -> [Rule] {
        let state = try self.value(String.self, "state")
        let listedUntil = try self.value(Date?.self, "listed_until")
        let isListed = try self.value(Bool.self, "is_listed")
        let isExcluded =
            try self.value(Bool.self, "do_not_call") || state == "excluded" || isListed && listedUntil == nil
        let needsConsent = try self.value(Bool.self, "requires_consent")
        let hasConsent = try self.value(Bool.self, "has_prior_consent")
        let holds = try self.value(Bool.self, "consent_holds")
        let isForWantOfConsent = try self.value(String?.self, "excluded_reason") == "no consent"
        let list = try self.listWords()
        var exclusion = "it is on no list"
        if state == "excluded" {
            exclusion = "it was excluded: \(try self.value(String?.self, "excluded_reason") ?? "–")"
        }
        if try self.value(Bool.self, "do_not_call") { exclusion = "it was imported as do_not_call" }
        if isListed, listedUntil == nil { exclusion = list }
        return [
            Rule(rule: "story not over", passed: !["completed", "refused"].contains(state), detail: "it is \(state)"),
            Rule(
                rule: "consent",
                passed: !needsConsent || hasConsent && holds,
                detail: needsConsent
                    ? try self.consentWords(hasConsent, holds)
                    : "the campaign does not ask for it"
            ),
            Rule(
                rule: "not excluded",
                passed: !isExcluded || isForWantOfConsent && !isListed,
                detail: exclusion
            ),
            Rule(
                rule: "exclusion over",
                passed: listedUntil == nil,
                detail: listedUntil.map { "\(list), until \(Self.time($0))" } ?? "there is none that ends"
            ),
            try self.attemptsRule(),
        ]
    }

    private func consentWords(_ hasConsent: Bool, _ holds: Bool) throws -> String {
        guard hasConsent else { return "required and not on record (contacts consent NUMBER --given)" }
        guard let date = try self.value(Date?.self, "consent_at") else {
            return try self.value(Bool.self, "consent_ends")
                ? "on record without a date, and the policy lets consent end (contacts consent NUMBER --given --at DATE)"
                : "on record"
        }
        let given = "on record, given \(Self.time(date))"
        guard let end = try self.value(Date?.self, "consent_ends_at") else { return given }
        if holds { return "\(given), until \(Self.time(end))" }
        return try self.value(Bool?.self, "consent_lies_ahead") == true
            ? "\(given), which lies ahead"
            : "\(given), ended \(Self.time(end)) (contacts consent NUMBER --given)"
    }

    /// An outcome's own maximum, day parts that are used up, or a number that cannot exist end a contact's story as well
    /// as the last attempt does.
    private func attemptsRule() throws -> Rule {
        let used = try self.value(Int.self, "attempts_count")
        let allowed = try self.value(Int.self, "max_attempts")
        let isOver =
            try self.value(String.self, "state") == "not_reached" && self.value(UUID?.self, "call_id") == nil
            && self.value(Date?.self, "next_attempt_at") == nil
        var detail = "\(used) of \(allowed) are used"
        if let byOutcome = try self.value([String]?.self, "used_by_outcome") {
            detail += "; \(byOutcome.joined(separator: ", "))"
        }
        if isOver, used < allowed {
            detail += "; none is to follow"
            if let outcome = try self.value(String?.self, "last_outcome") {
                detail += " the last, which was \(outcome)"
            }
        }
        return Rule(rule: "attempts left", passed: used < allowed && !isOver, detail: detail)
    }

    private func listWords() throws -> String {
        guard let since = try self.value(Date?.self, "listed_since") else { return "it is on no list" }
        let reason = try self.value(String?.self, "list_reason")
        let scope =
            try self.value(Bool.self, "is_list_of_campaign") ? "the campaign's exclusion list" : "the exclusion list"
        return "on \(scope) since \(Self.time(since))" + (reason.map { ": \($0)" } ?? "")
    }

    private func timeRules() throws -> [Rule] {
        let dueAt = try self.value(Date?.self, "next_attempt_at")
        let callID = try self.value(UUID?.self, "call_id")
        let isDialed = try self.value(Bool.self, "is_dialed")
        let otherCall = try self.value(UUID?.self, "other_call_id")
        let restsUntil = try self.value(Date?.self, "rests_until")
        let limits = try JSONDecoder().decode(
            [NumberLimit].self,
            from: Data(try self.value(String.self, "number_limits").utf8)
        )
        let words = limits.isEmpty ? "no limit" : limits.map(\.description).joined(separator: "; ")
        let claim = callID.map { "\(isDialed ? "is being called" : "waits in the queue") as \($0.lowercased)" }
        return [
            Rule(rule: "no call under way", passed: callID == nil, detail: claim ?? "there is none"),
            Rule(
                rule: "due",
                passed: try self.value(Bool?.self, "is_due") ?? false || callID != nil,
                detail: (dueAt.map { "due at \(Self.time($0))" } ?? (callID == nil ? "never" : "it was due"))
                    + (callID == nil ? try self.appointmentWords() + self.refusalWords() : "")
            ),
            try self.countryRule(isClaimed: callID != nil),
            try self.windowRule(),
            Rule(
                rule: "within limits",
                passed: restsUntil == nil || callID != nil,
                detail: words + (restsUntil.map { "; rests until \(Self.time($0))" } ?? "")
            ),
            try self.dayPartRule(isClaimed: callID != nil),
            try self.roomRule(isClaimed: callID != nil),
            Rule(
                rule: "number free",
                passed: otherCall == nil || otherCall == callID,
                detail: otherCall.map { "open call \($0.lowercased)" } ?? "no open call to it"
            ),
        ]
    }

    /// Why the last attempt came to nothing, if nothing was placed.
    private func refusalWords() throws -> String {
        try self.value(String?.self, "refused_with").map { "; the last attempt was not placed: \($0)" } ?? ""
    }

    /// A wish, and no condition: it goes before the pause and the day part, and never before the window.
    private func appointmentWords() throws -> String {
        guard let start = try self.value(Date?.self, "appointed_at"),
            let end = try self.value(Date?.self, "appointed_until")
        else { return "" }
        let tries = try self.value(Int?.self, "appointment_tries") ?? 0
        return "; by appointment, \(Self.time(start)) to \(Self.time(end)), before all others"
            + (tries > 0 ? ", now once more" : "")
    }

    private func countryRule(isClaimed: Bool) throws -> Rule {
        let until = try self.value(Date?.self, "country_rests_until")
        let code = try self.value(String?.self, "country_error_code") ?? ""
        let region = try self.value(String.self, "region")
        return Rule(
            rule: "country called",
            passed: until == nil || isClaimed,
            detail: until.map {
                "the provider refuses calls to \(region) with code \(code); the next is tried at \(Self.time($0))"
            } ?? (region.isEmpty ? "its country is not known" : "no refusal of \(region) is known")
        )
    }

    private func windowRule() throws -> Rule {
        let week = try CallingWeek(multirange: self.value(String.self, "week"))
        let zones = try self.value(String.self, "zones")
        let region = try self.value(String.self, "region")
        let hours = try self.value(String?.self, "local_times") ?? "an hour that the database does not know"
        return Rule(
            rule: "window open",
            passed: try self.value(Date?.self, "closes_at") != nil,
            detail: "\(week); it is \(hours) in \(zones), \(try self.zoneWords(zones))"
                + (region.isEmpty ? "" : "; region \(region)")
                + (try self.value(Bool.self, "is_blocked_date") ? "; a blocked date" : "")
        )
    }

    private func zoneWords(_ zones: String) throws -> String {
        let source = try self.value(String.self, "zone_source")
        return ZoneWords(
            zones: zones,
            own: try self.value("own_zones"),
            ownSource: source == "several" ? try self.value("own_zone_source") : source,
            byNumber: try self.value("number_zones"),
            byPostalCode: try self.value("postal_zones"),
            byRegion: try self.value("region_zones"),
            evidence: try self.value("zone_evidence")
        ).text
    }

    private func dayPartRule(isClaimed: Bool) throws -> Rule {
        let parts = try JSONDecoder().decode([DayPart].self, from: Data(try self.value(String.self, "day_parts").utf8))
        let turn = try self.value(Date?.self, "turn")
        let used = try self.value([Int16]?.self, "day_part_attempts") ?? []
        var detail = "attempts are not spread"
        if !parts.isEmpty {
            detail = parts.enumerated().map { index, part in
                "\(part.name) \(index < used.count ? used[index] : 0)"
                    + (part.attempts.map { " of \($0)" } ?? "")
            }.joined(separator: ", ")
            if try self.value(String.self, "zones").contains(",") { detail = "its local hour is not known" }
        }
        return Rule(
            rule: "its day part",
            passed: turn == nil || isClaimed,
            detail: detail + (turn.map { "; its turn comes at \(Self.time($0))" } ?? "")
        )
    }

    private func roomRule(isClaimed: Bool) throws -> Rule {
        let room = try self.value(Int.self, "room")
        let cell = try self.value(String.self, "cell")
        let cellRoom = try self.value(Int?.self, "cell_room")
        var detail = room >= 2_147_483_647 ? "no cap of the campaign's own" : "the campaign may claim \(room) more now"
        if let cellRoom { detail += "; cell \(cell) \(cellRoom) more" }
        return Rule(rule: "room under the caps", passed: isClaimed || room > 0 && cellRoom ?? 1 > 0, detail: detail)
    }
}
