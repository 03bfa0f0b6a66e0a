// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Turns a file's bytes into UTF-8, piece by piece.
///
/// What is no character of the encoding becomes a byte that UTF-8 does not have, so that ``CSVReader`` faults the row
/// and reads on.
public struct TextDecoder: Sendable {
    /// An encoding that files of contacts come in.
    public enum Encoding: String, Sendable, CaseIterable {
        /// UTF-8.
        case utf8 = "utf-8"
        /// UTF-16, in the byte order that its mark or its first character shows.
        case utf16 = "utf-16"
        /// UTF-16, the less significant byte first.
        case utf16LittleEndian = "utf-16le"
        /// UTF-16, the more significant byte first.
        case utf16BigEndian = "utf-16be"
        /// Windows-1252, for ISO 8859-1 as well: they differ in control characters only (WHATWG Encoding Standard).
        case windows1252 = "windows-1252"

        /// - Parameter name: A name, in any case; `latin-1` and its like are known too.
        public init?(name: String) {
            switch name.lowercased() {
            case "utf-8", "utf8": self = .utf8
            case "utf-16", "utf16": self = .utf16
            case "utf-16le", "utf16le": self = .utf16LittleEndian
            case "utf-16be", "utf16be": self = .utf16BigEndian
            case "windows-1252", "cp1252", "latin-1", "latin1", "iso-8859-1": self = .windows1252
            default: return nil
            }
        }
    }

    /// Why a file cannot be decoded.
    public struct Fault: Error, Sendable, CustomStringConvertible {
        /// The reason, worded to follow the file's name.
        public let description: String
    }

    private enum Mode {
        case undecided(Encoding?)
        case utf8
        case utf16(isBigEndian: Bool)
        case windows1252
    }

    private static let notText: UInt8 = 0xFF
    private var mode: Mode
    private var pending: [UInt8] = []
    private var highSurrogate: UInt16?

    /// - Parameter encoding: The encoding; nil for UTF-8, unless the file's beginning shows UTF-16. A byte order mark is
    ///   believed whatever is said.
    public init(_ encoding: Encoding?) {
        self.mode = .undecided(encoding)
    }

    /// What the text is decoded from, for messages.
    public var name: String {
        switch self.mode {
        case .undecided(let encoding): (encoding ?? .utf8).rawValue.uppercased()
        case .utf8: "UTF-8"
        case .utf16: "UTF-16"
        case .windows1252: "Windows-1252"
        }
    }

    /// Takes the next piece of the file.
    /// - Parameter bytes: The piece.
    /// - Returns: What it completes, UTF-8.
    /// - Throws: ``Fault`` when the file is a workbook or the like, or UTF-16 is expected and its byte order does not show.
    public mutating func decode(_ bytes: [UInt8]) throws(Fault) -> [UInt8] {
        guard case .undecided(let encoding) = self.mode else { return self.convert(bytes) }
        let beginning = self.pending + bytes
        guard beginning.count >= (encoding == .utf16 ? 2 : FileKind.length) else {
            self.pending = beginning
            return []
        }
        self.pending = []
        return try self.begin(beginning, encoding)
    }

    /// The file has ended.
    /// - Returns: What was still to come, UTF-8.
    public mutating func finish() -> [UInt8] {
        var text: [UInt8] = []
        if case .undecided(let encoding) = self.mode {
            let bytes = self.pending
            self.pending = []
            // So short that it is a kind of its own only by accident.
            text = (try? self.begin(bytes, encoding)) ?? bytes
        }
        if !self.pending.isEmpty || self.highSurrogate != nil { text.append(Self.notText) }
        self.pending = []
        return text
    }

