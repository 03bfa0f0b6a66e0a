// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// A message whose JSON is one flat object, written and read without dictionaries: thousands a second go by.
///
/// The quick reader takes what the quick writer writes. Whatever else JSON allows is left to `JSONDecoder`, which also says
/// what is wrong with what nobody can read.
public protocol FlatMessage: Codable, Sendable {
    /// Writes the fields, in the order of their names.
    /// - Parameter writer: What to write to.
    func write(to writer: inout FlatJSONWriter)

    /// Reads the fields.
    /// - Parameter reader: The object's fields.
    /// - Returns: The message; nil to have `JSONDecoder` try.
    static func read(from reader: inout FlatJSONReader) -> Self?
}

/// Writes one flat JSON object.
public struct FlatJSONWriter {
    private var bytes: [UInt8] = []

    init() {
        self.bytes.reserveCapacity(384)
        self.bytes.append(UInt8(ascii: "{"))
    }

    /// The whole object.
    consuming func finish() -> [UInt8] {
        self.bytes.append(UInt8(ascii: "}"))
        return self.bytes
    }

    /// Writes an id, in lower case.
    public mutating func write(_ key: StaticString, _ value: UUID) {
        self.begin(key)
        self.bytes.append(UInt8(ascii: "\""))
        value.appendLowercased(to: &self.bytes)
        self.bytes.append(UInt8(ascii: "\""))
    }

    /// Writes a number.
    public mutating func write(_ key: StaticString, _ value: Int) {
        self.begin(key)
        self.bytes.append(contentsOf: String(value).utf8)
    }

    /// Writes an instant: ISO 8601 in UTC with milliseconds.
    public mutating func write(_ key: StaticString, _ value: Date) {
        self.begin(key)
        self.bytes.append(UInt8(ascii: "\""))
        InternetInstant.append(value, to: &self.bytes)
        self.bytes.append(UInt8(ascii: "\""))
    }

    /// Writes a list of ids.
    public mutating func write(_ key: StaticString, _ values: [UUID]) {
        self.begin(key)
        self.bytes.append(UInt8(ascii: "["))
        for (index, value) in values.enumerated() {
            if index > 0 { self.bytes.append(UInt8(ascii: ",")) }
            self.bytes.append(UInt8(ascii: "\""))
            value.appendLowercased(to: &self.bytes)
            self.bytes.append(UInt8(ascii: "\""))
        }
        self.bytes.append(UInt8(ascii: "]"))
    }

    /// Writes text.
    public mutating func write(_ key: StaticString, _ value: String) {
        self.begin(key)
        self.bytes.append(UInt8(ascii: "\""))
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                self.bytes.append(UInt8(ascii: "\\"))
                self.bytes.append(byte)
            case 0..<0x20:
                self.bytes.append(contentsOf: "\\u00".utf8)
                self.bytes.append(hexDigits[Int(byte >> 4)])
                self.bytes.append(hexDigits[Int(byte & 15)])
            default:
                self.bytes.append(byte)
            }
        }
        self.bytes.append(UInt8(ascii: "\""))
    }

    private mutating func begin(_ key: StaticString) {
        if self.bytes.count > 1 { self.bytes.append(UInt8(ascii: ",")) }
        self.bytes.append(UInt8(ascii: "\""))
        key.withUTF8Buffer { self.bytes.append(contentsOf: $0) }
        self.bytes.append(contentsOf: "\":".utf8)
    }
}

/// Reads one flat JSON object, field by field. Points into the body: valid only while that is.
public struct FlatJSONReader {
    /// A field's value, as far as it is read here.
    public struct Field {
        fileprivate let key: UnsafeRawBufferPointer
        fileprivate let value: UnsafeRawBufferPointer
        fileprivate let kind: Kind

        fileprivate enum Kind {
            case text
            case number
            /// Of texts.
            case list
        }

        /// Whether the field has this name.
        public func isNamed(_ name: StaticString) -> Bool {
            name.withUTF8Buffer { $0.elementsEqual(self.key) }
        }

