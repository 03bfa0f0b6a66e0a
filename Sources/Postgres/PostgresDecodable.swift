// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// One column of one row, in binary format.
public struct PostgresValue: Sendable {
    /// The server's type.
    public let type: PostgresType
    /// The bytes; nil is SQL null.
    public let bytes: [UInt8]?
    /// The column's name.
    public let column: String

    /// The error for a value that is not what was asked for; names the column, never the value.
    /// - Parameter wanted: What was asked for.
    /// - Returns: An error with code `decoding`.
    public func mismatch(_ wanted: String) -> PostgresError {
        let found = self.bytes == nil ? "null" : "type with OID \(self.type.rawValue)"
        return PostgresError(.decoding, "column \"\(self.column)\": wanted \(wanted), found \(found)")
    }

    func fixedInteger<T: FixedWidthInteger & BinaryInteger>(_ wanted: String) throws(PostgresError) -> T {
        guard let bytes else { throw self.mismatch(wanted) }
        let value: Int64
        switch (self.type, bytes.count) {
        case (.int2, 2), (.int4, 4), (.int8, 8):
            var bits: UInt64 = (bytes[0] & 0x80) == 0 ? 0 : .max
            for byte in bytes { bits = bits << 8 | UInt64(byte) }
            value = Int64(bitPattern: bits)
        case (.oid, 4):
            value = bytes.reduce(0) { $0 << 8 | Int64($1) }
        default:
            throw self.mismatch(wanted)
        }
        guard let result = T(exactly: value) else {
            throw PostgresError(.decoding, "column \"\(self.column)\": value does not fit \(wanted)")
        }
        return result
    }

    func bits(_ count: Int, _ wanted: String) throws(PostgresError) -> UInt64 {
        guard let bytes, bytes.count == count else { throw self.mismatch(wanted) }
        return bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }
}

/// A value that can be read from a column.
public protocol PostgresDecodable: Sendable {
    /// Reads a column's value.
    /// - Parameter value: The value.
    /// - Throws: ``PostgresError`` with code `decoding`.
    init(postgresValue value: PostgresValue) throws(PostgresError)
}

extension Bool: PostgresDecodable {
    /// Reads `bool`.
    public init(postgresValue value: PostgresValue) throws(PostgresError) {
        guard value.type == .bool else { throw value.mismatch("bool") }
        self = try value.bits(1, "bool") != 0
    }
}

extension Int16: PostgresDecodable {
    /// Reads any integer type that fits.
    public init(postgresValue value: PostgresValue) throws(PostgresError) { self = try value.fixedInteger("int2") }
}

extension Int32: PostgresDecodable {
    /// Reads any integer type that fits.
    public init(postgresValue value: PostgresValue) throws(PostgresError) { self = try value.fixedInteger("int4") }
}

extension Int64: PostgresDecodable {
    /// Reads any integer type.
    public init(postgresValue value: PostgresValue) throws(PostgresError) { self = try value.fixedInteger("int8") }
}

extension Int: PostgresDecodable {
    /// Reads any integer type.
    public init(postgresValue value: PostgresValue) throws(PostgresError) { self = try value.fixedInteger("int8") }
}

extension Double: PostgresDecodable {
    /// Reads `float8` and `float4`.
    public init(postgresValue value: PostgresValue) throws(PostgresError) {
        switch value.type {
        case .float8: self.init(bitPattern: try value.bits(8, "float8"))
        case .float4: self.init(Float(bitPattern: UInt32(try value.bits(4, "float8"))))
        default: throw value.mismatch("float8")
        }
    }
}

extension String: PostgresDecodable {
    /// Reads the text types, `json`, and user-defined types such as enums.
    public init(postgresValue value: PostgresValue) throws(PostgresError) {
        let isText = [.text, .varchar, .bpchar, .name, .char, .unknown, .json].contains(value.type)
        guard let bytes = value.bytes, isText || value.type.isUserDefined,
            let text = String(validating: bytes, as: UTF8.self)
        else { throw value.mismatch("text") }
        self = text
    }
}

extension UUID: PostgresDecodable {
    /// Reads `uuid`.
    public init(postgresValue value: PostgresValue) throws(PostgresError) {
        guard value.type == .uuid, let bytes = value.bytes, bytes.count == 16 else { throw value.mismatch("uuid") }
        var uuid: uuid_t = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        withUnsafeMutableBytes(of: &uuid) { $0.copyBytes(from: bytes) }
        self.init(uuid: uuid)
    }
}

extension Date: PostgresDecodable {
    /// Reads `timestamptz`, and `timestamp` as if in UTC; infinities are `distantPast` and `distantFuture`.
    public init(postgresValue value: PostgresValue) throws(PostgresError) {
        guard [.timestamptz, .timestamp].contains(value.type) else { throw value.mismatch("timestamptz") }
        let microseconds = Int64(bitPattern: try value.bits(8, "timestamptz"))
        guard microseconds != .max else {
            self = .distantFuture
            return
        }
        guard microseconds != .min else {
            self = .distantPast
            return
        }
        let (seconds, rest) = microseconds.quotientAndRemainder(dividingBy: 1_000_000)
        self.init(timeIntervalSinceReferenceDate: Double(seconds) - Date.epochOffset + Double(rest) / 1e6)
    }
}

extension PostgresJSON: PostgresDecodable {
    /// Reads `jsonb` and `json`.
    public init(postgresValue value: PostgresValue) throws(PostgresError) {
        switch (value.type, value.bytes) {
        case (.jsonb, .some(let bytes)) where bytes.first == 1: self.init(bytes: Array(bytes.dropFirst()))
        case (.json, .some(let bytes)): self.init(bytes: bytes)
        default: throw value.mismatch("jsonb")
        }
    }
}

extension Optional: PostgresDecodable where Wrapped: PostgresDecodable {
    /// Reads null as nil.
    public init(postgresValue value: PostgresValue) throws(PostgresError) {
        self = value.bytes == nil ? nil : try Wrapped(postgresValue: value)
    }
}
