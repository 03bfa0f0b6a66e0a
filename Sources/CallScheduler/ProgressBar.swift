// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// How far an import has come, on one line of standard error, if that is a terminal.
struct ProgressBar {
    private static let width = 30

    /// Bytes in all; nil when that is not known.
    private let total: Int?
    private let rowsBefore: Int
    private let start = ContinuousClock.now
    private let isShown = isatty(STDERR_FILENO) == 1

    /// - Parameters:
    ///   - total: The size of the file in bytes; nil when that is not known.
    ///   - done: Rows that an earlier run has done.
    init(total: Int?, done: Int) {
        self.total = total
        self.rowsBefore = done
    }

    /// - Parameters:
    ///   - bytes: How much of the file is read.
    ///   - rows: How many rows are done.
    func show(bytes: Int, rows: Int) {
        guard self.isShown else { return }
        let seconds = max(0.001, (ContinuousClock.now - self.start) / .seconds(1))
        let text = Self.text(
            bytes: bytes,
            of: self.total,
            rows: rows,
            rowsNow: rows - self.rowsBefore,
            seconds: seconds
        )
        FileHandle.standardError.write(Data("\r\(text)\u{1B}[K".utf8))
    }

    /// Leaves the line empty.
    func clear() {
        if self.isShown { FileHandle.standardError.write(Data("\r\u{1B}[K".utf8)) }
    }

    private static func text(bytes: Int, of total: Int?, rows: Int, rowsNow: Int, seconds: Double) -> String {
        let speed = "\(rows) rows, \(Int(Double(rowsNow) / seconds)) rows/s"
        guard let total, total > 0 else { return speed }
        let share = min(1, Double(bytes) / Double(total))
        let filled = Int(share * Double(Self.width))
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: Self.width - filled)
        let left = Int((seconds / max(share, 0.001) * (1 - share)).rounded(.up))
        return "[\(bar)] \(Int(share * 100)) %  \(speed), \(left) s left"
    }
}
