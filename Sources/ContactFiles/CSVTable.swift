// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel

/// A list as people have it: finds out its encoding and its delimiter, and leaves out what spreadsheets add.
///
/// Left out are rows whose cells are all empty, a `sep=;` in front, and the header where it is there again. A row that does
/// not have all fields ends early, as spreadsheets write rows whose last cells are empty; at fault is one which the file's
/// end or a line break has cut.
public struct CSVTable: Sendable {
    private static let digitsOfANumber = 5

    private let namedDelimiter: UInt8?
    private let hasHeader: Bool
    private let isEncodingTold: Bool
    private var decoder: TextDecoder
    private var reader: CSVReader?
    /// What has been read while the delimiter was not known.
    private var beginning: [UInt8] = []
    private var first: [String]?
    /// A short row that waits for the next: they may be one that a line break has cut.
    private var short: CSVReader.Record?
    private var endsInLineBreak = true

    /// Creates a table.
    /// - Parameters:
    ///   - delimiter: The byte between fields; nil to go by the beginning of the file.
    ///   - encoding: The encoding; nil to go by the beginning of the file.
    ///   - hasHeader: Whether the first row names the columns.
    public init(delimiter: UInt8? = nil, encoding: TextDecoder.Encoding? = nil, hasHeader: Bool = true) {
        self.namedDelimiter = delimiter
        self.hasHeader = hasHeader
        self.isEncodingTold = encoding != nil
        self.decoder = TextDecoder(encoding)
    }

    /// Takes the next piece of the file.
    /// - Returns: The rows that it completes.
    /// - Throws: When the file is no list, or not in the encoding that it is said to have.
    public mutating func read(_ bytes: [UInt8]) throws(TextDecoder.Fault) -> [CSVReader.Record] {
        self.rows(self.text(try self.decoder.decode(bytes), isEnd: false))
    }

    /// The file has ended.
    /// - Returns: The rows that were still to come.
    public mutating func finish() -> [CSVReader.Record] {
        var records = self.text(self.decoder.finish(), isEnd: true)
        while let record = self.reader?.finish() { records.append(record) }
        records = self.rows(records)
        // Half a number may look like one.
        let cut = "is cut off: the file ends in the middle of it"
        if let short = self.short { records.append(self.endsInLineBreak ? short : short.faulted(cut)) }
        self.short = nil
        return records
    }

    private mutating func text(_ text: [UInt8], isEnd: Bool) -> [CSVReader.Record] {
        if let last = text.last { self.endsInLineBreak = last == UInt8(ascii: "\n") || last == UInt8(ascii: "\r") }
        if self.reader != nil { return self.reader?.read(text) ?? [] }
        self.beginning += text
        let usual = CSVReader.delimiter(in: self.beginning)
        guard usual != nil || isEnd || self.beginning.count > CSVReader.maximumRecordSize else { return [] }
        let named = self.namedDelimiter ?? CSVReader.namedDelimiter(in: self.beginning)
        let advice = self.isEncodingTold || self.decoder.name != "UTF-8" ? "" : "; is it --encoding windows-1252?"
        self.reader = CSVReader(
            delimiter: named ?? usual ?? CSVReader.delimiter(inWhole: self.beginning),
            encoding: self.decoder.name + advice
        )
        defer { self.beginning = [] }
        return self.reader?.read(self.beginning) ?? []
    }

    private mutating func rows(_ records: [CSVReader.Record]) -> [CSVReader.Record] {
        var rows: [CSVReader.Record] = []
        rows.reserveCapacity(records.count + 1)
        for record in records {
            if record.fault == nil, record.fields.allSatisfy(\.isBlank) { continue }
            guard let first = self.first else {
                if record.line == 1, record.fields[0].lowercased().hasPrefix("sep=") { continue }
                self.first = record.fields
                rows.append(record)
                continue
            }
            let isShort = record.fault == nil && record.fields.count < first.count
            if let short = self.short {
                self.short = nil
                let isRest = isShort && !record.fields.contains { Self.holdsANumber($0) }
                let reason = "ends early, and what follows is no row: a line break in it?"
                rows.append(isRest ? short.faulted(reason) : short)
            }
            if self.hasHeader, record.fields[0] == first[0], Self.isSame(record.fields, first) { continue }
            if isShort { self.short = record } else { rows.append(record) }
        }
        return rows
    }

    private static func isSame(_ row: [String], _ header: [String]) -> Bool {
        let length = max(row.count, header.count)
        return (0..<length).allSatisfy { index in
            (index < row.count ? row[index] : "") == (index < header.count ? header[index] : "")
        }
    }

    private static func holdsANumber(_ field: String) -> Bool {
        field.utf8.count { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } >= Self.digitsOfANumber
    }
}

extension CSVReader.Record {
    fileprivate func faulted(_ fault: String) -> CSVReader.Record {
        CSVReader.Record(line: self.line, fields: self.fields, fault: fault, lines: self.lines)
    }
}
