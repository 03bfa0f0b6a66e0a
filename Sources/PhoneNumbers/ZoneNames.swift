// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
import Foundation

/// Reads names of time zones as people write them: in another case, with spaces, or the name that a zone had before.
public struct ZoneNames: Sendable {
    /// What the tz database gave up, and what lists still hold. Source: its NEWS, releases 2020b and 2013.
    private static let removed = ["us/pacific-new": "America/Los_Angeles", "america/montreal": "America/Toronto"]

    private let known: Set<String>
    private let byLowerCase: [String: String]
    /// Names of the same clocks, one the other's former name, by each of them in lower case.
    private let relatives: [String: [String]]

    /// - Parameters:
    ///   - known: The names that whoever gets them understands.
    ///   - directory: Where the tz database is; without it, former names are not known.
    public init(known: Set<String>, directory: String = "/usr/share/zoneinfo") {
        self.known = known
        self.byLowerCase = Dictionary(known.map { ($0.lowercased(), $0) }, uniquingKeysWith: min)
        var groups: [String: [String]] = [:]
        let text = (try? String(contentsOfFile: directory + "/tzdata.zi", encoding: .utf8)) ?? ""
        for line in text.split(separator: "\n") where line.hasPrefix("L ") {
            let names = line.split(separator: " ").dropFirst().map(String.init)
            guard names.count == 2 else { continue }
            groups[names[0], default: [names[0]]].append(names[1])
        }
        var relatives: [String: [String]] = [:]
        for group in groups.values { for name in group { relatives[name.lowercased()] = group } }
        self.relatives = relatives
    }

    /// Reads a name.
    /// - Parameter text: What stands in a file.
    /// - Returns: The name that is understood.
    /// - Throws: The reason why there is none, and the likely right one.
    public func name(_ text: String) throws(RowFault) -> String {
        if self.known.contains(text) { return text }
        let word = text.lowercased().replacing(" ", with: "_")
        let names = [word] + [Self.removed[word]].compactMap(\.self) + (self.relatives[word] ?? [])
        for name in names {
            if let found = self.byLowerCase[name.lowercased()] { return found }
        }
        let likely = self.known.filter { $0.lowercased().hasSuffix("/" + word) }
        let advice = likely.count == 1 ? "; is it \(likely.first ?? "")?" : ""
        throw RowFault(
            reason: "time_zone '\(text.prefix(60))' is not an IANA time zone that the database knows\(advice)"
        )
    }
}
