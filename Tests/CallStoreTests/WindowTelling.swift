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
    private var closes: [Int?]

    init(_ change: ClockChange, _ week: CallingWeek, blocked: Int?) {
        var isCalled = [Bool](repeating: false, count: 10_080)
        for range in week.ranges { for minute in range { isCalled[minute] = true } }
        self.start = change.at - change.at % 60 - Self.reach * 60
        self.closes = Array(repeating: nil, count: 2 * Self.reach)
        let dayOfChange = (change.at + change.before) / 86_400
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
}