        /// The value as an id.
        public var uuid: UUID? { self.kind == .text ? UUID(hexadecimal: self.value) : nil }
        /// The value as an instant with or without milliseconds.
        public var date: Date? { self.kind == .text ? InternetInstant.parse(self.value) : nil }
        /// The value as text.
        public var text: String? { self.kind == .text ? String(validating: self.value, as: UTF8.self) : nil }
        /// The value as a number.
        public var int: Int? {
            self.kind == .number ? String(validating: self.value, as: UTF8.self).flatMap { Int($0) } : nil
        }
        /// The value as a list of ids.
        public var uuids: [UUID]? {
            guard self.kind == .list else { return nil }
            var ids: [UUID] = []
            // Each id with its quotes, and a comma before the next.
            guard self.value.isEmpty || (self.value.count + 1).isMultiple(of: 39) else { return nil }
            ids.reserveCapacity((self.value.count + 1) / 39)
            for start in stride(from: 0, to: self.value.count, by: 39) {
                guard self.value[start] == UInt8(ascii: "\""), self.value[start + 37] == UInt8(ascii: "\""),
                    start + 38 == self.value.count || self.value[start + 38] == UInt8(ascii: ","),
                    let id = UUID(hexadecimal: .init(rebasing: self.value[start + 1..<start + 37]))
                else { return nil }
                ids.append(id)
            }
            return ids
        }
    }

    private let bytes: UnsafeRawBufferPointer
    private var position = 0
    private var isFirst = true
    private var isClosed = false
    private var isUnusual = false

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    /// Whether the whole object was read, and nothing follows.
    var isAtEnd: Bool { self.isClosed && !self.isUnusual && self.position == self.bytes.count }

    /// The next field; nil at the end, and where something unusual comes.
    public mutating func next() -> Field? {
        guard !self.isUnusual else { return nil }
        let field = self.readField()
        if field == nil, self.position != self.bytes.count { self.isUnusual = true }
        return field
    }

    private mutating func readField() -> Field? {
        guard self.take(self.isFirst ? UInt8(ascii: "{") : UInt8(ascii: ",")) else {
            self.isClosed = self.take(UInt8(ascii: "}"))
            return nil
        }
        self.isFirst = false
        guard let key = self.takeText(), self.take(UInt8(ascii: ":")), self.position < self.bytes.count else {
            self.isUnusual = true
            return nil
        }
        if self.bytes[self.position] == UInt8(ascii: "\"") {
            guard let value = self.takeText() else { return nil }
            return Field(key: key, value: value, kind: .text)
        }
        if self.take(UInt8(ascii: "[")) {
            let start = self.position
            var end = start
            if self.takeText() != nil {
                while self.take(UInt8(ascii: ",")) {
                    guard self.takeText() != nil else { return nil }
                }
                end = self.position
            }
            guard !self.isUnusual, self.take(UInt8(ascii: "]")) else { return nil }
            return Field(key: key, value: .init(rebasing: self.bytes[start..<end]), kind: .list)
        }
        let start = self.position
        while self.position < self.bytes.count, case 0x30...0x39 = self.bytes[self.position] { self.position += 1 }
        // JSON has no number with a leading zero but 0 itself.
        guard self.position == start + 1 || self.position > start && self.bytes[start] != 0x30 else {
            self.isUnusual = true
            return nil
        }
        return Field(key: key, value: .init(rebasing: self.bytes[start..<self.position]), kind: .number)
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard self.position < self.bytes.count, self.bytes[self.position] == byte else { return false }
        self.position += 1
        return true
    }

    /// Text without escapes.
    private mutating func takeText() -> UnsafeRawBufferPointer? {
        guard self.take(UInt8(ascii: "\"")) else { return nil }
        let start = self.position
        var isASCII = true
        while self.position < self.bytes.count {
            let byte = self.bytes[self.position]
            if byte == UInt8(ascii: "\"") {
                let text = UnsafeRawBufferPointer(rebasing: self.bytes[start..<self.position])
                guard isASCII || String(validating: text, as: UTF8.self) != nil else { break }
                self.position += 1
                return text
            }
            isASCII = isASCII && byte < 0x80
            guard byte >= 0x20, byte != UInt8(ascii: "\\") else { break }
            self.position += 1
        }
        self.isUnusual = true
        return nil
    }
}

extension Optional {
    /// Moves a value that could be read to where nothing is yet.
    /// - Returns: False when it could not be read, or when the field came twice, which `JSONDecoder` judges.
    func fill(_ place: inout Wrapped?) -> Bool {
        guard let value = self, case .none = place else { return false }
        place = value
        return true
    }
}
