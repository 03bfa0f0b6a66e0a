// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// A value of which arrays can be parameters and columns. `UInt8` is special: its array is `bytea`.
public protocol PostgresArrayElement: Sendable {
    /// The type of the array.
    static var postgresArrayType: PostgresType { get }
    /// Appends the binary form of a whole array.
    /// - Parameters:
    ///   - elements: The elements.
    ///   - bytes: What to append to.
    /// - Throws: ``PostgresError`` with code `encoding`.
    static func encodeArray(_ elements: [Self], into bytes: inout [UInt8]) throws(PostgresError)
    /// Reads a whole array.
    /// - Parameter value: The column's value.
    /// - Returns: The elements.
    /// - Throws: ``PostgresError`` with code `decoding`.
    static func decodeArray(_ value: PostgresValue) throws(PostgresError) -> [Self]
}

extension PostgresArrayElement where Self: PostgresEncodable & PostgresDecodable {
    /// Appends header, dimension and elements, as `array_recv` reads them.
    public static func encodeArray(_ elements: [Self], into bytes: inout [UInt8]) throws(PostgresError) {
        Int32(elements.isEmpty ? 0 : 1).appendBigEndian(to: &bytes)
        Int32(elements.contains { $0.isPostgresNull } ? 1 : 0).appendBigEndian(to: &bytes)
        Self.postgresType.rawValue.appendBigEndian(to: &bytes)
        guard !elements.isEmpty else { return }
        Int32(elements.count).appendBigEndian(to: &bytes)
        Int32(1).appendBigEndian(to: &bytes)
        for element in elements {
            guard !element.isPostgresNull else {
                Int32(-1).appendBigEndian(to: &bytes)
                continue
            }
            let start = bytes.count
            Int32(0).appendBigEndian(to: &bytes)
            try element.encode(into: &bytes)
            let length = UInt32(bytes.count - start - 4)
            for index in 0..<4 { bytes[start + index] = UInt8(truncatingIfNeeded: length >> (24 - 8 * UInt32(index))) }
        }
    }

    /// Reads a one-dimensional array.
    public static func decodeArray(_ value: PostgresValue) throws(PostgresError) -> [Self] {
        guard let bytes = value.bytes else { throw value.mismatch("array") }
        var reader = BinaryReader(bytes: bytes)
        guard let dimensions = reader.int32(), reader.int32() != nil, let element = reader.int32() else {
            throw value.mismatch("array")
        }
        guard dimensions > 0 else { return [] }
        guard dimensions == 1, let count = reader.int32(), count >= 0, reader.int32() != nil else {
            throw value.mismatch("one-dimensional array")
        }
        let type = PostgresType(rawValue: UInt32(bitPattern: element))
        var elements: [Self] = []
        for _ in 0..<count {
            guard let length = reader.int32() else { throw value.mismatch("array") }
            guard length >= 0 else {
                elements.append(try Self(postgresValue: PostgresValue(type: type, bytes: nil, column: value.column)))
                continue
            }
            guard let slice = reader.slice(Int(length)) else { throw value.mismatch("array") }
            elements.append(try Self(postgresValue: PostgresValue(type: type, bytes: slice, column: value.column)))
        }
        return elements
    }
}

/// Reads big-endian numbers off the front of a value.
struct BinaryReader {
    private let bytes: [UInt8]
    private var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func slice(_ count: Int) -> [UInt8]? {
        guard self.bytes.count - self.position >= count else { return nil }
        defer { self.position += count }
        return Array(self.bytes[self.position..<self.position + count])
    }

    mutating func int16() -> Int16? { self.integer() }
    mutating func int32() -> Int32? { self.integer() }

    private mutating func integer<T: FixedWidthInteger>() -> T? {
        guard self.bytes.count - self.position >= MemoryLayout<T>.size else { return nil }
        var value: T = 0
        for offset in 0..<MemoryLayout<T>.size {
            value = value << 8 | T(truncatingIfNeeded: self.bytes[self.position + offset])
        }
        self.position += MemoryLayout<T>.size
        return value
    }
}

extension Bool: PostgresArrayElement {
    /// `bool[]`.
    public static var postgresArrayType: PostgresType { .boolArray }
}
extension Int16: PostgresArrayElement {
    /// `int2[]`.
    public static var postgresArrayType: PostgresType { .int2Array }
}
extension Int32: PostgresArrayElement {
    /// `int4[]`.
    public static var postgresArrayType: PostgresType { .int4Array }
}
extension Int64: PostgresArrayElement {
    /// `int8[]`.
    public static var postgresArrayType: PostgresType { .int8Array }
}
extension Int: PostgresArrayElement {
    /// `int8[]`.
    public static var postgresArrayType: PostgresType { .int8Array }
}
extension Double: PostgresArrayElement {
    /// `float8[]`.
    public static var postgresArrayType: PostgresType { .float8Array }
}
extension String: PostgresArrayElement {
    /// `text[]`.
    public static var postgresArrayType: PostgresType { .textArray }
}
extension UUID: PostgresArrayElement {
    /// `uuid[]`.
    public static var postgresArrayType: PostgresType { .uuidArray }
}
extension Date: PostgresArrayElement {
    /// `timestamptz[]`.
    public static var postgresArrayType: PostgresType { .timestamptzArray }
}
extension PostgresJSON: PostgresArrayElement {
    /// `jsonb[]`.
    public static var postgresArrayType: PostgresType { .jsonbArray }
}
extension Optional: PostgresArrayElement
where Wrapped: PostgresArrayElement & PostgresEncodable & PostgresDecodable {
    /// The array type of the wrapped value.
    public static var postgresArrayType: PostgresType { Wrapped.postgresArrayType }
}
extension UInt8: PostgresArrayElement {
    /// `bytea`.
    public static var postgresArrayType: PostgresType { .bytea }
    /// Appends the bytes as they are.
    public static func encodeArray(_ elements: [UInt8], into bytes: inout [UInt8]) throws(PostgresError) {
        bytes.append(contentsOf: elements)
    }
    /// Takes the bytes as they are.
    public static func decodeArray(_ value: PostgresValue) throws(PostgresError) -> [UInt8] {
        guard value.type == .bytea, let bytes = value.bytes else { throw value.mismatch("bytea") }
        return bytes
    }
}

extension Array: PostgresEncodable where Element: PostgresArrayElement {
    /// The array type of the element.
    public static var postgresType: PostgresType { Element.postgresArrayType }
    /// Appends the whole array.
    public func encode(into bytes: inout [UInt8]) throws(PostgresError) {
        try Element.encodeArray(self, into: &bytes)
    }
}

extension Array: PostgresDecodable where Element: PostgresArrayElement {
    /// Reads the whole array.
    public init(postgresValue value: PostgresValue) throws(PostgresError) { self = try Element.decodeArray(value) }
}
