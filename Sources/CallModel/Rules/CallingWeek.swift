// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// The windows of a week in local time, several a day if need be. A window that crosses midnight goes on into the next
/// day, the one of Sunday into Monday.
public struct CallingWeek: Sendable, Hashable, CustomStringConvertible {
    /// Minutes after Monday, 00:00; ordered, apart from one another, within 0…10,080.
    public let ranges: [Range<Int>]

    private static let length = 10_080

    private init(ranges: [Range<Int>]) {
        var merged: [Range<Int>] = []
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = merged.last, range.lowerBound <= last.upperBound {
                merged[merged.count - 1] = last.lowerBound..<max(last.upperBound, range.upperBound)
            } else {
                merged.append(range)
            }
        }
        self.ranges = merged
    }

    /// Reads windows like `1-5 10:00-13:00` or `10:00-13:00`.
    /// - Parameters:
    ///   - windows: The windows; the days in front are ISO weekdays, single, as a list or a span.
    ///   - weekdays: The days of windows that name none.
    /// - Throws: ``LocalTimeWindow/Fault`` that names the window.
    public init(windows: [String], weekdays: [Int]) throws(LocalTimeWindow.Fault) {
        var ranges: [Range<Int>] = []
        for text in windows {
            let parts = text.split(separator: " ")
            guard 1...2 ~= parts.count else {
                throw LocalTimeWindow.Fault(reason: "'\(text)' is not a window like 09:00-20:00 or 1-5 09:00-20:00")
            }
            let window = try LocalTimeWindow(String(parts[parts.count - 1]))
            let days = parts.count == 2 ? try Self.days(parts[0]) : weekdays
            ranges += CallingWeek(window: window, weekdays: days).ranges
        }
        self.init(ranges: ranges)
    }

    /// One window on some days.
    /// - Parameters:
    ///   - window: The window; nil for the whole day.
    ///   - weekdays: ISO weekdays; those that are none are left out.
    public init(window: LocalTimeWindow?, weekdays: [Int]) {
        var ranges: [Range<Int>] = []
        for day in weekdays where 1...7 ~= day {
            let midnight = (day - 1) * 1440
            guard let window else {
                ranges.append(midnight..<midnight + 1440)
                continue
            }
            let end = midnight + window.endMinute + (window.startMinute < window.endMinute ? 0 : 1440)
            ranges.append(midnight + window.startMinute..<min(end, Self.length))
            if end > Self.length { ranges.append(0..<end - Self.length) }
        }
        self.init(ranges: ranges)
    }

    /// The minutes that lie in both weeks.
    /// - Parameter other: The other week.
    /// - Returns: The intersection; without ranges when they have nothing in common.
    public func intersection(_ other: CallingWeek) -> CallingWeek {
        CallingWeek(
            ranges: self.ranges.flatMap { range in
                other.ranges.filter { $0.overlaps(range) }.map { $0.clamped(to: range) }
            }
        )
    }

    private static func days(_ text: Substring) throws(LocalTimeWindow.Fault) -> [Int] {
        var days: [Int] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
            guard 1...2 ~= ends.count, let first = ends.first, let last = ends.last, 1...7 ~= first, 1...7 ~= last,
                first <= last
            else {
                throw LocalTimeWindow.Fault(
                    reason: "'\(text)' are not weekdays: 1 is Monday, 7 is Sunday, as in 1-5 or 6,7"
                )
            }
            days += Array(first...last)
        }
        return days
    }

    /// Reads PostgreSQL's text of an `int4multirange`, such as `{[540,1200),[1980,2640)}`.
    /// - Parameter text: The text.
    /// - Throws: ``LocalTimeWindow/Fault``.
    public init(multirange text: String) throws(LocalTimeWindow.Fault) {
        var ranges: [Range<Int>] = []
        for part in text.matches(of: /\[(\d+),(\d+)\)/) {
            guard let start = Int(part.1), let end = Int(part.2), start < end, end <= Self.length else {
                throw LocalTimeWindow.Fault(reason: "'\(text)' is not a week of windows")
            }
            ranges.append(start..<end)
        }
        self.init(ranges: ranges)
    }

    /// PostgreSQL's text of an `int4multirange`.
    public var multirange: String {
        "{" + self.ranges.map { "[\($0.lowerBound),\($0.upperBound))" }.joined(separator: ",") + "}"
    }

    /// Days with their windows, days that are alike together: `Mon-Fri 10:00-13:00, 14:00-20:00; Sat 10:00-19:00`.
    public var description: String {
        if self.ranges == [0..<Self.length] { return "any time" }
        if self.ranges.isEmpty { return "never" }
        let names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
        let days = (0..<7).map { day in
            self.ranges.map { $0.clamped(to: day * 1440..<(day + 1) * 1440) }.filter { !$0.isEmpty }
                .map { Self.clock($0.lowerBound - day * 1440) + "-" + Self.clock($0.upperBound - day * 1440) }
                .joined(separator: ", ")
        }
        var groups: [(first: Int, last: Int)] = []
        for day in 0..<7 {
            if let last = groups.last, days[last.first] == days[day] {
                groups[groups.count - 1].last = day
            } else {
                groups.append((day, day))
            }
        }
        return groups.filter { !days[$0.first].isEmpty }
            .map { (names[$0.first] + ($0.first == $0.last ? "" : "-" + names[$0.last])) + " " + days[$0.first] }
            .joined(separator: "; ")
    }

    private static func clock(_ minutes: Int) -> String {
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return two(minutes / 60) + ":" + two(minutes % 60)
    }
}
