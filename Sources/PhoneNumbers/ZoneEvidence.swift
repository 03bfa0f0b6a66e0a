// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
import Synchronization

/// Tells the zones in which somebody may be by the number's prefix, or by a postal code.
///
/// Names of the same clocks are given as one: as the one that the contact has otherwise, so that lists can be compared.
public struct ZoneEvidence: Sendable {
    private enum Place: Hashable {
        case prefix(Int)
        case postalCode(Int)
        case region(String)
    }

    private struct Question: Hashable {
        let place: Place
        let own: String
    }

    /// What has been told before. An import asks the same again and again, and the answer takes reading files.
    private final class Memory: Sendable {
        let told = Mutex<[Question: String?]>([:])
    }

    /// Where postal codes are those of the United States.
    private static let postalRegions: Set<String> = ["US", "PR", "VI", "GU", "AS", "MP"]

    private let prefixes: ZonePrefixes
    private let countries: CountryZones
    private let memory = Memory()

    /// - Parameters:
    ///   - prefixes: What is known.
    ///   - countries: Whose names are given where clocks are the same.
    public init(prefixes: ZonePrefixes = .shipped, countries: CountryZones) {
        self.prefixes = prefixes
        self.countries = countries
    }

    /// The zones of a number by its prefix.
    /// - Parameters:
    ///   - number: The number.
    ///   - region: The number's country, by its plan.
    ///   - own: The zones that the contact has otherwise.
    /// - Returns: One name, or several in order with commas between; nil when the prefix says nothing.
    public func zones(of number: PhoneNumber, region: String?, beside own: String?) -> String? {
        // Countries share codes; a prefix of one says nothing of the other.
        guard let prefix = self.prefixes.prefix(of: number.e164), let area = self.prefixes.numbers[prefix],
            area.region == region
        else { return nil }
        return self.zones(area.zones, Question(place: .prefix(prefix), own: own ?? ""))
    }

    /// The zones of a United States postal code by its first three digits.
    /// - Parameters:
    ///   - postalCode: As it is written.
    ///   - region: The contact's country, by the file or else by the number. A Canadian number may be that of somebody who
    ///     has moved, and Canadian codes have letters.
    ///   - isOfNumber: Whether the country is the number's.
    ///   - own: The zones that the contact has otherwise.
    /// - Returns: As ``zones(of:region:beside:)``.
    public func zones(
        ofPostalCode postalCode: String,
        region: String?,
        isOfNumber: Bool,
        beside own: String?
    ) -> String? {
        guard let region, Self.postalRegions.contains(region) || isOfNumber && region == "CA",
            let prefix = ZonePrefixes.postalPrefix(postalCode), let zones = self.prefixes.postalCodes[prefix]
        else { return nil }
        return self.zones(zones, Question(place: .postalCode(prefix), own: own ?? ""))
    }

    /// The zones of a part of a country.
    /// - Parameters:
    ///   - part: ISO 3166-2, such as `US-TX`.
    ///   - own: The zones that the contact has otherwise.
    /// - Returns: As ``zones(of:region:beside:)``.
    /// - Throws: The reason, when the country's parts are known and this is none of them.
    public func zones(ofRegion part: String, beside own: String?) throws(RowFault) -> String? {
        guard let zones = self.prefixes.regions[part] else {
            guard !self.prefixes.dividedCountries.contains(String(part.prefix(2))) else {
                throw RowFault(reason: "region '\(part)' is no part of its country that is known (ISO 3166-2)")
            }
            return nil
        }
        return self.zones(zones, Question(place: .region(part), own: own ?? ""))
    }

    private func zones(_ names: [String], _ question: Question) -> String? {
        if let told = self.memory.told.withLock({ $0[question] }) { return told }
        let told = self.named(names, beside: question.own.split(separator: ",").map(String.init))
        self.memory.told.withLock { $0[question] = .some(told) }
        return told
    }

    /// - Returns: nil when a name is not understood and no other has its clocks: then the evidence is of no use.
    private func named(_ names: [String], beside own: [String]) -> String? {
        var found: Set<String> = []
        for name in names {
            if own.contains(name) {
                found.insert(name)
                continue
            }
            guard let rules = self.countries.rules(of: name) else { return nil }
            if let same = own.first(where: { self.countries.rules(of: $0) == rules }) {
                found.insert(same)
            } else if self.countries.isKnown(name) {
                found.insert(name)
            } else {
                return nil
            }
        }
        return found.sorted().joined(separator: ",")
    }
}
