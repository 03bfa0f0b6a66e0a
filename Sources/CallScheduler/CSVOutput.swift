// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

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
