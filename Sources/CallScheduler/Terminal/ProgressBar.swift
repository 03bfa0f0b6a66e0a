// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// How far an import has come, on one line of standard error, if that is a terminal.
struct ProgressBar {
    private struct Mark {
        let bytes: Int
        let rows: Int
        let time: ContinuousClock.Instant
    }

    private static let width = 30

    /// Bytes in all; nil when that is not known.
    private let total: Int?
    private let isShown = isatty(STDERR_FILENO) == 1
    /// Where speed is counted from: the first rows, because an interrupted import skips much of the file at once.
    private var first: Mark?

    /// - Parameter total: The size of the file in bytes; nil when that is not known.
    init(total: Int?) {
        self.total = total
    }

    /// - Parameters:
    ///   - bytes: How much of the file is read.
    ///   - rows: How many rows are done.
    mutating func show(bytes: Int, rows: Int) {
        guard self.isShown else { return }
        let mark = Mark(bytes: bytes, rows: rows, time: .now)
        var text = "\(rows) rows"
        if let total = self.total, total > 0 { text = Self.bar(Double(bytes) / Double(total)) + text }
        if let first = self.first {
            let seconds = max(0.001, (mark.time - first.time) / .seconds(1))
            text += ", \(Int(Double(rows - first.rows) / seconds)) rows/s"
            if let total = self.total, bytes > first.bytes {
                let left = seconds * Double(max(0, total - bytes)) / Double(bytes - first.bytes)
                text += ", \(Int(left.rounded(.up))) s left"
            }
        } else {
            self.first = mark
        }
        FileHandle.standardError.write(Data("\r\(text)\u{1B}[K".utf8))
    }

    /// Leaves the line empty.
    func clear() {
        if self.isShown { FileHandle.standardError.write(Data("\r\u{1B}[K".utf8)) }
    }

    private static func bar(_ share: Double) -> String {
        let filled = Int(min(1, share) * Double(Self.width))
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: Self.width - filled)
        return "[\(bar)] \(Int(min(1, share) * 100)) %  "
    }
}
