// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// A part of the week over which attempts are spread, such as weekday evenings, so that nobody is tried again and again
/// at the hour at which nobody is at home.
public struct DayPart: Sendable, Hashable, CustomStringConvertible {
    /// What it is called, 1 to 40 characters.
    public let name: String
    /// When it is, in the contact's local time.
    public var week: CallingWeek
    /// Attempts of one contact within it, at most, 1 to 15; nil for as many as the campaign allows.
    public var attempts: Int?

    /// Creates a part.
    /// - Parameters:
    ///   - name: Its name.
    ///   - week: When it is.
    ///   - attempts: Attempts within it, at most.
    public init(name: String, week: CallingWeek, attempts: Int?) {
        self.name = name
        self.week = week
        self.attempts = attempts
    }

    /// Reads parts like `evening=1-5 17:00-20:00`, or with a maximum of attempts `evening:2=1-5 17:00-20:00`. A name that
    /// comes again adds windows to its part.
    /// - Parameter texts: The parts.
    /// - Returns: The parts in the order of their names' first mention.
    /// - Throws: ``LocalTimeWindow/Fault`` that names the part.
    public static func parse(_ texts: [String]) throws(LocalTimeWindow.Fault) -> [DayPart] {
        var names: [String] = []
        var windows: [String: [String]] = [:]
        var maxima: [String: Int] = [:]
        for text in texts {
            let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
            let head = (parts.first ?? "").split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2, 1...2 ~= head.count, 1...40 ~= head[0].count else {
                throw LocalTimeWindow.Fault(reason: "'\(text)' is not a part like evening=1-5 17:00-20:00")
            }
            if head.count == 2 {
                guard let maximum = Int(head[1]), 1...15 ~= maximum else {
                    throw LocalTimeWindow.Fault(reason: "'\(text)': '\(head[1])' is not a number of attempts, 1…15")
                }
                maxima[head[0]] = maximum
            }
            if windows[head[0]] == nil { names.append(head[0]) }
            windows[head[0], default: []].append(parts[1])
        }
        var result: [DayPart] = []
        for name in names {
            let week = try CallingWeek(windows: windows[name] ?? [], weekdays: Array(1...7))
            result.append(DayPart(name: name, week: week, attempts: maxima[name]))
        }
        return result
    }

    /// As people say it.
    public var description: String {
        "\(self.name): \(self.week)" + (self.attempts.map { " (\($0) attempts at most)" } ?? "")
    }
}

extension DayPart: Codable {
    private enum CodingKeys: String, CodingKey {
        case name
        case week
        case attempts
    }

    /// Reads a part as it is stored.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.name = try container.decode(String.self, forKey: .name)
        self.week = try CallingWeek(multirange: container.decode(String.self, forKey: .week))
        self.attempts = try container.decodeIfPresent(Int.self, forKey: .attempts)
    }

    /// Writes a part as it is stored.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(self.name, forKey: .name)
        try container.encode(self.week.multirange, forKey: .week)
        try container.encodeIfPresent(self.attempts, forKey: .attempts)
    }
}
