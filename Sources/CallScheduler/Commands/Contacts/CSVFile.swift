// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import ContactFiles
import Foundation

/// A CSV file on disk or a pipe, read piece by piece.
final class CSVFile {
    /// How it is to be read.
    struct Format: Sendable {
        /// Nil to go by the header.
        var delimiter: UInt8?
        /// Nil for UTF-8, unless the file's beginning shows UTF-16.
        var encoding: TextDecoder.Encoding?
        /// Whether the first row names the columns.
        var hasHeader = true
    }

    private static let pieceSize = 1 << 18

    let path: String
    /// In bytes; nil for what is no ordinary file.
    let size: Int?
    /// How many bytes have been read.
    private(set) var bytesRead = 0
    private let handle: FileHandle
    private var table: CSVTable
    private var isAtEnd = false

    init(path: String, format: Format = Format()) throws {
        self.path = path
        self.table = CSVTable(delimiter: format.delimiter, encoding: format.encoding, hasHeader: format.hasHeader)
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
            do {
                return try self.table.read([UInt8](piece))
            } catch {
                throw UsageFault("\(self.path): \(error)")
            }
        }
        self.isAtEnd = true
        return self.table.finish()
    }

    /// Reads all records.
    /// - Parameter body: Called with each record, in order.
    /// - Throws: What `body` throws, and when the file cannot be read on.
    func forEach(_ body: (CSVReader.Record) async throws -> Void) async throws {
        while let records = try self.next() {
            for record in records { try await body(record) }
        }
    }
}
