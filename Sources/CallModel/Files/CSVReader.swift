// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Reads comma-separated values piece by piece, so that a file of any size needs little memory.
///
/// Follows RFC 4180: fields may be quoted, a quote inside is doubled, a quoted field may hold line breaks. Lines end in LF,
/// CRLF or CR. Empty lines are skipped, and a byte order mark before a record, which files have that were put together.
/// Whatever is wrong with a record, the next one begins at the beginning of a line: the rest of a line might look like a
/// number. Takes UTF-8, see ``TextDecoder``.
public struct CSVReader: Sendable {
    /// One record.
    public struct Record: Sendable, Equatable {
        /// The line of the file on which the record starts, from 1.
        public let line: Int
        /// The fields.
        public let fields: [String]
        /// What makes the record unreadable, if anything.
        public let fault: String?
        /// How many lines of the file it takes.
        public let lines: Int

        /// Creates a record.
        /// - Parameters:
        ///   - line: The line of the file on which it starts, from 1.
        ///   - fields: The fields.
        ///   - fault: What makes it unreadable, if anything.
        ///   - lines: How many lines of the file it takes.
        public init(line: Int, fields: [String], fault: String? = nil, lines: Int = 1) {
            self.line = line
            self.fields = fields
            self.fault = fault
            self.lines = lines
        }

        /// Why the record is left out, and how much of the file with it.
        /// - Parameter reason: The reason.
        /// - Returns: Both.
        public func reject(_ reason: String) -> String {
            self.lines > 1 ? "\(reason) (takes \(self.lines) lines of the file)" : reason
        }
    }

    /// A record beyond this size means that a quote was never closed.
    public static let maximumRecordSize = 64 * 1024

    private let delimiter: UInt8
    private let encoding: String
    /// What has been read and is not in a record yet.
    private var pending: [UInt8] = []
    /// Where the next record begins in it.
    private var start = 0
    private var line = 1
    /// The rest of a line that is at fault is left out.
    private var skipsLine = false
    /// How many fields the first record has.
    private var width: Int?

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
        self.pending.removeFirst(self.start)
        self.start = 0
        self.pending.append(contentsOf: bytes)
        return self.scan(isEnd: false, limit: .max)
    }

    /// The file has ended.
    /// - Returns: The next of the records that are still to come: the last one, when no line break ended it, and those that
    ///   a quote seemed to hold; nil when there is none left.
    public mutating func finish() -> Record? {
        self.scan(isEnd: true, limit: 1).first
    }

    private mutating func scan(isEnd: Bool, limit: Int) -> [Record] {
        // Taken out and put back, so that the buffer has one owner.
        var bytes: [UInt8] = []
        swap(&bytes, &self.pending)
        defer { swap(&bytes, &self.pending) }
        return bytes.withUnsafeBufferPointer { self.records($0, isEnd, limit) }
    }

    private mutating func records(_ bytes: UnsafeBufferPointer<UInt8>, _ isEnd: Bool, _ limit: Int) -> [Record] {
        var records: [Record] = []
        while self.start < bytes.count, records.count < limit {
            let scan = CSVScan(
                bytes: bytes,
                delimiter: self.delimiter,
                encoding: self.encoding,
                isEnd: isEnd,
                width: self.width
            )
            if self.skipsLine {
                guard let end = scan.lineEnd(from: self.start) else {
                    // A line feed may follow the carriage return at the end.
                    self.start = bytes.count - (bytes.last == UInt8(ascii: "\r") ? 1 : 0)
                    break
                }
                self.skipsLine = false
                self.start = end
                self.line += 1
                continue
            }
            guard let found = scan.record(from: self.start) else { break }
            if !found.fields.isEmpty {
                records.append(
                    Record(line: self.line, fields: found.fields, fault: found.fault, lines: max(1, found.lines))
                )
                self.width = self.width ?? found.fields.count
            }
            self.start = found.next
            self.line += found.lines
            self.skipsLine = found.lines == 0
        }
        return records
    }
}
