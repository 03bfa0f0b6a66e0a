// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CLibPQ
public import Foundation

/// One column of one row, in binary format.
public struct PostgresValue: Sendable {
    /// The server's type.
    public let type: PostgresType
    private let place: Place

    /// Where the bytes are: copied only when somebody wants to keep them.
    private enum Place {
        case result(ResultHandle, row: Int32, column: Int32)
        case element([UInt8]?, column: String)
    }

    init(handle: ResultHandle, row: Int32, column: Int32) {
        self.type = PostgresType(rawValue: PQftype(handle.pointer, column))
        self.place = .result(handle, row: row, column: column)
    }

    /// An element of an array.
    init(type: PostgresType, bytes: [UInt8]?, column: String) {
        self.type = type
        self.place = .element(bytes, column: column)
    }

    /// Whether it is SQL null.
    public var isNull: Bool {
        switch self.place {
        case .result(let handle, let row, let column): PQgetisnull(handle.pointer, row, column) == 1
        case .element(let bytes, _): bytes == nil
        }
    }

    /// The bytes; nil is SQL null.
    public var bytes: [UInt8]? { self.withBytes { $0.map { Array($0) } } }

    /// The column's name.
    public var column: String {
        switch self.place {
        case .result(let handle, _, let column): PQfname(handle.pointer, column).map { String(cString: $0) } ?? ""
        case .element(_, let column): column
        }
    }

    /// Lends the bytes where they are; nil is SQL null.
    func withBytes<R>(_ body: (UnsafeRawBufferPointer?) -> R) -> R {
        switch self.place {
        case .result(let handle, let row, let column):
            guard PQgetisnull(handle.pointer, row, column) == 0, let start = PQgetvalue(handle.pointer, row, column)
            else {
                return body(nil)
            }
            return body(UnsafeRawBufferPointer(start: start, count: Int(PQgetlength(handle.pointer, row, column))))
        case .element(let bytes?, _): return bytes.withUnsafeBytes { body($0) }
        case .element(nil, _): return body(nil)
        }
    }

    /// The error for a value that is not what was asked for; names the column, never the value.
    /// - Parameter wanted: What was asked for.
    /// - Returns: An error with code `decoding`.
    public func mismatch(_ wanted: String) -> PostgresError {
        let found = self.isNull ? "null" : "type with OID \(self.type.rawValue)"
        return PostgresError(.decoding, "column \"\(self.column)\": wanted \(wanted), found \(found)")
    }

    func fixedInteger<T: FixedWidthInteger & BinaryInteger>(_ wanted: String) throws(PostgresError) -> T {
        let type = self.type
        let value = self.withBytes { bytes -> Int64? in
            guard let bytes else { return nil }
            switch (type, bytes.count) {
            case (.int2, 2), (.int4, 4), (.int8, 8):
                var bits: UInt64 = (bytes[0] & 0x80) == 0 ? 0 : .max
                for byte in bytes { bits = bits << 8 | UInt64(byte) }
                return Int64(bitPattern: bits)
            case (.oid, 4):
                return bytes.reduce(0) { $0 << 8 | Int64($1) }
            default:
                return nil
            }
        }
        guard let value else { throw self.mismatch(wanted) }
        guard let result = T(exactly: value) else {
            throw PostgresError(.decoding, "column \"\(self.column)\": value does not fit \(wanted)")
        }
        return result
    }

    func bits(_ count: Int, _ wanted: String) throws(PostgresError) -> UInt64 {
        let bits = self.withBytes { bytes -> UInt64? in
            guard let bytes, bytes.count == count else { return nil }
            return bytes.reduce(0) { $0 << 8 | UInt64($1) }
        }
        guard let bits else { throw self.mismatch(wanted) }
        return bits
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
        let isText =
            switch value.type {
            case .text, .varchar, .bpchar, .name, .char, .unknown, .json: true
            default: false
            }
        guard isText || value.type.isUserDefined,
            let text = value.withBytes({ $0.flatMap { String(validating: $0, as: UTF8.self) } })
        else { throw value.mismatch("text") }
        self = text
    }
}

extension UUID: PostgresDecodable {
    /// Reads `uuid`.
    public init(postgresValue value: PostgresValue) throws(PostgresError) {
        let uuid = value.withBytes { bytes -> uuid_t? in
            guard value.type == .uuid, let bytes, bytes.count == 16 else { return nil }
            return bytes.loadUnaligned(as: uuid_t.self)
        }
        guard let uuid else { throw value.mismatch("uuid") }
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
        self = value.isNull ? nil : try Wrapped(postgresValue: value)
    }
}
