// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation

/// A file of contacts that is read and checked chunk by chunk.
actor ContactFile {
    /// Some rows, in the order of the file.
    struct Chunk: Sendable {
        let rows: ContactCheck.Rows
        let read: Int
        /// The line on which the last row begins.
        let lastLine: Int
        let bytesRead: Int
    }

    /// About as many rows are committed at once: so many that a commit and its temporary table cost little per row, and so
    /// few that two chunks in memory are some ten megabytes.
    private static let chunkSize = 10_000
    /// Rows are checked by so many tasks at once. Tasks share one thread per processor, and the one that feeds the database
    /// must not wait for a thread: on two processors it did for a third of the time while two tasks checked.
    private static let checkers = max(1, min(4, ProcessInfo.processInfo.activeProcessorCount - 1))

    /// In bytes; nil for a pipe.
    nonisolated let size: Int?
    private let file: CSVFile
    private var check: ContactCheck?
    /// Records behind the header that were read with it.
    private var waiting: [CSVReader.Record] = []
    private var linesDone = 0

    init(path: String, format: CSVFile.Format) throws {
        self.file = try CSVFile(path: path, format: format)
        self.size = self.file.size
    }

    /// Reads the header, unless the options say what the columns are.
    /// - Throws: ``UsageFault`` when it cannot be used.
    func readHeader(_ options: FileOptions) throws -> ContactColumns {
        if let columns = try options.named(ContactColumns.init(order:)) { return columns }
        let map = try options.columns()
        while let records = try self.file.next() {
            guard let header = records.first else { continue }
            let place = "\(self.file.path):\(header.line): "
            if let fault = header.fault { throw UsageFault(place + "the header \(fault)") }
            self.waiting = Array(records.dropFirst())
            do {
                return try ContactColumns(header: header.fields, map: map, ignoresOthers: options.ignoreOtherColumns)
            } catch {
                throw UsageFault(place + "\(error)")
            }
        }
        throw UsageFault("\(self.file.path): is empty; its first line must name the columns")
    }

    /// - Parameters:
    ///   - check: What is asked of the rows.
    ///   - line: Rows up to this line are not wanted again.
    func begin(_ check: ContactCheck, after line: Int) {
        self.check = check
        self.linesDone = line
    }

    /// - Returns: The next rows; nil after the last.
    func next() async throws -> Chunk? {
        guard let check = self.check else { return nil }
        var records = self.wanted(self.waiting)
        self.waiting = []
        while records.count < Self.chunkSize, let more = try self.file.next() { records += self.wanted(more) }
        guard let last = records.last else { return nil }
        let bytesRead = self.file.bytesRead
        let rows = await Self.rows(records, check)
        return Chunk(rows: rows, read: records.count, lastLine: last.line, bytesRead: bytesRead)
    }

    private func wanted(_ records: [CSVReader.Record]) -> [CSVReader.Record] {
        guard let first = records.first, first.line <= self.linesDone else { return records }
        return records.filter { $0.line > self.linesDone }
    }

    private static func rows(_ records: [CSVReader.Record], _ check: ContactCheck) async -> ContactCheck.Rows {
        let size = max(1, (records.count + Self.checkers - 1) / Self.checkers)
        let starts = Array(stride(from: 0, to: records.count, by: size))
        return await withTaskGroup(of: (Int, ContactCheck.Rows).self) { group in
            for start in starts {
                let part = records[start..<min(start + size, records.count)]
                group.addTask { (start, check.rows(part)) }
            }
            var parts: [Int: ContactCheck.Rows] = [:]
            for await (start, rows) in group { parts[start] = rows }
            var all = ContactCheck.Rows()
            for start in starts { if let rows = parts[start] { all.append(rows) } }
            return all
        }
    }
}
