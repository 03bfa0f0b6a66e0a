// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Reads comma-separated values piece by piece, so that a file of any size needs little memory.
///
/// Follows RFC 4180: fields may be quoted, a quote inside is doubled, a quoted field may hold line breaks; lines end in
/// LF or CRLF. Empty lines are skipped; a byte order mark is dropped. Takes UTF-8, see ``TextDecoder``.
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
    private let encoding: String
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
    /// - Parameters:
    ///   - delimiter: The byte between fields.
    ///   - encoding: What the file claims to be; named in the fault of a field that is no text.
    public init(delimiter: UInt8 = UInt8(ascii: ","), encoding: String = "UTF-8") {
        self.delimiter = delimiter
        self.encoding = encoding
    }

    /// Takes the next piece of the file.
    /// - Returns: The records that it completes.
    public mutating func read(_ bytes: some Sequence<UInt8>) -> [Record] {
        var records: [Record] = []
        let done: Void? = bytes.withContiguousStorageIfAvailable { self.scan($0, &records) }
        if done == nil { Array(bytes).withUnsafeBufferPointer { self.scan($0, &records) } }
        return records
    }

    /// The file has ended.
    /// - Returns: The last record, when no line break ended it.
    public mutating func finish() -> Record? {
        if self.position == .quoted { self.fault = "has a quote that is never closed" }
        guard self.recordSize > 0 else { return nil }
        return self.endRecord()
    }

    /// Takes runs of ordinary bytes at once, and the others one by one.
    private mutating func scan(_ bytes: UnsafeBufferPointer<UInt8>, _ records: inout [Record]) {
        var index = 0
        while index < bytes.count {
            let end = self.endOfRun(bytes, from: index)
            guard end > index else {
                self.take(bytes[index], &records)
                index += 1
                continue
            }
            let run = UnsafeBufferPointer(rebasing: bytes[index..<end])
            self.recordSize += run.count
            index = end
            if self.position == .fieldStart, end < bytes.count, bytes[end] == self.delimiter,
                self.recordSize < Self.maximumRecordSize
            {
                self.endField(run)
                self.recordSize += 1
                index += 1
            } else {
                self.field.append(contentsOf: run)
                if self.position == .fieldStart { self.position = .plain }
            }
        }
    }

    /// Where the bytes end that mean nothing but themselves.
    private func endOfRun(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        guard !self.sawReturn, self.position != .afterQuote else { return start }
        let limit = min(bytes.count, start + Self.maximumRecordSize - self.recordSize)
        var end = start
        if self.position == .quoted {
            while end < limit, bytes[end] != UInt8(ascii: "\""), bytes[end] != UInt8(ascii: "\n") { end += 1 }
            return end
        }
        if self.position == .fieldStart, bytes[start] == UInt8(ascii: "\"") { return start }
        while end < limit, bytes[end] != self.delimiter, bytes[end] != UInt8(ascii: "\n"),
            bytes[end] != UInt8(ascii: "\r")
        {
            end += 1
        }
        return end
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
        self.fields = []
        self.fields.reserveCapacity(record.fields.count)
        self.fault = nil
        self.recordSize = 0
        self.recordLine = self.line
        self.sawReturn = false
        return record
    }

    private mutating func endField() {
        // Taken out and put back, so that the buffer has one owner and is kept.
        var bytes: [UInt8] = []
        swap(&bytes, &self.field)
        bytes.withUnsafeBufferPointer { self.endField($0) }
        bytes.removeAll(keepingCapacity: true)
        swap(&bytes, &self.field)
    }

    private mutating func endField(_ bytes: UnsafeBufferPointer<UInt8>) {
        var bytes = bytes
        if self.isFirstField {
            self.isFirstField = false
            if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes = UnsafeBufferPointer(rebasing: bytes.dropFirst(3)) }
        }
        if let text = String(validating: bytes, as: UTF8.self) {
            self.fields.append(text)
        } else {
            self.fields.append("")
            self.fault = self.fault ?? "is not \(self.encoding)"
        }
        self.position = .fieldStart
    }
}
