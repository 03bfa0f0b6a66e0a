// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The ledger as a file: one JSON line whenever an entry changes, the last line of an entry counts.
final class LedgerFile {
    private let handle: FileHandle

    init(path: String) throws {
        guard FileManager.default.createFile(atPath: path, contents: nil),
            let handle = FileHandle(forWritingAtPath: path)
        else { throw ScenarioError(faults: ["ledger_file: \(path) cannot be written"]) }
        self.handle = handle
    }

    func write(_ entry: LedgerCall) {
        guard var line = try? Ledger.encode(entry) else { return }
        line.append(0x0A)
        try? self.handle.write(contentsOf: line)
    }
}
