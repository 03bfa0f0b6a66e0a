// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// Where a campaign stands.
public enum CampaignStatus: String, Sendable, Codable, CaseIterable {
    /// Being prepared; nothing is called.
    case draft
    /// Starts by itself at `starts_at`.
    case scheduled
    /// Contacts are being called.
    case running
    /// Stopped by an operator or by a fault; can be resumed.
    case paused
    /// Nothing is left to call.
    case completed
    /// Given up; cannot be resumed.
    case cancelled
}

/// Where a contact stands.
public enum ContactState: String, Sendable, Codable, CaseIterable {
    /// Not called yet.
    case pending
    /// Claimed: waiting in the queue or being called.
    case inProgress = "in_progress"
    /// The interview took place.
    case completed
    /// The respondent declined.
    case refused
    /// The last attempt did not reach anybody; final when no further attempt is scheduled.
    case notReached = "not_reached"
    /// Must not be called.
    case excluded
}

/// What an operator settles about a campaign.
public struct CampaignSettings: Sendable, Equatable {
    /// The unique name.
    public var name: String
    /// The language of the interview, e.g. `en`.
    public var language: String = "en"
    /// The trunk whose dialers call.
    public var trunk: String = "default"
    /// Higher goes first.
    public var priority: Int = 0
    /// 1 to 15.
    public var maximumAttempts: Int = 3
    /// Minutes between the end of an attempt and the next one.
    public var retryIntervalMinutes: Int = 60
    /// The same by outcome, where it differs. `completed` and `refused` are never retried.
    public var retryMinutes: [CallOutcome: Int] = [:]
    /// Up to this share of the pause is added, different for each call, 0 to 100 percent.
    public var retryJitterPercent: Int = 0
    /// Attempts of one contact that end like this, at most; then it is not called again.
    public var outcomeMaximums: [CallOutcome: Int] = [:]
    /// Parts of the week over which attempts are spread; empty to leave it to chance.
    public var dayParts: [DayPart] = []
    /// Whether only contacts with consent on record may be called.
    public var requiresConsent: Bool = false
    /// Lines of a trunk are shared among running campaigns of one priority in these proportions, 1 to 1000.
    public var weight: Int = 1
    /// Calls placed per hour, at most; nil leaves it to the trunk.
    public var callsPerHour: Int?
    /// The campaign ends with this many completed interviews; nil calls everybody.
    public var targetCompletes: Int?
    /// The same for the contacts of one cell, such as a region or an age group.
    public var cellTargets: [String: Int] = [:]
    /// How often a number may be called, over all campaigns, and how long it rests.
    public var numberLimits: [NumberLimit] = []
    /// The daily calling window; nil calls at any time.
    public var window: LocalTimeWindow? = LocalTimeWindow.standard
    /// Several windows a day, or different ones by weekday; stands in place of the one window and the weekdays.
    public var week: CallingWeek?
    /// ISO weekdays, 1 is Monday.
    public var callDays: [Int] = Array(1...7)
    /// The IANA zone of contacts that have none of their own.
    public var timeZone: String
    /// What suffices to tell where contacts without a zone of their own are.
    public var zoneEvidence: ZoneEvidenceLevel = .country
    /// At most this many calls of the campaign at once; nil leaves it to the trunk.
    public var maximumConcurrentCalls: Int?
    /// Seconds that the phone rings.
    public var ringTimeoutSeconds: Int = 30
    /// Seconds of the longest call.
    public var maximumCallSeconds: Int = 600
    /// The caller ID.
    public var callerID: PhoneNumber?
    /// Where the provider asks what to do once the call is answered.
    public var answerURL: String?
    /// When a scheduled campaign starts.
    public var startsAt: Date?
    /// When the campaign stops calling.
    public var endsAt: Date?
    /// Whether the provider shall tell people from machines.
    public var detectsMachines: Bool = false

