// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Forecasting
import Foundation

/// A forecast's plan, and where each part of it comes from.
struct ForecastBasis {
    struct Assumption: Encodable, Sendable {
        let name: String
        let value: String
        let source: String
    }

    private(set) var plan: ForecastPlan
    private(set) var assumptions: [Assumption] = []

    /// Fewer attempts teach nothing.
    private static let fewestAttempts = 50
    private static let fewestLengths = 10

    init(_ settings: CampaignSettings, _ facts: CallStore.ForecastFacts, _ options: ForecastOptions) throws {
        guard let lines = options.lines ?? settings.maximumConcurrentCalls else {
            throw UsageFault(
                "lines: the campaign has no cap of its own on calls at once; give --lines, "
                    + "DIALER_MAX_CONCURRENT_CALLS times the number of dialers"
            )
        }
        let (rates, ratesSource) = try Self.rates(facts, options)
        let (lengths, lengthsSource) = Self.lengths(settings, facts)
        var start = options.startDate ?? facts.now
        var startSource = options.startDate == nil ? "now" : "given"
        if options.startDate == nil, let startsAt = settings.startsAt, startsAt > start {
            (start, startSource) = (startsAt, "the campaign's starts-at")
        }
        self.plan = ForecastPlan(
            groups: facts.groups.map { group in
                var alike = ForecastPlan.Group(
                    zones: group.zones.split(separator: ",").map(String.init),
                    count: group.count,
                    attempts: group.attempts,
                    due: group.due
                )
                alike.blockedDates = group.blockedDates
                return alike
            },
            week: facts.week,
            lines: lines,
            callsPerSecond: options.callsPerSecond ?? 1,
            rates: rates,
            lengths: lengths,
            timeZone: TimeZone(identifier: settings.timeZone) ?? .gmt,
            start: start
        )
        let present = self.plan.contacts
        if let contacts = options.contacts { self.plan.spread(contacts, zone: settings.timeZone) }
        self.plan.blockedDates = facts.blockedDates
        self.plan.maximumAttempts = settings.maximumAttempts
        self.plan.retryIntervalMinutes = settings.retryIntervalMinutes
        self.plan.retryMinutes = settings.retryMinutes
        self.plan.retryJitterPercent = settings.retryJitterPercent
        self.plan.numberLimits = settings.numberLimits
        self.plan.callsPerHour = options.callsPerHour ?? settings.callsPerHour
        self.plan.target = options.target ?? settings.targetCompletes.map { max(1, $0 - facts.completed) }
        self.plan.end = settings.endsAt
        self.plan.horizonDays = options.horizonDays
        self.plan.seed = options.seed

        let pretended = present > 0 ? "pretended, spread like the present \(present)" : "pretended; there are none"
        self.note("contacts", "\(self.plan.contacts)", options.contacts == nil ? "whose story is not over" : pretended)
        self.note("start", Self.clock(start, self.plan.timeZone), startSource)
        self.note("lines", "\(lines)", options.lines == nil ? "the campaign's cap on calls at once" : "given")
        self.note(
            "calls per second",
            "\(self.plan.callsPerSecond)",
            options.callsPerSecond == nil ? "assumed: one dialer with the default setting" : "given"
        )
        if let most = self.plan.callsPerHour {
            self.note("calls per hour", "\(most)", options.callsPerHour == nil ? "the campaign" : "given")
        }
        if let target = self.plan.target {
            self.note("target", "\(target) more completed", options.target == nil ? "the campaign" : "given")
        }
        self.note("outcomes", Self.text(rates), ratesSource)
        self.note("length of a call", String(format: "%.0f s in the mean", lengths.mean(rates)), lengthsSource)
        self.noteRules(settings, facts)
    }

