// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Names and values as `application/x-www-form-urlencoded` carries them, in the order of arrival.
///
/// They stay bytes: a signature covers what was sent, also where that is not text.
struct FormFields: Sendable, Equatable {
    /// One field.
    struct Field: Sendable, Equatable {
        var name: [UInt8]
        var value: [UInt8]
    }

    private(set) var fields: [Field]

    /// Decodes a body or a query.
    ///
    /// Broken percent escapes are kept as they are, as the WHATWG URL standard has it: whether the sender may be
    /// believed is for the signature to say, not for the decoder.
    init(decoding bytes: some Collection<UInt8>) {
        self.fields = bytes.split(separator: UInt8(ascii: "&")).map { pair in
            let parts = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            return Field(
                name: Self.decode(parts[0]),
                value: parts.count == 2 ? Self.decode(parts[1]) : []
            )
        }
    }

    /// The first value with this name, when it is text.
    func first(_ name: String) -> String? {
        guard let field = self.fields.first(where: { $0.name.elementsEqual(name.utf8) }) else { return nil }
        return String(validating: field.value, as: UTF8.self)
    }

    /// Whether there is a field with this name.
    func contains(_ name: String) -> Bool {
        self.fields.contains { $0.name.elementsEqual(name.utf8) }
    }

    /// Encodes fields for a body or a query; everything but letters, digits and `-._~` is escaped.
    static func encode(_ fields: [(name: String, value: String)]) -> String {
        fields.map { Self.encode($0.name) + "=" + Self.encode($0.value) }.joined(separator: "&")
    }

    private static func encode(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                result += digits.utf8.count == 1 ? "%0" + digits : "%" + digits
            }
        }
        return result
    }

    private static func decode(_ bytes: some Collection<UInt8>) -> [UInt8] {
        let bytes = [UInt8](bytes)
        guard bytes.contains(where: { $0 == UInt8(ascii: "%") || $0 == UInt8(ascii: "+") }) else { return bytes }
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            if byte == UInt8(ascii: "%"), index + 2 < bytes.count,
                let high = Self.hexDigit(bytes[index + 1]), let low = Self.hexDigit(bytes[index + 2])
            {
                result.append(high << 4 | low)
                index += 3
            } else {
                result.append(byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
                index += 1
            }
        }
        return result
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
