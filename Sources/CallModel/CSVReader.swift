// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Reads comma-separated values piece by piece, so that a file of any size needs little memory.
///
/// Follows RFC 4180: fields may be quoted, a quote inside is doubled, a quoted field may hold line breaks; lines end in
/// LF or CRLF. Empty lines are skipped; a byte order mark is dropped.
public struct CSVReader: Sendable {
    /// One record.
    public struct Record: Sendable, Equatable {
        /// The line of the file on which the record starts, from 1.
        public let line: Int
        /// The fields.
        public let fields: [String]
        /// What makes the record unreadable, if anything.
        public let fault: String?
    }

    private enum Position {
        case fieldStart
        case plain
        case quoted
        case afterQuote
    }

    /// A record beyond this size means that a quote was never closed.
    public static let maximumRecordSize = 64 * 1024

    private let delimiter: UInt8
    private var position = Position.fieldStart
    private var field: [UInt8] = []
    private var fields: [String] = []
    private var fault: String?
    private var line = 1
    private var recordLine = 1
    private var recordSize = 0
    private var sawReturn = false
    private var isFirstField = true

    /// Creates a reader.
    /// - Parameter delimiter: The byte between fields.
    public init(delimiter: UInt8 = UInt8(ascii: ",")) {
        self.delimiter = delimiter
    }

    /// Takes the next piece of the file.
    /// - Returns: The records that it completes.
    public mutating func read(_ bytes: some Sequence<UInt8>) -> [Record] {
        var records: [Record] = []
        for byte in bytes { self.take(byte, &records) }
        return records
    }

    /// The file has ended.
    /// - Returns: The last record, when no line break ended it.
    public mutating func finish() -> Record? {
        if self.position == .quoted { self.fault = "has a quote that is never closed" }
        guard self.recordSize > 0 else { return nil }
        return self.endRecord()
    }

    private mutating func take(_ byte: UInt8, _ records: inout [Record]) {
        let isBreak = byte == UInt8(ascii: "\n")
        if self.sawReturn, !isBreak, self.position != .quoted {
            self.field.append(UInt8(ascii: "\r"))
        }
        self.sawReturn = false
        if isBreak { self.line += 1 }
        switch self.position {
        case .quoted:
            if byte == UInt8(ascii: "\"") {
                self.position = .afterQuote
            } else {
                self.field.append(byte)
            }
        case .fieldStart where byte == UInt8(ascii: "\""):
            self.position = .quoted
        case .afterQuote where byte == UInt8(ascii: "\""):
            self.field.append(byte)
            self.position = .quoted
        case _ where isBreak:
            if let record = self.endLine() { records.append(record) }
            return
        case _ where byte == self.delimiter:
            self.endField()
        case _ where byte == UInt8(ascii: "\r"):
            self.sawReturn = true
        case .afterQuote:
            self.fault = "has text after a closing quote"
            self.field.append(byte)
            self.position = .plain
        default:
            self.field.append(byte)
            self.position = .plain
        }
        self.recordSize += 1
        if self.recordSize > Self.maximumRecordSize {
            self.fault = "is longer than \(Self.maximumRecordSize) bytes: is a quote never closed?"
            records.append(self.endRecord())
        }
    }

    private mutating func endLine() -> Record? {
        defer { self.recordLine = self.line }
        guard self.recordSize > 0, !(self.recordSize == 1 && self.field.isEmpty && self.fields.isEmpty) else {
            self.recordSize = 0
            self.position = .fieldStart
            return nil
        }
        return self.endRecord()
    }

    private mutating func endRecord() -> Record {
        self.endField()
        let record = Record(line: self.recordLine, fields: self.fields, fault: self.fault)
        self.fields.removeAll(keepingCapacity: true)
        self.fault = nil
        self.recordSize = 0
        self.recordLine = self.line
        self.sawReturn = false
        return record
    }

    private mutating func endField() {
        var bytes = self.field[...]
        if self.isFirstField {
            self.isFirstField = false
            if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes = bytes.dropFirst(3) }
        }
        if let text = String(validating: bytes, as: UTF8.self) {
            self.fields.append(text)
        } else {
            self.fields.append("")
            self.fault = self.fault ?? "is not UTF-8"
        }
        self.field.removeAll(keepingCapacity: true)
        self.position = .fieldStart
    }
}
