// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
public import Foundation

/// How long a week's windows are open in several zones at once.
public enum OpenHours {
    /// Hours a day, in the mean of a week.
    /// - Parameters:
    ///   - zones: Where they must be open, in all of them; IANA names.
    ///   - week: The windows.
    ///   - start: The week's beginning: clocks differ over the year.
    /// - Returns: 0…24; 0 when a zone is not known.
    public static func perDay(zones: [String], week: CallingWeek, from start: Date) -> Double {
        let known = zones.compactMap(TimeZone.init(identifier:))
        guard known.count == zones.count else { return 0 }
        let rule = OpenTimes.Rule(
            week: week,
            blockedDays: [],
            start: Int(start.timeIntervalSince1970),
            length: 7 * 86_400
        )
        let seconds = OpenTimes(zones: known, rule: rule).ranges.reduce(0) { $0 + $1.count }
        return Double(seconds) / 7 / 3600
    }
}
