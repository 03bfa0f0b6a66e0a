// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Local dates on which nobody is called, from a calendar file or a list.
public enum BlockedDates {
    /// What is wrong with a list of dates, and where.
    public struct Fault: Error, Sendable, CustomStringConvertible {
        /// The line, from 1.
        public let line: Int
        /// The reason.
        public let reason: String
        /// Both.
        public var description: String { "line \(self.line): \(self.reason)" }
    }

    /// Reads iCalendar (RFC 5545) or CSV whose first column is a date. Which of the two it is shows in its first line.
    /// - Parameter text: The file's content.
    /// - Returns: Dates as `YYYY-MM-DD`, in order, each once.
    /// - Throws: ``Fault`` with the line at fault.
    public static func parse(_ text: String) throws(Fault) -> [String] {
        let lines = text.split(separator: /\r\n|\n|\r/, omittingEmptySubsequences: false).map(String.init)
        let isCalendar = lines.first?.uppercased().hasSuffix("BEGIN:VCALENDAR") == true
        let dates = isCalendar ? try Self.calendar(lines) : try Self.table(lines)
        return Set(dates).sorted()
    }

    /// Reads one date.
    /// - Parameter text: `YYYY-MM-DD`, or as iCalendar writes it, `YYYYMMDD`.
    /// - Returns: The date as `YYYY-MM-DD`; nil when there is no such date.
    public static func date(_ text: some StringProtocol) -> String? {
        let digits = String(text.filter { $0 != "-" })
        guard digits.count == 8, digits.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), [0, 2].contains(text.count - 8),
            let year = Int(digits.prefix(4)), let month = Int(digits.dropFirst(4).prefix(2)),
            let day = Int(digits.suffix(2)), 1...12 ~= month, day >= 1, day <= Self.length(of: month, in: year)
        else { return nil }
        return "\(digits.prefix(4))-\(digits.dropFirst(4).prefix(2))-\(digits.suffix(2))"
    }

    private static func length(of month: Int, in year: Int) -> Int {
        let isLeap = year.isMultiple(of: 4) && !year.isMultiple(of: 100) || year.isMultiple(of: 400)
        return [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
    }

    private static func next(_ date: String) -> String {
        let parts = date.split(separator: "-").compactMap { Int($0) }
        var (year, month, day) = (parts[0], parts[1], parts[2] + 1)
        if day > Self.length(of: month, in: year) { (month, day) = (month + 1, 1) }
        if month > 12 { (year, month) = (year + 1, 1) }
        func padded(_ value: Int, _ width: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, width - text.count)) + text
        }
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))"
    }

    private static func table(_ lines: [String]) throws(Fault) -> [String] {
        var dates: [String] = []
        for (index, line) in lines.enumerated() {
            let first = line.split(separator: /[,;\t]/, omittingEmptySubsequences: false).first ?? ""
            let word = String(first.filter { !" \"\u{FEFF}".contains($0) })
            if word.isEmpty || index == 0 && word.lowercased() == "date" { continue }
            guard let date = Self.date(word) else {
                throw Fault(line: index + 1, reason: "'\(word.prefix(40))' is not a date like 2026-12-25")
            }
            dates.append(date)
        }
        return dates
    }

    /// An event of whole days blocks those from its start to before its end; one with times blocks the day it starts on.
    private static func calendar(_ lines: [String]) throws(Fault) -> [String] {
        var dates: [String] = []
        var start: String?
        var end: String?
        for (index, line) in lines.enumerated() {
            let parts = line.split(separator: ":", maxSplits: 1).map(String.init)
            let name = parts.first?.uppercased().prefix { $0 != ";" } ?? ""
            let value = parts.count > 1 ? parts[1] : ""
            switch (name, value.uppercased()) {
            case ("BEGIN", "VEVENT"):
                (start, end) = (nil, nil)
            case ("DTSTART", _), ("DTEND", _):
                guard let date = Self.date(value.prefix(8)) else {
                    throw Fault(line: index + 1, reason: "\(name) holds no date")
                }
                if name == "DTSTART" { start = date } else if !value.contains("T") { end = date }
            case ("RRULE", _), ("RDATE", _):
                throw Fault(line: index + 1, reason: "\(name) repeats an event: export its dates one by one")
            case ("END", "VEVENT"):
                guard let first = start else { throw Fault(line: index + 1, reason: "an event without DTSTART") }
                var date = first
                repeat {
                    dates.append(date)
                    date = Self.next(date)
                    guard dates.count <= 10_000 else {
                        throw Fault(line: index + 1, reason: "an event of more than 10,000 days")
                    }
                } while date < end ?? ""
            default:
                continue
            }
        }
        return dates
    }
}