    private mutating func begin(_ bytes: [UInt8], _ encoding: Encoding?) throws(Fault) -> [UInt8] {
        if let advice = FileKind.advice(bytes) { throw Fault(description: advice) }
        var bytes = bytes
        let order = Self.byteOrder(bytes)
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
            self.mode = .utf8
        } else if let isBigEndian = order.mark {
            self.mode = .utf16(isBigEndian: isBigEndian)
            bytes.removeFirst(2)
        } else {
            switch encoding {
            case .windows1252: self.mode = .windows1252
            case .utf16LittleEndian: self.mode = .utf16(isBigEndian: false)
            case .utf16BigEndian: self.mode = .utf16(isBigEndian: true)
            case .utf16:
                guard let isBigEndian = order.text else {
                    throw Fault(
                        description: "does not begin with the byte order mark of UTF-16; is it another encoding, or "
                            + "--encoding utf-16le or utf-16be?"
                    )
                }
                self.mode = .utf16(isBigEndian: isBigEndian)
            case nil:
                if bytes.count >= 4, let isBigEndian = order.text {
                    self.mode = .utf16(isBigEndian: isBigEndian)
                } else {
                    self.mode = .utf8
                }
            case .utf8: self.mode = .utf8
            }
        }
        return self.convert(bytes)
    }

    /// Whether UTF-16 is big-endian, by its byte order mark, and by first characters that are ASCII.
    private static func byteOrder(_ bytes: [UInt8]) -> (mark: Bool?, text: Bool?) {
        if bytes.starts(with: [0xFE, 0xFF]) { return (true, nil) }
        if bytes.starts(with: [0xFF, 0xFE]) { return (false, nil) }
        let zeros = bytes.prefix(4).map { $0 == 0 }
        if zeros.count < 2 { return (nil, nil) }
        if zeros.elementsEqual([true, false, true, false].prefix(zeros.count)) { return (nil, true) }
        if zeros.elementsEqual([false, true, false, true].prefix(zeros.count)) { return (nil, false) }
        return (nil, nil)
    }

    private mutating func convert(_ bytes: [UInt8]) -> [UInt8] {
        switch self.mode {
        case .undecided, .utf8: return bytes
        case .utf16(let isBigEndian): return self.convertUTF16(bytes, isBigEndian)
        case .windows1252:
            var text: [UInt8] = []
            text.reserveCapacity(bytes.count + bytes.count / 8)
            for byte in bytes {
                switch byte {
                case 0x80...0x9F:
                    let scalar = Self.windows1252[Int(byte) - 0x80]
                    if scalar == 0 { text.append(Self.notText) } else { Self.append(UInt32(scalar), to: &text) }
                default: Self.append(UInt32(byte), to: &text)
                }
            }
            return text
        }
    }

    private mutating func convertUTF16(_ bytes: [UInt8], _ isBigEndian: Bool) -> [UInt8] {
        let bytes = self.pending + bytes
        var text: [UInt8] = []
        text.reserveCapacity(bytes.count / 2 + bytes.count / 8)
        for index in stride(from: 0, to: bytes.count - 1, by: 2) {
            let (first, second) = (UInt16(bytes[index]), UInt16(bytes[index + 1]))
            let unit = isBigEndian ? first << 8 | second : second << 8 | first
            if let high = self.highSurrogate {
                self.highSurrogate = nil
                if UTF16.isTrailSurrogate(unit) {
                    Self.append(0x10000 + (UInt32(high) - 0xD800) << 10 + (UInt32(unit) - 0xDC00), to: &text)
                    continue
                }
                text.append(Self.notText)
            }
            switch unit {
            case 0xD800...0xDBFF: self.highSurrogate = unit
            case 0xDC00...0xDFFF: text.append(Self.notText)
            default: Self.append(UInt32(unit), to: &text)
            }
        }
        self.pending = bytes.count % 2 == 1 ? [bytes[bytes.count - 1]] : []
        return text
    }

    private static func append(_ scalar: UInt32, to text: inout [UInt8]) {
        if scalar < 0x80 {
            text.append(UInt8(scalar))
        } else if let scalar = Unicode.Scalar(scalar), let bytes = UTF8.encode(scalar) {
            text.append(contentsOf: bytes)
        }
    }

    /// 0x80…0x9F; 0 where there is no character. Source: Unicode's CP1252.TXT.
    private static let windows1252: [UInt16] = [
        0x20AC, 0, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0, 0x017D, 0,
        0, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0, 0x017E,
        0x0178,
    ]
}
