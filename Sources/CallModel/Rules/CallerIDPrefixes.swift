// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Which numbers may be shown as the caller's, by how they begin.
public struct CallerIDPrefixes: Sendable, Equatable {
    /// One country's numbers.
    public struct Country: Sendable, Equatable {
        /// ISO 3166-1.
        public let country: String
        /// How numbers begin that may be shown; they are exceptions to shorter ones in ``forbidden``.
        public let allowed: [String]
        /// How numbers begin that may not.
        public let forbidden: [String]
    }

    /// The countries in the document's order.
    public let countries: [Country]

    /// What speaks against a number as caller ID: of all prefixes that it begins with the longest decides, and a number that
    /// begins with none may be shown.
    /// - Parameter number: The number.
    /// - Returns: The reason, without the number; nil when it may be shown.
    public func fault(of number: PhoneNumber) -> String? {
        var longest: (prefix: String, country: Country)?
        for country in self.countries {
            for prefix in country.allowed + country.forbidden
            where number.e164.hasPrefix(prefix) && prefix.count > longest?.prefix.count ?? 0 {
                longest = (prefix, country)
            }
        }
        guard let (prefix, country) = longest, country.forbidden.contains(prefix) else { return nil }
        let others = country.allowed.isEmpty ? "" : "; those of \(country.allowed.joined(separator: ", ")) may"
        return "numbers of \(country.country) that begin with \(prefix) may not be shown\(others)"
    }
}

extension CallerIDPrefixes: CustomStringConvertible {
    /// One line for people.
    public var description: String {
        self.countries.map { country in
            [
                country.forbidden.isEmpty ? nil : "not \(country.forbidden.joined(separator: ", "))",
                country.allowed.isEmpty
                    ? nil
                    : (country.forbidden.isEmpty ? "" : "but ") + country.allowed.joined(separator: ", "),
            ].compactMap(\.self).reduce(country.country + ":") { $0 + " " + $1 }
        }.joined(separator: "; ")
    }
}
