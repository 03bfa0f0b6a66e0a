// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation

/// When the window is open in some zones: seconds after the start, in order, apart from one another.
struct OpenTimes: Equatable {
    private(set) var ranges: [Range<Int>] = []

    /// Everything that may change the answer.
    struct Rule {
        let week: CallingWeek
        /// Days after 1970-01-01.
        let blockedDays: Set<Int>
        /// Seconds after 1970-01-01, and how many of them are looked at.
        let start: Int
        let length: Int
    }

    private static let day = 86_400

    /// - Parameters:
    ///   - zones: Where it must be open, in all of them.
    ///   - rule: The windows and the time.
    init(zones: [TimeZone], rule: Rule) {
        for (index, zone) in zones.enumerated() {
            let open = Self.ranges(zone, rule)
            self.ranges = index == 0 ? open : Self.intersection(self.ranges, open)
        }
    }

    private static func ranges(_ zone: TimeZone, _ rule: Rule) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        for span in Self.spans(zone, rule) {
            let firstDay = Self.floorDivide(span.from + span.offset, Self.day)
            let lastDay = Self.floorDivide(span.to - 1 + span.offset, Self.day)
            for day in firstDay...max(firstDay, lastDay) where !rule.blockedDays.contains(day) {
                // The first of January 1970 was a Thursday.
                let weekday = Self.remainder(day + 3, 7)
                for window in rule.week.ranges {
                    let minutes = window.clamped(to: weekday * 1440..<(weekday + 1) * 1440)
                    let midnight = day * Self.day - weekday * Self.day - span.offset
                    let from = max(span.from, midnight + minutes.lowerBound * 60) - rule.start
                    let to = min(span.to, midnight + minutes.upperBound * 60) - rule.start
                    guard from < to, !minutes.isEmpty else { continue }
                    if let last = ranges.last, last.upperBound == from {
                        ranges[ranges.count - 1] = last.lowerBound..<to
                    } else {
                        ranges.append(from..<to)
                    }
                }
            }
        }
        return ranges
    }

    private struct Span {
        let from: Int
        let to: Int
        let offset: Int
    }

    /// Spans of one distance from UTC. No zone has changed its clocks twice within a day.
    private static func spans(_ zone: TimeZone, _ rule: Rule) -> [Span] {
        func offset(_ instant: Int) -> Int {
            zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(instant)))
        }
        let end = rule.start + rule.length
        var spans: [Span] = []
        var from = rule.start
        var now = rule.start
        var current = offset(now)
        while now < end {
            let next = min(now + Self.day, end)
            let following = offset(next)
            if following != current {
                var (before, after) = (now, next)
                while after - before > 1 {
                    let middle = (before + after) / 2
                    if offset(middle) == current { before = middle } else { after = middle }
                }
                spans.append(Span(from: from, to: after, offset: current))
                (from, current) = (after, following)
            }
            now = next
        }
        if from < end { spans.append(Span(from: from, to: end, offset: current)) }
        return spans
    }

    private static func intersection(_ first: [Range<Int>], _ second: [Range<Int>]) -> [Range<Int>] {
        var common: [Range<Int>] = []
        var (left, right) = (0, 0)
        while left < first.count, right < second.count {
            let from = max(first[left].lowerBound, second[right].lowerBound)
            let to = min(first[left].upperBound, second[right].upperBound)
            if from < to { common.append(from..<to) }
            if first[left].upperBound < second[right].upperBound { left += 1 } else { right += 1 }
        }
        return common
    }

    static func floorDivide(_ value: Int, _ divisor: Int) -> Int {
        (value - Self.remainder(value, divisor)) / divisor
    }

    static func remainder(_ value: Int, _ divisor: Int) -> Int {
        let rest = value % divisor
        return rest < 0 ? rest + divisor : rest
    }
}
