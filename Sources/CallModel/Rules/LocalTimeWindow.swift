// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// A daily window in local time, half-open; when the start is after the end it crosses midnight.
public struct LocalTimeWindow: Sendable, Hashable, CustomStringConvertible {
    /// Minutes after midnight at which the window opens, 0…1439.
    public let startMinute: Int
    /// Minutes after midnight at which the window closes, 0…1439.
    public let endMinute: Int

    /// 09:00 to 20:00.
    public static let standard = LocalTimeWindow(uncheckedStart: 540, end: 1200)

    private init(uncheckedStart start: Int, end: Int) {
        self.startMinute = start
        self.endMinute = end
    }

    /// Reads `HH:MM-HH:MM`.
    /// - Parameter text: The window.
    /// - Throws: ``Fault`` when the text is not two different times of day.
    public init(_ text: String) throws(Fault) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let start = Self.minutes(parts[0]), let end = Self.minutes(parts[1]) else {
            throw Fault(reason: "'\(text)' is not a window like 09:00-20:00")
        }
        guard start != end else { throw Fault(reason: "'\(text)' is empty: it opens and closes at the same time") }
        self.init(uncheckedStart: start, end: end)
    }

    private static func minutes(_ text: Substring) -> Int? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ $0.count == 2 }),
            let hour = Int(parts[0]), let minute = Int(parts[1]),
            0...23 ~= hour, 0...59 ~= minute
        else { return nil }
        return hour * 60 + minute
    }

    private static func text(_ minutes: Int) -> String {
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return two(minutes / 60) + ":" + two(minutes % 60)
    }

    /// The opening time as `HH:MM`.
    public var startText: String { Self.text(self.startMinute) }
    /// The closing time as `HH:MM`.
    public var endText: String { Self.text(self.endMinute) }
    /// The window as `HH:MM-HH:MM`.
    public var description: String { self.startText + "-" + self.endText }

    /// Why a text is not a window.
    public struct Fault: Error, Sendable, CustomStringConvertible {
        /// The reason.
        public let reason: String
        /// The reason.
        public var description: String { self.reason }
    }
}
