// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Local dates on which nobody is called, as they are written.
public enum BlockedDates {
    /// Reads one date.
    /// - Parameter text: `YYYY-MM-DD`, or as iCalendar writes it, `YYYYMMDD`.
    /// - Returns: The date as `YYYY-MM-DD`; nil when there is no such date.
    public static func date(_ text: some StringProtocol) -> String? {
        let digits = String(text.filter { $0 != "-" })
        guard digits.count == 8, digits.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), [0, 2].contains(text.count - 8),
            let year = Int(digits.prefix(4)), let month = Int(digits.dropFirst(4).prefix(2)),
            let day = Int(digits.suffix(2)), 1...12 ~= month, day >= 1, day <= Self.length(of: month, in: year)
        else { return nil }
        return "\(digits.prefix(4))-\(digits.dropFirst(4).prefix(2))-\(digits.suffix(2))"
    }

    private static func length(of month: Int, in year: Int) -> Int {
        let isLeap = year.isMultiple(of: 4) && !year.isMultiple(of: 100) || year.isMultiple(of: 400)
        return [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
    }
}
