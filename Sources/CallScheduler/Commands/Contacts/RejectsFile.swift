// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation

/// The rows that an import could not use: written as FILE.part, which becomes FILE when the import is done.
final class RejectsFile {
    let path: String
    /// How long the file is, with what is about to be written.
    private(set) var size: Int
    private let isForSpreadsheets: Bool
    private var handle: FileHandle?
    private var buffer: [UInt8] = []

    private var part: String { self.path + ".part" }

    /// - Parameters:
    ///   - path: Where it will be.
    ///   - kept: How much of an interrupted import's file is to be kept, in bytes.
    ///   - options: For whom it is written.
    /// - Throws: ``UsageFault`` when it cannot be opened.
    init(path: String, kept: Int, _ options: SpreadsheetOptions) throws {
        self.path = path
        self.isForSpreadsheets = options.forSpreadsheets
        self.size = kept
        guard kept > 0 else { return }
        // The import was interrupted between giving the file its name and saying so.
        if !FileManager.default.fileExists(atPath: self.part) { rename(path, self.part) }
        guard let handle = FileHandle(forUpdatingAtPath: self.part), try handle.seekToEnd() >= kept else {
            Console.note("\(self.part) is gone, and with it the rejects of the rows that are done")
            self.size = 0
            return
        }
        // What came after the last checkpoint comes again.
        try handle.truncate(atOffset: UInt64(kept))
        self.handle = handle
    }

    /// Takes a row; nothing is written before ``flush()``.
    func add(line: Int, reason: String, fields: [String]) {
        if self.size == 0 { self.append(["line", "reason", "row"]) }
        self.append([String(line), reason, fields.joined(separator: ",")])
    }

    /// Writes what has been added, and waits until it is on the disk.
    func flush() throws {
        guard !self.buffer.isEmpty else { return }
        if self.handle == nil {
            guard FileManager.default.createFile(atPath: self.part, contents: nil) else {
                throw UsageFault("\(self.path): cannot be written")
            }
            self.handle = FileHandle(forWritingAtPath: self.part)
        }
        try self.handle?.write(contentsOf: Data(self.buffer))
        try self.handle?.synchronize()
        self.buffer.removeAll(keepingCapacity: true)
    }

    /// Gives the file its name.
    /// - Returns: The path; nil when nothing was rejected.
    func close() throws -> String? {
        try self.flush()
        guard let handle = self.handle else { return nil }
        try handle.close()
        if rename(self.part, self.path) != 0 { throw UsageFault("\(self.path): cannot be written") }
        return self.path
    }

    private func append(_ fields: [String]) {
        let cells = self.isForSpreadsheets ? fields.map(SpreadsheetCell.harmless) : fields
        let line = Array((cells.map(Self.quoted).joined(separator: ",") + "\n").utf8)
        self.buffer += line
        self.size += line.count
    }

    private static func quoted(_ field: String) -> String {
        guard field.utf8.contains(where: { [0x22, 0x2C, 0x0A, 0x0D].contains($0) }) else { return field }
        return "\"" + field.replacing("\"", with: "\"\"") + "\""
    }
}
