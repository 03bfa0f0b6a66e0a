// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Cells of files that people open in spreadsheets, which run what looks like a formula.
///
/// An apostrophe in front makes a cell text. Whatever had apostrophes there already gets one more, so that taking one away
/// always gives back what was there.
public enum SpreadsheetCell {
    /// Also in full width, which spreadsheets of East Asia take for the same.
    private static let starters: Set<Character> = ["=", "+", "-", "@", "\t", "\r", "\n", "\r\n", "＝", "＋", "－", "＠"]

    /// - Parameter cell: A cell's text.
    /// - Returns: It as a spreadsheet shows it and does not run it.
    public static func harmless(_ cell: String) -> String {
        Self.isRun(cell[...]) ? "'" + cell : cell
    }

    /// - Parameter cell: A cell's text, from whatever file.
    /// - Returns: What ``harmless(_:)`` has been given.
    public static func original(_ cell: String) -> String {
        guard cell.utf8.first == UInt8(ascii: "'"), Self.isRun(cell[...]) else { return cell }
        return String(cell.dropFirst())
    }

    private static func isRun(_ cell: Substring) -> Bool {
        // The common case: a letter, or a digit.
        guard let first = cell.utf8.first, first < 0x30 || first > 0x39 else { return false }
        var rest = cell.drop { $0 == "'" }
        while let next = rest.first {
            if Self.starters.contains(next) { return true }
            guard next.isWhitespace else { return false }
            rest.removeFirst()
        }
        return false
    }
}