    private mutating func noteRules(_ settings: CampaignSettings, _ facts: CallStore.ForecastFacts) {
        let blocked = facts.blockedDates.isEmpty ? "" : "; \(facts.blockedDates.count) blocked dates ahead"
        self.note("windows", "\(facts.week)\(blocked)", "the campaign, by each contact's own clock")
        var pauses = ["\(settings.retryIntervalMinutes) min"]
        for (outcome, minutes) in settings.retryMinutes.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            pauses.append("\(minutes) min after \(outcome.rawValue)")
        }
        if settings.retryJitterPercent > 0 { pauses.append("up to \(settings.retryJitterPercent) % more") }
        self.note(
            "attempts",
            "at most \(settings.maximumAttempts), pauses of \(pauses.joined(separator: ", "))",
            "the campaign"
        )
        if !settings.numberLimits.isEmpty {
            self.note(
                "limits per number",
                settings.numberLimits.map(\.description).joined(separator: ", "),
                "the campaign; only calls of this forecast count against them"
            )
        }
        self.note(
            "end",
            settings.endsAt.map { Self.clock($0, self.plan.timeZone) } ?? "none",
            "the campaign; at most \(self.plan.horizonDays) days are looked at"
        )
        var left: [String] = []
        if !settings.dayParts.isEmpty { left.append("day parts") }
        if !settings.cellTargets.isEmpty { left.append("targets by cell") }
        if !settings.outcomeMaximums.isEmpty { left.append("attempts by outcome") }
        if !left.isEmpty {
            self.note("not simulated", left.joined(separator: ", "), "the campaign will be slower, or shorter")
        }
        self.note("other campaigns", "none", "assumed: the lines are this campaign's alone")
    }

    private mutating func note(_ name: String, _ value: String, _ source: String) {
        self.assumptions.append(Assumption(name: name, value: value, source: source))
    }

    private static func rates(
        _ facts: CallStore.ForecastFacts,
        _ options: ForecastOptions
    ) throws -> (OutcomeShares, String) {
        if let text = options.rates {
            do { return (try OutcomeShares(text), "given") } catch { throw UsageFault("rates: \(error)") }
        }
        for (outcomes, whose) in Self.histories(facts) {
            let attempts = outcomes.reduce(0) { $0 + $1.count }
            guard attempts >= Self.fewestAttempts else { continue }
            let counts = Dictionary(outcomes.map { ($0.outcome, $0.count) }, uniquingKeysWith: +)
            return (OutcomeShares(counted: counts), "learned from \(attempts) attempts of \(whose)")
        }
        return (.assumed, "assumed: there are fewer than \(Self.fewestAttempts) attempts to learn from")
    }

    private static func lengths(
        _ settings: CampaignSettings,
        _ facts: CallStore.ForecastFacts
    ) -> (CallLengths, String) {
        var lengths = CallLengths.assumed(
            ringTimeout: settings.ringTimeoutSeconds,
            longestCall: settings.maximumCallSeconds
        )
        var learned: [CallOutcome: Int] = [:]
        for outcome in CallOutcome.allCases {
            let known = Self.histories(facts).lazy.compactMap { outcomes, _ in
                outcomes.first { $0.outcome == outcome && $0.count >= Self.fewestLengths && $0.ringSeconds != nil }
            }.first
            guard let known, let ring = known.ringSeconds else { continue }
            learned[outcome] = known.count
            lengths.seconds[outcome] = CallLengths.Length(ring: ring, talk: known.talkSeconds ?? 0)
        }
        if learned.isEmpty {
            return (lengths, "assumed: an interview lasts 5 minutes at most, others ring or are short")
        }
        let attempts = learned.values.reduce(0, +)
        let missing = CallOutcome.allCases.filter { learned[$0] == nil }.map(\.rawValue).joined(separator: ", ")
        return (lengths, "learned from \(attempts) attempts" + (missing.isEmpty ? "" : "; assumed for \(missing)"))
    }

    private static func histories(_ facts: CallStore.ForecastFacts) -> [([CallStore.ForecastFacts.Outcome], String)] {
        [(facts.ownOutcomes, "this campaign"), (facts.allOutcomes, "all campaigns")]
    }

    private static func text(_ rates: OutcomeShares) -> String {
        CallOutcome.allCases.compactMap { outcome in
            rates.shares[outcome].map { "\(outcome.rawValue) \(Console.percent($0))" }
        }.joined(separator: ", ")
    }

    static func clock(_ date: Date, _ zone: TimeZone) -> String {
        date.formatted(
            Date.ISO8601FormatStyle(timeZone: zone).year().month().day().time(includingFractionalSeconds: false)
                .timeZone(separator: .colon)
        )
    }
}
