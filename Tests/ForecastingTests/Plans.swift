// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Forecasting
import Foundation
import Testing

/// Plans to test with.
enum Plans {
    static let rates: [CallOutcome: Double] = [
        .noAnswer: 0.4, .busy: 0.1, .failed: 0.05, .answeringMachine: 0.15, .completed: 0.2, .refused: 0.1,
    ]

    static func instant(_ text: String) throws -> Date {
        try Date(text, strategy: .iso8601)
    }

    static func zone(_ name: String) throws -> TimeZone {
        try #require(TimeZone(identifier: name))
    }

    /// A thousand contacts in Berlin, weekdays from ten to eight, from a Monday morning on.
    static func berlin(
        contacts: Int = 1000,
        start: String = "2026-11-23T06:00:00Z",
        _ change: (inout ForecastPlan) throws -> Void = { _ in }
    ) throws -> ForecastPlan {
        var plan = ForecastPlan(
            groups: [.init(zones: ["Europe/Berlin"], count: contacts)],
            week: try CallingWeek(windows: ["10:00-20:00"], weekdays: [1, 2, 3, 4, 5]),
            lines: 20,
            callsPerSecond: 1,
            rates: try OutcomeShares(Self.rates),
            lengths: .assumed(ringTimeout: 30, longestCall: 600),
            timeZone: try Self.zone("Europe/Berlin"),
            start: try Self.instant(start)
        )
        try change(&plan)
        return plan
    }

    static func simulate(_ plan: ForecastPlan) throws -> (forecast: Forecast, calls: [SimulatedCall]) {
        var calls: [SimulatedCall] = []
        let forecast = try plan.simulate { calls.append($0) }
        return (forecast, calls)
    }

    /// The rule of the windows in words of a calendar: the weekday and the clock decide, and the date must not be blocked.
    static func isOpen(_ week: CallingWeek, _ blocked: [String], _ zone: String, _ instant: Date) throws -> Bool {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = try Self.zone(zone)
        let parts = calendar.dateComponents([.year, .month, .day, .weekday, .hour, .minute], from: instant)
        let year = try #require(parts.year)
        let month = try #require(parts.month)
        let day = try #require(parts.day)
        let weekday = (try #require(parts.weekday) + 5) % 7
        let minute = weekday * 1440 + (try #require(parts.hour)) * 60 + (try #require(parts.minute))
        let date = String(format: "%04d-%02d-%02d", year, month, day)
        return !blocked.contains(date) && week.ranges.contains { $0.contains(minute) }
    }
}
