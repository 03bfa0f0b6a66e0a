// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// What a simulated campaign came to.
public struct Forecast: Sendable, Equatable {
    /// What kept more calls from being made.
    public enum Rule: String, Sendable, Codable, CaseIterable {
        /// Every line had a call.
        case lines
        /// Calls were placed as fast as is allowed.
        case callsPerSecond = "calls_per_second"
        /// The hour's calls had been made.
        case callsPerHour = "calls_per_hour"
        /// Most contacts that were left live where the window was closed.
        case windowClosed = "window_closed"
        /// Most of them rested after an attempt, or were not due yet.
        case retryPauses = "retry_pauses"
        /// Most of them rested because of a limit per number.
        case numberLimits = "number_limits"
        /// The target was reached; the last calls went on.
        case targetReached = "target_reached"
        /// All that were left were being called.
        case nothingLeft = "nothing_left"
    }

    /// Why the forecast ends where it does.
    public enum Ending: String, Sendable, Codable {
        /// Every contact's story is over.
        case nothingLeft = "nothing_left"
        /// Enough contacts have completed.
        case targetReached = "target_reached"
        /// The campaign's end date has come.
        case endDate = "end_date"
        /// It would go on beyond the days that were looked at.
        case horizon
    }

    /// One clock hour; the first and the last may be cut off.
    public struct Hour: Sendable, Equatable {
        /// When it begins, on the clock of the plan's zone.
        public let start: Date
        /// Calls placed.
        public var calls = 0
        /// Contacts that completed.
        public var completed = 0
        /// Contacts that refused.
        public var refused = 0
        /// Contacts that used up their attempts.
        public var exhausted = 0
        /// Seconds of all calls within the hour.
        public var callSeconds = 0
        /// Seconds in which the window was open for somebody who was left.
        public var openSeconds = 0
        /// Contacts that were due and not being called, at its end.
        public var waiting = 0
        /// Seconds by the rule that bound, of those in which the window was open.
        public var bound: [Rule: Int] = [:]

        /// Calls at once, in the mean over the hour.
        public var liveCalls: Double { Double(self.callSeconds) / 3600 }
        /// The rule that bound longest.
        public var binds: Rule { Forecast.longest(self.bound) ?? .windowClosed }
    }

    /// Contacts by where they ended; together all of them.
    public struct Contacts: Sendable, Equatable {
        /// The interview took place.
        public var completed = 0
        /// They declined.
        public var refused = 0
        /// All attempts were used up, also before the start.
        public var exhausted = 0
        /// They were called and still had attempts left.
        public var unfinished = 0
        /// They were never called, though they might have been.
        public var untouched = 0

        /// All of them.
        public var total: Int { self.completed + self.refused + self.exhausted + self.unfinished + self.untouched }
    }

    /// When the last call ended, or the end date or the horizon came.
    public var end: Date
    /// Why.
    public var ending: Ending
    /// Where the contacts ended.
    public var contacts = Contacts()
    /// Calls placed.
    public var calls = 0
    /// Contacts by how many attempts they had at the end, those before the start included.
    public var contactsByAttempts: [Int]
    /// Hour by hour, from the start to the end.
    public var hours: [Hour] = []
    /// Whether any contact's window opened.
    public var windowOpens = false

    /// Seconds in which the window was open for somebody, by the rule that bound.
    public var bound: [Rule: Int] {
        self.hours.reduce(into: [:]) { sum, hour in sum.merge(hour.bound, uniquingKeysWith: +) }
    }

    /// The rule that bound longest; nil when the window never opened.
    public var binds: Rule? { Self.longest(self.bound) }

    static func longest(_ bound: [Rule: Int]) -> Rule? {
        Rule.allCases.max { bound[$0, default: 0] < bound[$1, default: 0] }.flatMap { bound[$0] == nil ? nil : $0 }
    }

    /// Hours put together by local date.
    /// - Parameter zone: The zone of the dates.
    /// - Returns: The hours of each day, in order.
    public func days(in zone: TimeZone) -> [[Hour]] {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = zone
        var days: [[Hour]] = []
        for hour in self.hours {
            if let last = days.last?.last, calendar.isDate(last.start, inSameDayAs: hour.start) {
                days[days.count - 1].append(hour)
            } else {
                days.append([hour])
            }
        }
        return days
    }
}

/// What a plan has wrong.
public struct ForecastFault: Error, Sendable, CustomStringConvertible {
    /// One line per fault, each naming the value.
    public let faults: [String]
    /// All of them.
    public var description: String { self.faults.joined(separator: "\n") }
}
