// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Forecasting
import Foundation
import TestBasics
import Testing

/// Every simulated call against each rule, told a second time.
@Suite(.timeLimit(.minutes(20)))
struct RuleTests {
    /// Starts around the clock changes of 2026 in Europe, America and Australia, and on plain days.
    private static let starts = [
        "2026-03-27T20:00:00Z", "2026-10-23T20:00:00Z", "2026-03-06T20:00:00Z", "2026-10-30T20:00:00Z",
        "2026-04-03T12:00:00Z", "2026-10-02T12:00:00Z", "2026-11-23T06:00:00Z", "2026-07-01T00:00:00Z",
    ]
    private static let zones = [
        "Europe/Berlin", "America/New_York", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia",
        "America/New_York,America/Chicago", "Europe/London,Australia/Sydney",
    ]
    private static let weeks = [
        ["10:00-20:00"], ["1-5 10:00-13:00", "1-5 14:00-20:00"], ["22:00-03:00"],
        ["6,7 01:30-02:30", "1-4 09:00-12:00"],
    ]

    private static func plan(_ seed: Int) throws -> ForecastPlan {
        var random = SeededRandom(seed: UInt64(seed))
        return try Plans.berlin(contacts: 0, start: Self.starts[seed % Self.starts.count]) { plan in
            plan.groups = []
            for zones in Self.zones {
                plan.groups.append(
                    .init(
                        zones: zones.split(separator: ",").map(String.init),
                        count: Int.random(in: 0...40, using: &random),
                        attempts: Int.random(in: 0...2, using: &random),
                        due: Bool.random(using: &random)
                            ? plan.start + Double.random(in: -9_000...90_000, using: &random) : nil
                    )
                )
            }
            plan.week = try CallingWeek(windows: Self.weeks[seed % Self.weeks.count], weekdays: Array(1...7))
            plan.blockedDates = ["2026-03-28", "2026-10-26", "2026-11-24", "2026-07-02"]
            plan.maximumAttempts = Int.random(in: 1...5, using: &random)
            plan.retryIntervalMinutes = Int.random(in: 0...300, using: &random)
            plan.retryMinutes = [.busy: Int.random(in: 0...30, using: &random)]
            plan.retryJitterPercent = Int.random(in: 0...50, using: &random)
            plan.numberLimits = [try NumberLimit(attemptsPer: "2/24h"), try NumberLimit(restAfter: "busy=3h")]
            plan.lines = Int.random(in: 1...12, using: &random)
            plan.callsPerSecond = Double.random(in: 0.02...2.5, using: &random)
            plan.callsPerHour = Bool.random(using: &random) ? 60 : nil
            plan.horizonDays = 12
            plan.seed = UInt64(seed)
        }
    }

    @Test("no call is placed in a closed window, on a blocked date, too often, too fast or too soon", arguments: 0..<24)
    func everyCall(seed: Int) throws {
        let plan = try Self.plan(seed)
        let (forecast, calls) = try Plans.simulate(plan)
        #expect(forecast.contacts.total == plan.contacts)
        #expect(forecast.calls == calls.count && !calls.isEmpty)
        #expect(forecast.hours.reduce(0) { $0 + $1.calls } == calls.count)
        for call in calls {
            for zone in call.zones {
                let isOpen = try Plans.isOpen(plan.week, plan.blockedDates, zone, call.start)
                #expect(isOpen, "seed \(seed): \(call)")
            }
            #expect(call.start >= plan.start && call.start < plan.start + 12 * 86_400 && call.end <= forecast.end)
        }
        try Self.checkContacts(plan, forecast, calls, seed)
        Self.checkPace(plan, calls, seed)
    }

    /// Each contact's own calls: their number, their pauses, the limits, and that nothing follows an interview.
    private static func checkContacts(
        _ plan: ForecastPlan,
        _ forecast: Forecast,
        _ calls: [SimulatedCall],
        _ seed: Int
    ) throws {
        let groups = plan.groups.flatMap { Array(repeating: $0, count: $0.count) }
        var finals: [CallOutcome: Int] = [:]
        var exhausted = groups.count { $0.attempts >= plan.maximumAttempts }
        for (contact, own) in Dictionary(grouping: calls, by: \.contact) {
            let group = groups[contact]
            let numbers = Array(group.attempts + 1..<group.attempts + 1 + own.count)
            #expect(own.map(\.attempt) == numbers, "seed \(seed)")
            #expect(own.count + group.attempts <= plan.maximumAttempts, "seed \(seed)")
            #expect(own[0].zones.sorted() == group.zones.sorted())
            if let due = group.due { #expect(own[0].start >= due, "seed \(seed)") }
            for (call, next) in zip(own, own.dropFirst()) {
                let pause = plan.retryMinutes[call.outcome] ?? plan.retryIntervalMinutes
                #expect(next.start >= call.end + Double(pause) * 60, "seed \(seed): \(call) \(next)")
                #expect(![.completed, .refused].contains(call.outcome))
                if call.outcome == .busy { #expect(next.start >= call.end + 3 * 3600, "seed \(seed): \(call) \(next)") }
            }
            for (call, nextButOne) in zip(own, own.dropFirst(2)) {
                #expect(nextButOne.start >= call.start + 24 * 3600, "seed \(seed): \(call) \(nextButOne)")
            }
            let last = try #require(own.last)
            if [.completed, .refused].contains(last.outcome) {
                finals[last.outcome, default: 0] += 1
            } else if last.attempt == plan.maximumAttempts {
                exhausted += 1
            }
        }
        #expect(forecast.contacts.completed == finals[.completed, default: 0], "seed \(seed)")
        #expect(forecast.contacts.refused == finals[.refused, default: 0], "seed \(seed)")
        #expect(forecast.contacts.exhausted == exhausted, "seed \(seed)")
    }

    private static func checkPace(_ plan: ForecastPlan, _ calls: [SimulatedCall], _ seed: Int) {
        // At equal instants an end comes before a start.
        let changes = calls.flatMap { [($0.end, -1), ($0.start, 1)] }.sorted { ($0.0, $0.1) < ($1.0, $1.1) }
        var live = 0
        for change in changes {
            live += change.1
            #expect(live <= plan.lines, "seed \(seed)")
        }
        // From any call on, the next n take their time; one call may have been saved up.
        for (index, call) in calls.enumerated() {
            let next = min(index + 50, calls.count - 1)
            let most = (calls[next].start.timeIntervalSince(call.start) + 1) * plan.callsPerSecond + 1
            #expect(Double(next - index) <= most, "seed \(seed)")
        }
        guard let most = plan.callsPerHour else { return }
        let offset = plan.timeZone.secondsFromGMT(for: plan.start)
        let byHour = Dictionary(grouping: calls) { (Int($0.start.timeIntervalSince1970) + offset) / 3600 }
        #expect(byHour.values.allSatisfy { $0.count <= most }, "seed \(seed)")
    }
}
