// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// The time zones of countries, from the system's tz database.
///
/// Zones of a country whose clocks agree from now until two years ahead count as one, which is named after the first of
/// them in the database's table. The United States have eight like that, Germany has one.
public struct CountryZones: Sendable {
    /// Why the zones cannot be told.
    public struct Fault: Error, Sendable, CustomStringConvertible {
        /// The reason; names the file.
        public let description: String
    }

    /// Codes that numbering plans use and that the tz database has not, and the country whose clocks they follow:
    /// Ascension, Tristan da Cunha, Kosovo.
    private static let substitutes = ["AC": "SH", "TA": "SH", "XK": "RS"]
    private static let horizon = 2 * 366 * 86_400

    private let zones: [String: String]
    private let directory: String
    private let known: Set<String>?
    private let period: Range<Int>

    /// Reads the tables.
    /// - Parameters:
    ///   - directory: Where they are.
    ///   - known: The names that whoever gets them understands; nil for any.
    ///   - now: The beginning of the two years.
    /// - Throws: ``Fault`` when they are missing.
    public init(
        directory: String = "/usr/share/zoneinfo",
        known: Set<String>? = nil,
        now: Date = Date()
    ) throws(Fault) {
        let start = Int(now.timeIntervalSince1970)
        let period = start..<start + Self.horizon
        self.directory = directory
        self.known = known
        self.period = period
        var zones: [String: String] = [:]
        for (country, names) in try Self.table(directory) {
            zones[country] = Self.distinct(names, directory, known, period)
        }
        self.zones = zones
    }

    /// The countries that have a zone, ISO 3166 alpha-2.
    public var countries: Set<String> { Set(self.zones.keys) }

    /// The zones in which a number of a country may be.
    /// - Parameter country: ISO 3166 alpha-2.
    /// - Returns: One IANA name, or several in the order of their names with commas between; nil when none is known.
    public func zones(of country: String) -> String? {
        self.zones[country] ?? Self.substitutes[country].flatMap { self.zones[$0] }
    }

    /// Reads a zone's clocks anew: for whoever compares a few.
    /// - Parameter name: IANA.
    /// - Returns: nil when the tables have no such zone.
    func rules(of name: String) -> ZoneRules? { Self.rules(self.directory + "/" + name, self.period) }

    /// Whether whoever gets names understands this one.
    func isKnown(_ name: String) -> Bool { self.known?.contains(name) ?? true }

    private static func table(_ directory: String) throws(Fault) -> [String: [String]] {
        let files = ["zone.tab", "zone1970.tab"].map { directory + "/" + $0 }
        guard let text = files.lazy.compactMap({ try? String(contentsOfFile: $0, encoding: .utf8) }).first else {
            throw Fault(description: "\(files[0]): cannot be read; install the system's package tzdata")
        }
        var table: [String: [String]] = [:]
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            let columns = line.split(separator: "\t", omittingEmptySubsequences: false)
            guard columns.count >= 3 else { continue }
            for country in columns[0].split(separator: ",") {
                table[String(country), default: []].append(String(columns[2]))
            }
        }
        return table
    }

    /// - Returns: nil when the clocks of a part of the country have no name that is understood.
    private static func distinct(
        _ names: [String],
        _ directory: String,
        _ known: Set<String>?,
        _ period: Range<Int>
    ) -> String? {
        var seen: [ZoneRules: String] = [:]
        var chosen: [String] = []
        for name in names {
            let rules = names.count == 1 ? nil : Self.rules(directory + "/" + name, period)
            let isKnown = known?.contains(name) ?? true
            if let rules {
                if seen[rules, default: ""].isEmpty { seen[rules] = isKnown ? name : "" }
            } else if isKnown {
                chosen.append(name)
            } else {
                return nil
            }
        }
        guard !seen.values.contains("") else { return nil }
        return (chosen + seen.values).sorted().joined(separator: ",")
    }

    private static func rules(_ path: String, _ period: Range<Int>) -> ZoneRules? {
        guard let data = try? Data(contentsOf: URL(fileURLWithPath: path)) else { return nil }
        return ZoneRules(file: Array(data), period: period)
    }
}
