// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import Foundation

/// For whom a file is written.
struct SpreadsheetOptions: ParsableArguments {
    @Flag(
        help: ArgumentHelp(
            "Write an apostrophe before each cell that a spreadsheet would run as a formula, +49… among them.",
            discussion: "For files that people open in a spreadsheet. Imports take the apostrophe off again."
        )
    )
    var forSpreadsheets = false
}

/// A CSV file that is written record by record and appears under its name only when it is whole.
final class CSVOutput {
    private let path: String?
    private let handle: FileHandle
    private let isForSpreadsheets: Bool

    /// Writes to standard output, which others read on the way.
    init(_ options: SpreadsheetOptions) {
        self.path = nil
        self.isForSpreadsheets = options.forSpreadsheets
        self.handle = .standardOutput
    }

    init(path: String, _ options: SpreadsheetOptions) throws {
        self.path = path
        self.isForSpreadsheets = options.forSpreadsheets
        guard FileManager.default.createFile(atPath: path + ".part", contents: nil),
            let handle = FileHandle(forWritingAtPath: path + ".part")
        else {
            throw UsageFault("\(path): cannot be written")
        }
        self.handle = handle
    }

    func write(_ fields: [String]) throws {
        let cells = self.isForSpreadsheets ? fields.map(SpreadsheetCell.harmless) : fields
        let line = cells.map(Self.quoted).joined(separator: ",") + "\n"
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
