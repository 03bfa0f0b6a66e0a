// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation

/// A CSV file on disk or a pipe, read piece by piece.
final class CSVFile {
    /// How it is to be read.
    struct Format: Sendable {
        /// Nil to go by the header.
        var delimiter: UInt8?
        /// Nil for UTF-8, unless a byte order mark says UTF-16.
        var encoding: TextDecoder.Encoding?
    }

    private static let pieceSize = 1 << 18

    let path: String
    /// In bytes; nil for what is no ordinary file.
    let size: Int?
    /// How many bytes have been read.
    private(set) var bytesRead = 0
    private let handle: FileHandle
    private let format: Format
    private var decoder: TextDecoder
    private var reader: CSVReader?
    /// What has been read while the delimiter was not known.
    private var beginning: [UInt8] = []
    private var isAtEnd = false

    init(path: String, format: Format = Format()) throws {
        self.path = path
        self.format = format
        self.decoder = TextDecoder(format.encoding)
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
            throw UsageFault("\(path): there is no such file")
        }
        guard !isDirectory.boolValue, let handle = FileHandle(forReadingAtPath: path) else {
            throw UsageFault("\(path): cannot be read")
        }
        self.handle = handle
        var status = stat()
        let isOrdinary = fstat(handle.fileDescriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        self.size = isOrdinary ? Int(status.st_size) : nil
    }

    /// Reads on.
    /// - Returns: The records of the next piece, possibly none; nil after the end.
    /// - Throws: When the file cannot be read on or decoded.
    func next() throws -> [CSVReader.Record]? {
        guard !self.isAtEnd else { return nil }
        if let piece = try self.handle.read(upToCount: Self.pieceSize), !piece.isEmpty {
            self.bytesRead += piece.count
            return self.read(try self.decode(piece))
        }
        self.isAtEnd = true
        let rest = self.decoder.finish()
        var records = self.read(rest)
        if let last = self.reader?.finish() { records.append(last) }
        return records
    }

    /// Reads all records.
    /// - Parameter body: Called with each record, in order.
    /// - Throws: What `body` throws, and when the file cannot be read on.
    func forEach(_ body: (CSVReader.Record) async throws -> Void) async throws {
        while let records = try self.next() {
            for record in records { try await body(record) }
        }
    }

    private func decode(_ piece: Data) throws -> [UInt8] {
        do {
            return try self.decoder.decode([UInt8](piece))
        } catch {
            throw UsageFault("\(self.path): \(error)")
        }
    }

    private func read(_ text: [UInt8]) -> [CSVReader.Record] {
        if self.reader != nil { return self.reader?.read(text) ?? [] }
        self.beginning += text
        if let delimiter = self.format.delimiter ?? CSVReader.delimiter(in: self.beginning) {
            self.start(delimiter)
        } else if self.beginning.count > CSVReader.maximumRecordSize || self.isAtEnd {
            self.start(CSVReader.delimiter(inWhole: self.beginning))
        }
        defer { if self.reader != nil { self.beginning = [] } }
        return self.reader?.read(self.beginning) ?? []
    }

    private func start(_ delimiter: UInt8) {
        self.reader = CSVReader(delimiter: delimiter, encoding: self.decoder.name)
    }
}
