// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Keeps a forecast's hours while the clock runs.
struct HourBook {
    /// The hour that runs.
    var hour: Forecast.Hour
    /// When it ends, seconds after the start.
    private(set) var hourEnd: Int
    private let start: Int
    private var hours: [Forecast.Hour] = []
    private var bound = [Int](repeating: 0, count: Forecast.Rule.allCases.count)

    /// - Parameters:
    ///   - start: Seconds after 1970-01-01.
    ///   - zone: Whose clock hours are kept.
    init(start: Int, zone: TimeZone) {
        let date = Date(timeIntervalSince1970: Double(start))
        self.start = start
        self.hour = Forecast.Hour(start: date)
        self.hourEnd = 3600 - OpenTimes.remainder(start + zone.secondsFromGMT(for: date), 3600)
    }

    /// The instant so many seconds after the start.
    func date(_ clock: Int) -> Date {
        Date(timeIntervalSince1970: Double(self.start + clock))
    }

    /// Lets time pass within the hour.
    /// - Parameters:
    ///   - seconds: How long.
    ///   - live: Calls that go on.
    ///   - rule: What held more back; nil while no window was open.
    mutating func pass(_ seconds: Int, live: Int, _ rule: Forecast.Rule?) {
        self.hour.callSeconds += live * seconds
        guard let rule else { return }
        self.hour.openSeconds += seconds
        self.bound[Self.index(rule)] += seconds
    }

    /// Ends the hour and begins the next.
    mutating func turn(waiting: Int) {
        self.hours.append(self.ended(waiting))
        for index in self.bound.indices { self.bound[index] = 0 }
        self.hour = Forecast.Hour(start: self.date(self.hourEnd))
        self.hourEnd += 3600
    }

    /// All hours. One that has only just begun, with nothing in it, is none.
    func close(at clock: Int, waiting: Int) -> [Forecast.Hour] {
        let isEmpty =
            self.hour.start == self.date(clock) && self.hour.completed + self.hour.refused + self.hour.exhausted == 0
        return isEmpty ? self.hours : self.hours + [self.ended(waiting)]
    }

    private func ended(_ waiting: Int) -> Forecast.Hour {
        var hour = self.hour
        hour.waiting = waiting
        for rule in Forecast.Rule.allCases where self.bound[Self.index(rule)] > 0 {
            hour.bound[rule] = self.bound[Self.index(rule)]
        }
        return hour
    }

    private static func index(_ rule: Forecast.Rule) -> Int {
        switch rule {
        case .lines: 0
        case .callsPerSecond: 1
        case .callsPerHour: 2
        case .windowClosed: 3
        case .retryPauses: 4
        case .numberLimits: 5
        case .targetReached: 6
        case .nothingLeft: 7
        }
    }
}
