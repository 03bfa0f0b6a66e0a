// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// A telephone number in E.164 form: a plus sign, then 7 to 15 digits of which the first is not zero.
///
/// Source: ITU-T E.164, section 6; the lower bound keeps out short codes, which cannot be surveyed.
/// `description` masks the number, so that an interpolated log line never shows it.
public struct PhoneNumber: Sendable, Hashable, CustomStringConvertible {
    /// The number with its leading plus sign, e.g. `+14155550123`.
    public let e164: String

    /// Creates a number from its E.164 form.
    /// - Parameter text: The number; spaces, dots, dashes and parentheses between digits are dropped.
    /// - Throws: ``Fault`` with the reason when the text is not an E.164 number.
    public init(_ text: String) throws(Fault) {
        var digits = ""
        digits.reserveCapacity(16)
        var sawPlus = false
        for scalar in text.unicodeScalars {
            switch scalar {
            case "0"..."9":
                digits.unicodeScalars.append(scalar)
            case "+":
                guard !sawPlus, digits.isEmpty else { throw Fault(reason: "has a plus sign that is not at its start") }
                sawPlus = true
            case " ", "-", ".", "(", ")", "\u{00A0}":
                continue
            default:
                throw Fault(reason: "has a character that is neither a digit nor a plus sign")
            }
        }
        guard !digits.isEmpty else { throw Fault(reason: "is empty") }
        guard sawPlus else { throw Fault(reason: "does not start with + and a country code") }
        guard digits.first != "0" else { throw Fault(reason: "has a country code that starts with 0") }
        guard digits.count >= 7 else { throw Fault(reason: "is too short (7 to 15 digits)") }
        guard digits.count <= 15 else { throw Fault(reason: "is too long (7 to 15 digits)") }
        self.e164 = "+" + digits
    }

    /// A masked form that logs may show: only the last two digits.
    public var description: String { Self.masked(self.e164) }

    /// A number as text in the same form.
    public static func masked(_ number: String) -> String { "+***" + number.suffix(2) }

    /// Why a text is not an E.164 number.
    public struct Fault: Error, Sendable, CustomStringConvertible {
        /// The reason, worded to follow "phone_number".
        public let reason: String

        /// The reason.
        public var description: String { self.reason }
    }
}
