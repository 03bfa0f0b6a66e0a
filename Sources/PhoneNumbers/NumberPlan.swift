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
        /// Whether the library's tables may be too old to know the number: a number plan can have grown since.
        public var mayBeNewer = false
        /// The reason.
        public var description: String { self.reason }
    }

    /// All countries that the library knows, ISO 3166 alpha-2, and AC, TA and XK.
    public static let regions: Set<String> = {
        var names = [(CChar, CChar, CChar, CChar)](repeating: (0, 0, 0, 0), count: 512)
        let count = cphone_regions(&names, names.count)
        return Set(names.prefix(count).map { Self.text(of: $0) })
    }()

    /// What digits are that have neither a plus sign nor the country's 0 in front, since a spreadsheet takes both away.
    public enum BareNumbers: String, Sendable, CaseIterable {
        /// Numbers of the plan's country.
        case national
        /// Numbers with their country code.
        case international
    }

    private struct Country {
        let name: String
        let code: String
    }

    private let country: Country?
    private let allowsUnassigned: Bool
    private let bareNumbers: BareNumbers?
    /// What has changed since the library's tables.
    public let changes: NumberChanges

    /// - Parameters:
    ///   - country: Where numbers without a country code belong, ISO 3166 alpha-2; nil refuses those.
    ///   - allowsUnassigned: Whether to take a number that is possible, though in no assigned range.
    ///   - bareNumbers: What digits without anything in front are; nil for what they can be, and for none if they can be both.
    ///   - changes: What has changed since the library's tables.
    /// - Throws: ``Fault`` when the country is not known.
    public init(
        country: String? = nil,
        allowsUnassigned: Bool = false,
        bareNumbers: BareNumbers? = nil,
        changes: NumberChanges = .shipped
    ) throws(Fault) {
        let country = country?.uppercased()
        if let country, !Self.regions.contains(country) {
            throw Fault(reason: "'\(country.prefix(20))' is not a country code such as DE (ISO 3166 alpha-2)")
        }
        self.country = country.map { Country(name: $0, code: String(cphone_country_code($0))) }
        self.allowsUnassigned = allowsUnassigned
        self.bareNumbers = bareNumbers
        self.changes = changes
    }

    /// Reads one number. What can be read in one way is read so; what could be two numbers is refused.
    /// - Parameter text: The number, E.164, or as it is written or dialed in the plan's country, or as a spreadsheet has left
    ///   it.
    /// - Returns: The number.
    /// - Throws: ``Fault`` with the reason.
    public func entry(_ text: String) throws(Fault) -> Entry {
        if NumberText.isPlain(text) { return try self.taken(Self.reading(text, nil)) }
        let written = try NumberText(text)
        for part in written.parts where self.isWhole(part.first) {
            throw Fault(reason: "may be two numbers: put each into a row of its own")
        }
        return try self.taken(try self.reading(written))
    }

    /// What the library makes of a text.
    private struct Reading {
        let status: cphone_status
        let number: cphone_number
        var isValid: Bool { self.status == CPHONE_VALID }
        var isPossible: Bool { self.isValid || self.status == CPHONE_UNASSIGNED }
        var e164: String { NumberPlan.text(of: self.number.e164) }
    }

    private static func reading(_ text: String, _ country: String?) -> Reading {
        var text = text
        var number = cphone_number()
        let status = text.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { characters in
                cphone_parse(characters.baseAddress, characters.count, country, &number)
            }
        }
        return Reading(status: status, number: number)
    }

    private func taken(_ reading: Reading) throws(Fault) -> Entry {
        let region = Self.text(of: reading.number.region)
        let e164 = self.changes.current(reading.e164)
        if let newRegion = reading.isValid && e164 == reading.e164 ? nil : self.changes.region(of: e164) {
            return try Self.entry(e164, newRegion, isAssigned: true)
        }
        switch reading.status {
        case CPHONE_VALID: return try Self.entry(e164, region, isAssigned: true)
        case CPHONE_UNASSIGNED where self.allowsUnassigned: return try Self.entry(e164, region, isAssigned: false)
        case let status:
            let mayBeNewer = [CPHONE_TOO_LONG, CPHONE_WRONG_LENGTH, CPHONE_UNKNOWN_COUNTRY_CODE].contains(status)
            throw Fault(reason: self.reason(status, region), mayBeNewer: mayBeNewer)
        }
    }

    /// Whether a text is a whole number by itself, and no area code.
    private func isWhole(_ text: String) -> Bool {
        let reading = Self.reading(text, self.country?.name)
        return reading.isValid && reading.e164.count > 9
    }

    private func reading(_ written: NumberText) throws(Fault) -> Reading {
        let national = Self.reading(written.text, self.country?.name)
        guard !written.hasPlus, !written.hasLetters, let first = written.digits.first else { return national }
        if first == "0" {
            // ITU-T E.164 writes the way abroad as 00; where it is dialed otherwise, such a number can be no other. No area
            // code begins with 0 or 1 in North America: 0011 is Australia's way abroad.
            let abroad = written.digits.dropFirst(2)
            guard written.digits.hasPrefix("00"), !national.isPossible, abroad.prefix(2) != "11",
                abroad.prefix(2) != "10"
            else { return national }
            let reading = Self.reading("+" + abroad, nil)
            return self.country == nil || reading.isPossible ? reading : national
        }
        let international = Self.reading("+" + written.digits, nil)
        switch (self.bareNumbers, self.country) {
        case (.international?, _): return international
        case (.national?, _), (nil, nil): return national
        case (nil, let country?): return try Self.only(national, international, written.digits, country)
        }
    }

    /// Of the two readings of digits with nothing in front, the one that is a number.
    private static func only(
        _ national: Reading,
        _ international: Reading,
        _ digits: String,
        _ country: Country
    ) throws(Fault) -> Reading {
        guard national.e164 != international.e164 else { return national }
        if digits.hasPrefix(country.code) {
            // Of the country's own numbers all that are possible count: they are what a file for it is full of.
            guard international.isPossible else { return national }
            guard national.isPossible else { return international }
        } else {
            // Elsewhere its numbers are written so, and nothing is lost.
            guard cphone_has_trunk_zero(national.e164) == 1, international.isValid else { return national }
        }
        throw Fault(
            reason:
                "could be two numbers, since a + or a 0 in front may be lost: --bare-numbers says whether such numbers "
                + "are national or international"
        )
    }

    private static func entry(_ e164: String, _ region: String, isAssigned: Bool) throws(Fault) -> Entry {
        let phoneNumber: PhoneNumber
        do {
            phoneNumber = try PhoneNumber(e164)
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
            "is possible\(place), but in no range that is known to be assigned; without --assigned-only it is taken"
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
