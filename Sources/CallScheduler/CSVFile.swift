// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation

/// A CSV file on disk, read record by record.
struct CSVFile {
    let path: String
    private let handle: FileHandle

    init(path: String) throws {
        self.path = path
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
            throw UsageFault("\(path): there is no such file")
        }
        guard !isDirectory.boolValue, let handle = FileHandle(forReadingAtPath: path) else {
            throw UsageFault("\(path): cannot be read")
        }
        self.handle = handle
    }

    /// Reads all records.
    /// - Parameter body: Called with each record, in order.
    /// - Throws: What `body` throws, and when the file cannot be read on.
    func forEach(_ body: (CSVReader.Record) async throws -> Void) async throws {
        var reader = CSVReader()
        while let piece = try self.handle.read(upToCount: 1 << 16), !piece.isEmpty {
            for record in reader.read(piece) { try await body(record) }
        }
        if let record = reader.finish() { try await body(record) }
    }
}

/// A CSV file that is written record by record and appears under its name only when it is whole.
final class CSVOutput {
    private let path: String?
    private let handle: FileHandle

    /// Writes to standard output, which others read on the way.
    init() {
        self.path = nil
        self.handle = .standardOutput
    }

    init(path: String) throws {
        self.path = path
        guard FileManager.default.createFile(atPath: path + ".part", contents: nil),
            let handle = FileHandle(forWritingAtPath: path + ".part")
        else {
            throw UsageFault("\(path): cannot be written")
        }
        self.handle = handle
    }

    func write(_ fields: [String]) throws {
        let line = fields.map(Self.quoted).joined(separator: ",") + "\n"
        try self.handle.write(contentsOf: Data(line.utf8))
    }

    func write(line: Data) throws {
        try self.handle.write(contentsOf: line + Data("\n".utf8))
    }

    func close() throws {
        guard let path = self.path else { return }
        try self.handle.close()
        if rename(path + ".part", path) != 0 { throw UsageFault("\(path): cannot be written") }
    }

    /// Gives up: nothing is left behind.
    func discard() {
        guard let path = self.path else { return }
        try? self.handle.close()
        try? FileManager.default.removeItem(atPath: path + ".part")
    }

    private static func quoted(_ field: String) -> String {
        // Over bytes: exports have tens of millions of fields.
        let isPlain = field.utf8.allSatisfy { $0 != 0x2C && $0 != 0x22 && $0 != 0x0A && $0 != 0x0D }
        guard !isPlain else { return field }
        return "\"" + field.replacing("\"", with: "\"\"") + "\""
    }
}
