// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Dates as mail and HTTP write them, e.g. `Fri, 18 Oct 2019 17:00:00 +0000`.
///
/// Sources: RFC 2822, section 3.3 (the API's dates and the `Timestamp` of callbacks); RFC 9110, section 5.6.7
/// (`Retry-After`). Written by hand because `DateFormatter` depends on locale data and is not cheap to call per request.
enum InternetDate {
    private static let months = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ]

    /// Reads a date.
    /// - Parameter text: The date; the day of the week may be left out.
    /// - Returns: The instant, or nil when the text is not such a date.
    static func parse(_ text: some StringProtocol) -> Date? {
        var words = text.split(whereSeparator: { $0 == " " || $0 == "\t" })
        if words.first?.hasSuffix(",") == true { words.removeFirst() }
        guard words.count == 5,
            let day = Self.number(words[0], in: 1...31),
            let month = Self.months.firstIndex(of: words[1].lowercased()),
            words[2].utf8.count == 4, let year = Self.number(words[2], in: 1900...9999),
            let offset = Self.offset(words[4])
        else { return nil }
        let clock = words[3].split(separator: ":", omittingEmptySubsequences: false)
        guard clock.count == 3,
            let hour = Self.number(clock[0], in: 0...23),
            let minute = Self.number(clock[1], in: 0...59),
            let second = Self.number(clock[2], in: 0...60)
        else { return nil }
        let days = Self.daysSince1970(year: year, month: month + 1, day: day)
        let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset
        return Date(timeIntervalSince1970: Double(seconds))
    }

    /// Writes the UTC day of an instant as `YYYY-MM-DD`, which is what the list filters take.
    static func utcDay(of date: Date) -> String {
        date.formatted(Date.ISO8601FormatStyle().year().month().day())
    }

    /// Reads a UTC day, `YYYY-MM-DD`.
    static func parse(day: String) -> Date? {
        try? Date(day, strategy: Date.ISO8601FormatStyle().year().month().day())
    }

    private static func number(_ text: some StringProtocol, in range: ClosedRange<Int>) -> Int? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let value = Int(text), range.contains(value)
        else { return nil }
        return value
    }

    private static func offset(_ zone: some StringProtocol) -> Int? {
        switch zone {
        case "GMT", "UTC", "UT", "Z": return 0
        default: break
        }
        guard zone.utf8.count == 5, let sign = zone.first, sign == "+" || sign == "-",
            let hours = Self.number(zone.dropFirst().prefix(2), in: 0...14),
            let minutes = Self.number(zone.suffix(2), in: 0...59)
        else { return nil }
        return (hours * 3_600 + minutes * 60) * (sign == "-" ? -1 : 1)
    }

    /// Counts in eras of 400 years that begin in March, so that leap days come last.
    private static func daysSince1970(year: Int, month: Int, day: Int) -> Int {
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}
