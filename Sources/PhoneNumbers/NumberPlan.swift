// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CPhoneNumber
public import CallModel

/// Reads telephone numbers as people write them, and tells where they belong, by libphonenumber's tables.
///
/// The tables are as old as the library. A range that was assigned since then is not in them.
public struct NumberPlan: Sendable {
    /// A number and what is known about it.
    public struct Entry: Sendable, Hashable {
        /// The number.
        public let phoneNumber: PhoneNumber
        /// Its country, ISO 3166 alpha-2; nil for a number of no country, such as +800. An unassigned number of a country
        /// code that several countries share gets the main one.
        public let region: String?
        /// Whether it lies in an assigned range.
        public let isAssigned: Bool
    }

    /// Why a text cannot be used, worded to follow "phone_number".
    public struct Fault: Error, Sendable, Equatable, CustomStringConvertible {
        /// The reason; never holds the number.
        public let reason: String
        /// The reason.
        public var description: String { self.reason }
    }

    /// All countries that the library knows, ISO 3166 alpha-2, and AC, TA and XK.
    public static let regions: Set<String> = {
        var names = [(CChar, CChar, CChar, CChar)](repeating: (0, 0, 0, 0), count: 512)
        let count = cphone_regions(&names, names.count)
        return Set(names.prefix(count).map { Self.text(of: $0) })
    }()

    private let country: String?
    private let allowsUnassigned: Bool

    /// - Parameters:
    ///   - country: Where numbers without a country code belong, ISO 3166 alpha-2; nil refuses those.
    ///   - allowsUnassigned: Whether to take a number that is possible, though in no assigned range.
    /// - Throws: ``Fault`` when the country is not known.
    public init(country: String? = nil, allowsUnassigned: Bool = false) throws(Fault) {
        let country = country?.uppercased()
        if let country, !Self.regions.contains(country) {
            throw Fault(reason: "'\(country.prefix(20))' is not a country code such as DE (ISO 3166 alpha-2)")
        }
        self.country = country
        self.allowsUnassigned = allowsUnassigned
    }

    /// Reads one number.
    /// - Parameter text: The number, E.164, or as it is written or dialed in the plan's country.
    /// - Returns: The number.
    /// - Throws: ``Fault`` with the reason.
    public func entry(_ text: String) throws(Fault) -> Entry {
        guard !text.isEmpty else { throw Fault(reason: "is empty") }
        var text = text
        var number = cphone_number()
        let status = text.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { characters in
                cphone_parse(characters.baseAddress, characters.count, self.country, &number)
            }
        }
        let region = Self.text(of: number.region)
        switch status {
        case CPHONE_VALID: return try Self.entry(number, region, isAssigned: true)
        case CPHONE_UNASSIGNED where self.allowsUnassigned: return try Self.entry(number, region, isAssigned: false)
        default: throw Fault(reason: self.reason(status, region))
        }
    }

    private static func entry(_ number: cphone_number, _ region: String, isAssigned: Bool) throws(Fault) -> Entry {
        let phoneNumber: PhoneNumber
        do {
            phoneNumber = try PhoneNumber(Self.text(of: number.e164))
        } catch {
            throw Fault(reason: error.reason)
        }
        let isCountry = region.utf8.allSatisfy { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) }
        return Entry(
            phoneNumber: phoneNumber,
            region: isCountry && !region.isEmpty ? region : nil,
            isAssigned: isAssigned
        )
    }

    private func reason(_ status: cphone_status, _ region: String) -> String {
        let place = region.isEmpty || region == "001" ? "" : " in \(region)"
        return switch status {
        case CPHONE_UNASSIGNED:
            "is possible\(place), but in no range that libphonenumber knows to be assigned; "
                + "--allow-unassigned takes such numbers"
        case CPHONE_NO_COUNTRY: "does not start with + and a country code; --country says where it belongs"
        case CPHONE_UNKNOWN_COUNTRY_CODE: "has a country code that does not exist"
        case CPHONE_TOO_SHORT: "is too short\(place)"
        case CPHONE_TOO_LONG: "is too long\(place)"
        case CPHONE_WRONG_LENGTH: "has a number of digits that does not occur\(place)"
        case CPHONE_LOCAL_ONLY: "lacks its area code\(place)"
        case CPHONE_HAS_EXTENSION: "has an extension, which cannot be dialed"
        case CPHONE_HAS_LETTERS: "has letters"
        case CPHONE_FAILED: "cannot be read by libphonenumber"
        default: "is not a phone number"
        }
    }

    /// The text of a C array of characters, up to its zero byte.
    private static func text<Array>(of array: Array) -> String {
        withUnsafeBytes(of: array) { bytes in String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
