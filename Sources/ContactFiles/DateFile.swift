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

    /// Reads a file, in any encoding of ``CSVTable``, or Windows-1252. Whether it is a calendar shows in its first line.
    /// - Parameters:
    ///   - bytes: The file's content.
    ///   - today: The day from which events that repeat are written out for ``yearsAhead`` years, `YYYY-MM-DD`.
    /// - Throws: ``Fault`` with the line at fault; a file is taken whole or not at all.
    public init(_ bytes: [UInt8], today: String) throws(Fault) {
        var text = try Self.text(bytes, nil)
        if String(validating: text, as: UTF8.self) == nil { text = try Self.text(bytes, .windows1252) }
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
            (self.dates, self.repeatsUntil) = (try Self.table(text).sorted(), nil)
        }
    }

    private static func text(_ bytes: [UInt8], _ encoding: TextDecoder.Encoding?) throws(Fault) -> [UInt8] {
        var decoder = TextDecoder(encoding)
        do {
            return try decoder.decode(bytes) + decoder.finish()
        } catch {
            throw Fault(line: 1, reason: error.description)
        }
    }

    private static let headers: Set<String> = ["date", "datum", "data", "fecha", "day", "tag", "dtstart"]

    private static func table(_ text: [UInt8]) throws(Fault) -> Set<String> {
        var table = CSVTable(encoding: .utf8)
        let records: [CSVReader.Record]
        do {
            records = try table.read(text) + table.finish()
        } catch {
            throw Fault(line: 1, reason: error.description)
        }
        var dates: Set<String> = []
        for (index, record) in records.enumerated() {
            if let fault = record.fault { throw Fault(line: record.line, reason: record.reject(fault)) }
            let word = String(record.fields[0].filter { !$0.isWhitespace })
            if index == 0, Self.headers.contains(word.lowercased()) { continue }
            guard let date = BlockedDates.date(word) else {
                throw Fault(line: record.line, reason: "the first column holds no date like 2026-12-25")
            }
            dates.insert(date)
        }
        return dates
    }
}