    /// Creates settings with the defaults.
    public init(name: String, timeZone: String) {
        self.name = name
        self.timeZone = timeZone
    }

    /// Everything that is wrong with these settings, each naming the option at fault.
    public func faults() -> [String] {
        var faults: [String] = []
        func check(_ holds: Bool, _ fault: @autoclosure () -> String) {
            if !holds { faults.append(fault()) }
        }
        check(!self.name.isEmpty && self.name.count <= 100, "name: must have 1 to 100 characters")
        check(1...15 ~= self.maximumAttempts, "max-attempts: \(self.maximumAttempts) is not in 1…15")
        check(0...525_600 ~= self.retryIntervalMinutes, "retry-interval-minutes: must be 0…525600")
        for (outcome, minutes) in self.retryMinutes.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            check(0...525_600 ~= minutes, "retry-after: \(outcome.rawValue): \(minutes) is not in 0…525600 minutes")
            check(
                ![.completed, .refused].contains(outcome),
                "retry-after: \(outcome.rawValue) ends a contact's story and is never retried"
            )
        }
        for (outcome, maximum) in self.outcomeMaximums.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            check(1...15 ~= maximum, "max-after: \(outcome.rawValue): \(maximum) is not in 1…15")
            check(
                ![.completed, .refused].contains(outcome),
                "max-after: \(outcome.rawValue) ends a contact's story with the first"
            )
        }
        for part in self.dayParts {
            check(!part.week.ranges.isEmpty, "day-part: \(part.name) has no day")
        }
        check(self.dayParts.count <= 20, "day-part: there are more than 20")
        check(1...1000 ~= self.weight, "weight: \(self.weight) is not in 1…1000")
        check(1...1_000_000 ~= self.callsPerHour ?? 1, "calls-per-hour: must be 1…1000000")
        check((self.targetCompletes ?? 1) >= 1, "target-completes: must be at least 1")
        for (cell, target) in self.cellTargets.sorted(by: { $0.key < $1.key }) {
            check(1...100 ~= cell.count, "cell-target: '\(cell)' must have 1 to 100 characters")
            check(target >= 0, "cell-target: \(cell): \(target) is negative")
        }
        check(0...100 ~= self.retryJitterPercent, "retry-jitter-percent: must be 0…100")
        check(self.week?.ranges.isEmpty != true, "window: no day is left to call on")
        check(!self.callDays.isEmpty, "call-days: no day is left to call on")
        check(self.callDays.allSatisfy { 1...7 ~= $0 }, "call-days: weekdays are 1 (Monday) to 7 (Sunday)")
        check(TimeZone(identifier: self.timeZone) != nil, "time-zone: '\(self.timeZone)' is not an IANA time zone")
        check((self.maximumConcurrentCalls ?? 1) >= 1, "max-concurrent-calls: must be at least 1")
        check(5...600 ~= self.ringTimeoutSeconds, "ring-timeout-seconds: \(self.ringTimeoutSeconds) is not in 5…600")
        check(10...14_400 ~= self.maximumCallSeconds, "max-call-seconds: \(self.maximumCallSeconds) is not in 10…14400")
        if let startsAt = self.startsAt, let endsAt = self.endsAt {
            check(startsAt < endsAt, "ends-at: is not after starts-at")
        }
        if let answerURL = self.answerURL {
            let url = URL(string: answerURL)
            check(
                url?.host != nil && ["http", "https"].contains(url?.scheme ?? ""),
                "answer-url: must be an http or https URL"
            )
        }
        let trunkIsPlain = self.trunk.utf8.allSatisfy { byte in
            (0x61...0x7A).contains(byte) || (0x41...0x5A).contains(byte) || (0x30...0x39).contains(byte)
                || byte == 0x2D || byte == 0x5F
        }
        check(
            !self.trunk.isEmpty && self.trunk.count <= 60 && trunkIsPlain,
            "trunk: must have 1 to 60 letters, digits, - or _"
        )
        return faults
    }
}
