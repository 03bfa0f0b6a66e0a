// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel

/// A file of local dates on which nobody is called: iCalendar (RFC 5545), or CSV whose first column is a date.
public struct DateFile: Sendable, Equatable {
    /// What is wrong with a file, and where. Nothing of the file's content is in it.
    public struct Fault: Error, Sendable, Equatable, CustomStringConvertible {
        /// The line, from 1.
        public let line: Int
        /// The reason.
        public let reason: String
        /// Both.
        public var description: String { "line \(self.line): \(self.reason)" }
    }

    /// The dates as `YYYY-MM-DD`, in order, each once.
    public let dates: [String]
    /// The date up to which events that repeat without a near end were written out; nil when none was cut off there.
    public let repeatsUntil: String?

    /// How many years ahead of today events that repeat are written out.
    public static let yearsAhead = 3

    /// Reads a file: UTF-8, or UTF-16 with a byte order mark. Whether it is a calendar shows in its first line.
    /// - Parameters:
    ///   - bytes: The file's content.
    ///   - today: The day from which events that repeat are written out for ``yearsAhead`` years, `YYYY-MM-DD`.
    /// - Throws: ``Fault`` with the line at fault; a file is taken whole or not at all.
    public init(_ bytes: [UInt8], today: String) throws(Fault) {
        var decoder = TextDecoder(nil)
        var text: [UInt8]
        do {
            text = try decoder.decode(bytes)
        } catch {
            throw Fault(line: 1, reason: error.description)
        }
        text += decoder.finish()
        if text.starts(with: [0xEF, 0xBB, 0xBF]) { text.removeFirst(3) }
        let lines = String(decoding: text, as: UTF8.self)
            .split(separator: /\r\n|\n|\r/, omittingEmptySubsequences: false)
            .map(String.init)
        let first = lines.first { !$0.allSatisfy(\.isWhitespace) } ?? ""
        if first.uppercased().hasPrefix("BEGIN:VCALENDAR") {
            var calendar = try CalendarDates(today: today)
            try calendar.read(lines)
            (self.dates, self.repeatsUntil) = (calendar.dates.sorted(), calendar.repeatsUntil)
        } else {
            (self.dates, self.repeatsUntil) = (try Self.table(lines).sorted(), nil)
        }
    }

    private static func table(_ lines: [String]) throws(Fault) -> Set<String> {
        var dates: Set<String> = []
        for (index, line) in lines.enumerated() {
            let first = line.split(separator: /[,;\t]/, omittingEmptySubsequences: false).first ?? ""
            let word = String(first.filter { !" \"".contains($0) })
            if word.isEmpty || index == 0 && word.lowercased() == "date" { continue }
            guard let date = BlockedDates.date(word) else {
                throw Fault(line: index + 1, reason: "the first column holds no date like 2026-12-25")
            }
            dates.insert(date)
        }
        return dates
    }
}
