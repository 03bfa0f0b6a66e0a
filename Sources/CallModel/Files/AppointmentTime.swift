// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// A time at which somebody wants to be called, as people write it: `2026-12-03T18:30`, at the person's place, or with an
/// offset, `2026-12-03T18:30+01:00` or `…Z`.
public struct AppointmentTime: Sendable, Equatable {
    /// The time, in ISO 8601.
    public let text: String
    /// Whether it has no offset.
    public let isLocal: Bool

    /// Reads a time; nil when there is no such time.
    /// - Parameter text: The text.
    public init?(_ text: String) {
        let pattern = /(\d{4}-\d{2}-\d{2})[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?/
        guard let match = text.uppercased().wholeMatch(of: pattern), let date = BlockedDates.date(match.1),
            let hour = Int(match.2), let minute = Int(match.3), hour < 24, minute < 60
        else { return nil }
        let offset = match.5.map(String.init) ?? ""
        let digits = offset.filter(\.isNumber)
        guard digits.isEmpty || (Int(digits.prefix(2)) ?? 99) <= 14 && (Int(digits.suffix(2)) ?? 99) < 60 else {
            return nil
        }
        self.text = "\(date)T\(match.2):\(match.3):00\(offset)"
        self.isLocal = offset.isEmpty
    }
}
