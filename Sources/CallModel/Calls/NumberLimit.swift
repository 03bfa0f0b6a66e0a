// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// How often one number may be called within a period, over all campaigns, or how long it rests after an outcome.
public struct NumberLimit: Sendable, Codable, Hashable, CustomStringConvertible {
    /// So many attempts within the period are the most, 1 to 100.
    public let attempts: Int
    /// The period, 1 to 8,784 hours; it rolls.
    public let hours: Int
    /// Only attempts that ended like this count; nil for all.
    public let outcomes: [CallOutcome]?

    /// Reads `3/24h` or `7/7d`: attempts per period.
    /// - Parameter text: The limit.
    /// - Throws: ``Fault``.
    public init(attemptsPer text: String) throws(Fault) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let attempts = Int(parts[0]), 1...100 ~= attempts,
            let hours = Self.hours(parts[1])
        else { throw Fault(reason: "'\(text)' is not a number of attempts and a period, like 3/24h or 7/7d") }
        self.attempts = attempts
        self.hours = hours
        self.outcomes = nil
    }

    /// Reads `completed=7d`: how long a number rests after an outcome.
    /// - Parameter text: The rest.
    /// - Throws: ``Fault``.
    public init(restAfter text: String) throws(Fault) {
        let parts = text.split(separator: "=", omittingEmptySubsequences: false)
        guard parts.count == 2, let outcome = CallOutcome(rawValue: String(parts[0])), let hours = Self.hours(parts[1])
        else { throw Fault(reason: "'\(text)' is not an outcome and a period, like completed=7d or refused=60d") }
        self.attempts = 1
        self.hours = hours
        self.outcomes = [outcome]
    }

    init(attempts: Int, hours: Int, outcomes: [CallOutcome]?) {
        self.attempts = attempts
        self.hours = hours
        self.outcomes = outcomes
    }

    private static func hours(_ text: Substring) -> Int? {
        guard let unit = text.last, let value = Int(text.dropLast()), 1...8784 ~= value else { return nil }
        switch unit {
        case "h": return value
        case "d" where value <= 366: return value * 24
        default: return nil
        }
    }

    /// As people say it.
    public var description: String {
        let period = self.hours.isMultiple(of: 24) && self.hours > 24 ? "\(self.hours / 24) d" : "\(self.hours) h"
        guard let outcomes = self.outcomes else { return "\(self.attempts) per \(period)" }
        return "rests \(period) after \(outcomes.map(\.rawValue).joined(separator: " or "))"
    }

    /// Why a text is not a limit.
    public struct Fault: Error, Sendable, CustomStringConvertible {
        /// The reason.
        public let reason: String
        /// The reason.
        public var description: String { self.reason }
    }
}
