// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation

/// A campaign as it is shown.
struct CampaignView: Encodable {
    let id: String
    let name: String
    let status: String
    let statusReason: String?
    let trunk: String
    let trunkPausedReason: String?
    let language: String
    let priority: Int
    let maxAttempts: Int
    let retryIntervalMinutes: Int
    let retryMinutes: [String: Int]
    let retryJitterPercent: Int
    let outcomeMaximums: [String: Int]
    let numberLimits: [String]
    let dayParts: [String]
    private(set) var requiresConsent: Bool
    private var consentExpires: String?
    private var callerIdRule: String?
    private var disclosure: String?
    let weight: Int
    let callsPerHour: Int?
    let targetCompletes: Int?
    let cellTargets: [String: Int]
    let window: String?
    private let isWeekly: Bool
    var blockedDates: [String] = []
    /// By region, of those in which the campaign has contacts.
    var holidays: [String: [String]] = [:]
    private var policy: String?
    private var effectiveWindow: String?
    let callDays: [Int]
    let timeZone: String
    let zoneEvidence: String
    let maxConcurrentCalls: Int?
    let ringTimeoutSeconds: Int
    let maxCallSeconds: Int
    let detectsMachines: Bool
    let callerId: String?
    let answerUrl: String?
    let startsAt: Date?
    let endsAt: Date?

    init(_ campaign: CallStore.Campaign) {
        let settings = campaign.settings
        self.id = campaign.id.lowercased
        self.name = settings.name
        self.status = campaign.status.rawValue
        self.statusReason = campaign.statusReason
        self.trunk = settings.trunk
        self.trunkPausedReason = campaign.trunkPausedReason
        self.language = settings.language
        self.priority = settings.priority
        self.maxAttempts = settings.maximumAttempts
        self.retryIntervalMinutes = settings.retryIntervalMinutes
        self.retryMinutes = Dictionary(uniqueKeysWithValues: settings.retryMinutes.map { ($0.key.rawValue, $0.value) })
        self.retryJitterPercent = settings.retryJitterPercent
        self.outcomeMaximums = Dictionary(
            uniqueKeysWithValues: settings.outcomeMaximums.map { ($0.key.rawValue, $0.value) }
        )
        self.numberLimits = settings.numberLimits.map(\.description)
        self.dayParts = settings.dayParts.map(\.description)
        self.requiresConsent = settings.requiresConsent
        self.weight = settings.weight
        self.callsPerHour = settings.callsPerHour
        self.targetCompletes = settings.targetCompletes
        self.cellTargets = settings.cellTargets
        self.window = settings.week?.description ?? settings.window?.description
        self.isWeekly = settings.week != nil
        self.callDays = settings.callDays
        self.timeZone = settings.timeZone
        self.zoneEvidence = settings.zoneEvidence.rawValue
        self.maxConcurrentCalls = settings.maximumConcurrentCalls
        self.ringTimeoutSeconds = settings.ringTimeoutSeconds
        self.maxCallSeconds = settings.maximumCallSeconds
        self.detectsMachines = settings.detectsMachines
        self.callerId = settings.callerID?.e164
        self.answerUrl = settings.answerURL
        self.startsAt = settings.startsAt
        self.endsAt = settings.endsAt
    }

    /// Takes in what the policy has tightened. Limits, blocked dates, attempts and ring timeout are in force as they are.
    mutating func setRules(_ rules: CallStore.EffectiveRules) {
        self.policy = rules.policy
        self.effectiveWindow = rules.week.description
        self.requiresConsent = rules.requiresConsent
        self.consentExpires = rules.consentPeriod?.text
        self.callerIdRule = rules.callerIDs?.description
        self.disclosure = rules.disclosure
    }

    var rows: [[String]] {
        [
            ["id", self.id], ["name", self.name], ["status", self.status],
            ["reason", self.statusReason ?? "–"], ["trunk", self.trunk],
            ["trunk paused", self.trunkPausedReason ?? "no"], ["language", self.language],
            ["priority", String(self.priority)], ["max attempts", String(self.maxAttempts)],
            ["retry interval", "\(self.retryIntervalMinutes) min"],
            ["retry after", Self.list(self.retryMinutes, " min")],
            ["attempts by outcome", Self.list(self.outcomeMaximums, " at most")],
            ["day parts", self.dayParts.isEmpty ? "none" : self.dayParts.joined(separator: "; ")],
            [
                "consent",
                self.requiresConsent
                    ? "required" + (self.consentExpires.flatMap(ConsentPeriod.init).map { ", counts for \($0)" } ?? "")
                    : "not asked for",
            ],
            ["interview begins with", self.disclosure ?? "–"],
            ["weight", String(self.weight)],
            ["calls per hour", self.callsPerHour.map { "\($0) at most" } ?? "the trunk's"],
            ["target of completes", self.targetCompletes.map(String.init) ?? "none"],
            ["targets by cell", Self.list(self.cellTargets, "")],
            ["retry jitter", "\(self.retryJitterPercent) %"],
            ["limits per number", self.numberLimits.isEmpty ? "none" : self.numberLimits.joined(separator: "; ")],
            ["window", self.window ?? "any time"],
            ["call days", self.isWeekly ? "as in the window" : self.callDays.map(String.init).joined(separator: ",")],
            ["policy", self.policy ?? "none"], ["calls in effect", self.effectiveWindow ?? "–"],
            ["blocked dates", self.blockedDates.isEmpty ? "none" : self.blockedDates.joined(separator: ", ")],
            [
                "holidays",
                self.holidays.isEmpty
                    ? "none where its contacts live"
                    : self.holidays.sorted { $0.key < $1.key }
                        .map { "\($0.key): \($0.value.joined(separator: ", "))" }.joined(separator: "; "),
            ],
            ["time zone", self.timeZone], ["zone evidence", self.zoneEvidence],
            ["max concurrent calls", self.maxConcurrentCalls.map(String.init) ?? "the trunk's"],
            ["ring timeout", "\(self.ringTimeoutSeconds) s"], ["longest call", "\(self.maxCallSeconds) s"],
            ["machine detection", self.detectsMachines ? "yes" : "no"],
            ["caller id", self.callerId ?? "missing"], ["caller id's rule", self.callerIdRule ?? "none"],
            ["answer url", self.answerUrl ?? "missing"],
            ["starts at", self.startsAt?.formatted(.iso8601) ?? "–"],
            ["ends at", self.endsAt?.formatted(.iso8601) ?? "–"],
        ]
    }

    private static func list(_ values: [String: Int], _ unit: String) -> String {
        values.isEmpty
            ? "–" : values.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)\(unit)" }.joined(separator: ", ")
    }
}
