// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel

/// An instant at which a zone may change its clocks, and the seconds from UTC before and from then on.
struct ClockChange: Hashable {
    let at: Int
    let before: Int
    let after: Int
}

/// The rule for each minute of the days around a change: open or not, and when it next is not.
struct WindowTelling {
    private static let reach = 80 * 60
    private let start: Int
    /// Whether a time at which a window opens or closes, or a blocked date begins or ends, is skipped or comes twice.
    let hasEdgeInChange: Bool
    private var closes: [Int?]

    init(_ change: ClockChange, _ week: CallingWeek, blocked: Int?) {
        var isCalled = [Bool](repeating: false, count: 10_080)
        for range in week.ranges { for minute in range { isCalled[minute] = true } }
        self.start = change.at - change.at % 60 - Self.reach * 60
        self.closes = Array(repeating: nil, count: 2 * Self.reach)
        let dayOfChange = (change.at + change.before) / 86_400
        self.hasEdgeInChange = Self.hasEdge(change, week, blocked.map { dayOfChange + $0 })
        // Beyond the last minute nothing is known; a window that is open until then is taken for open for ever.
        var next = Int.max
        for index in self.closes.indices.reversed() {
            let instant = self.start + index * 60
            let local = instant + (instant < change.at ? change.before : change.after)
            // The first of January 1970 was a Thursday.
            let minute = ((local / 86_400 + 3) % 7 * 86_400 + local % 86_400) / 60
            if isCalled[minute], blocked.map({ local / 86_400 != dayOfChange + $0 }) ?? true {
                self.closes[index] = next
            } else {
                next = instant
            }
        }
    }

    func closesAt(_ instant: Int) -> Int? { self.closes[(instant - self.start) / 60] }

    private static func hasEdge(_ change: ClockChange, _ week: CallingWeek, _ blockedDay: Int?) -> Bool {
        let times = [change.at + change.before, change.at + change.after]
        let isSkipped = change.before < change.after
        func isInChange(_ local: Int, _ first: Int, _ last: Int) -> Bool {
            (isSkipped ? first < local : first <= local) && local < last
        }
        let (first, last) = (times.min() ?? 0, times.max() ?? 0)
        let dates = blockedDay.map { [$0 * 86_400, ($0 + 1) * 86_400] } ?? []
        if dates.contains(where: { isInChange($0, first, last) }) { return true }
        let monday = first - ((first / 86_400 + 3) % 7 * 86_400 + first % 86_400)
        return week.ranges.contains { range in
            range != 0..<10_080
                && [range.lowerBound, range.upperBound].contains { edge in
                    [-7, 0, 7].contains { isInChange(monday + $0 * 86_400 + edge * 60, first, last) }
                }
        }
    }
}
