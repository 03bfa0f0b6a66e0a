// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// How long consent counts, as ISO 8601 writes a period of one unit: `P2Y`, `P6M`, `P90D`.
public struct ConsentPeriod: Sendable, Equatable {
    /// The period as it is written.
    public let text: String
    private let count: Int
    private let unit: String

    /// Reads a period; nil when it is none, or longer than 99 years.
    /// - Parameter text: The text.
    public init?(_ text: String) {
        guard let match = text.wholeMatch(of: /P([1-9]\d{0,4})([YMD])/), let count = Int(match.1) else { return nil }
        let (most, unit) =
            switch match.2 {
            case "Y": (99, "year")
            case "M": (1188, "month")
            default: (36_135, "day")
            }
        guard count <= most else { return nil }
        self.text = text
        self.count = count
        self.unit = unit
    }
}

extension ConsentPeriod: CustomStringConvertible {
    /// For people.
    public var description: String { "\(self.count) \(self.unit)\(self.count == 1 ? "" : "s")" }
}
