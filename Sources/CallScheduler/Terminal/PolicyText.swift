// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation

/// A policy in a list, for machines.
struct PolicyListView: Encodable {
    let name: String
    let version: String
    let title: String
    let regions: [String]
    let campaigns: Int
    let reviewBy: String?
    let isOverdue: Bool
    let installedAt: Date?

    init(_ entry: CallStore.PolicyEntry) {
        self.name = entry.policy.name
        self.version = entry.policy.version
        self.title = entry.policy.title
        self.regions = entry.policy.regions
        self.campaigns = entry.campaigns
        self.reviewBy = entry.policy.reviewBy
        self.isOverdue = entry.isOverdue
        self.installedAt = entry.installedAt
    }
}

/// A policy for people: each rule with its source.
enum PolicyText {
    static func print(_ policy: Policy) {
        Console.line("policy \(policy.label): \(policy.title)")
        Console.line(policy.notice)
        Console.table(
            ["RULE", "VALUE"],
            [
                ["calls", policy.week.description],
                [
                    "limits per number",
                    policy.limits.isEmpty ? "none" : policy.limits.map(\.description).joined(separator: "; "),
                ],
                ["ring timeout", policy.ringTimeoutMinimum.map { "at least \($0) s" } ?? "–"],
                ["max attempts", String(policy.maximumAttempts)],
                ["consent", policy.requiresConsent ? "required" : "not required"],
                ["consent counts", policy.consentPeriod.map { "for \($0) from its date" } ?? "until it is withdrawn"],
                ["caller ID", policy.callerIDRule?.value.description ?? "any"],
                ["begins with", policy.disclosure ?? "–"],
                ["review by", policy.reviewBy ?? "–"],
                ["blocked dates", Self.dates(policy)],
                ["zone evidence", "\(policy.weakestZoneEvidence.rawValue) at the weakest"],
            ]
        )
        Console.line("Sources:")
        for rule in policy.windows { Self.source("window \(rule.value)", rule.evidence) }
        for rule in policy.limitRules { Self.source("limit \(rule.value)", rule.evidence) }
        if let rule = policy.ringTimeoutRule { Self.source("ring timeout", rule.evidence) }
        Self.source("consent", policy.consentRule.evidence)
        if let rule = policy.consentExpiryRule { Self.source("consent counts", rule.evidence) }
        if let rule = policy.callerIDRule { Self.source("caller ID", rule.evidence) }
        if let rule = policy.disclosureRule { Self.source("begins with", rule.evidence) }
        if let rule = policy.zoneEvidenceRule { Self.source("zone evidence", rule.evidence) }
        Self.source("max attempts", policy.attemptsRule.evidence)
        if let holidays = policy.holidays { Self.source("holidays \(holidays.region)", holidays.evidence) }
        if !policy.notes.isEmpty { Console.line("Notes:") }
        for note in policy.notes { Console.line("  \(note)") }
    }

    private static func dates(_ policy: Policy) -> String {
        let dates = policy.blockedDates
        guard let first = dates.first, let last = dates.last else { return "none" }
        return "\(dates.count) from \(first) to \(last)"
    }

    private static func source(_ rule: String, _ evidence: Policy.Evidence) {
        Console.line("  \(rule): \(evidence.source) (\(evidence.confidence.rawValue), as of \(evidence.asOf))")
    }
}
