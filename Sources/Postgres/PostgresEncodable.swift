// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// A value that can be a parameter, in binary format.
public protocol PostgresEncodable: Sendable {
    /// The type declared to the server.
    static var postgresType: PostgresType { get }
    /// Whether this is SQL null, in which case nothing is encoded.
    var isPostgresNull: Bool { get }
    /// Appends the binary form.
    /// - Parameter bytes: What to append to.
    /// - Throws: ``PostgresError`` with code `encoding` when the type cannot hold the value.
    func encode(into bytes: inout [UInt8]) throws(PostgresError)
}

extension PostgresEncodable {
    /// Not null, as most values are.
    public var isPostgresNull: Bool { false }
}

extension FixedWidthInteger {
    func appendBigEndian(to bytes: inout [UInt8]) {
        withUnsafeBytes(of: self.bigEndian) { bytes.append(contentsOf: $0) }
    }
}

extension Bool: PostgresEncodable {
    /// `bool`.
    public static var postgresType: PostgresType { .bool }
    /// Appends one byte.
    public func encode(into bytes: inout [UInt8]) throws(PostgresError) { bytes.append(self ? 1 : 0) }
}

extension Int16: PostgresEncodable {
    /// `int2`.
    public static var postgresType: PostgresType { .int2 }
    /// Appends two bytes.
    public func encode(into bytes: inout [UInt8]) throws(PostgresError) { self.appendBigEndian(to: &bytes) }
}

extension Int32: PostgresEncodable {
    /// `int4`.
    public static var postgresType: PostgresType { .int4 }
    /// Appends four bytes.
    public func encode(into bytes: inout [UInt8]) throws(PostgresError) { self.appendBigEndian(to: &bytes) }
}

extension Int64: PostgresEncodable {
    /// `int8`.
    public static var postgresType: PostgresType { .int8 }
    /// Appends eight bytes.
    public func encode(into bytes: inout [UInt8]) throws(PostgresError) { self.appendBigEndian(to: &bytes) }
}

extension Int: PostgresEncodable {
    /// `int8`.
    public static var postgresType: PostgresType { .int8 }
    /// Appends eight bytes.
    public func encode(into bytes: inout [UInt8]) throws(PostgresError) { Int64(self).appendBigEndian(to: &bytes) }
}

extension Double: PostgresEncodable {
    /// `float8`.
    public static var postgresType: PostgresType { .float8 }
    /// Appends eight bytes.
    public func encode(into bytes: inout [UInt8]) throws(PostgresError) { self.bitPattern.appendBigEndian(to: &bytes) }
}

extension String: PostgresEncodable {
    /// `text`.
    public static var postgresType: PostgresType { .text }
    /// Appends the UTF-8 bytes; Postgres has no U+0000 in text.
    public func encode(into bytes: inout [UInt8]) throws(PostgresError) {
        guard !self.utf8.contains(0) else { throw PostgresError(.encoding, "text cannot hold U+0000") }
        bytes.append(contentsOf: self.utf8)
    }
}

extension UUID: PostgresEncodable {
    /// `uuid`.
    public static var postgresType: PostgresType { .uuid }
    /// Appends sixteen bytes.
    public func encode(into bytes: inout [UInt8]) throws(PostgresError) {
        withUnsafeBytes(of: self.uuid) { bytes.append(contentsOf: $0) }
    }
}

extension Date: PostgresEncodable {
    /// Seconds from Postgres' epoch, 2000-01-01, to Foundation's, 2001-01-01.
    static let epochOffset: Double = 31_622_400
    /// 4714-11-24 BC and the end of 294276, the ends of `timestamptz`, as microseconds from Postgres' epoch.
    static let postgresRange: Range<Int64> = -211_813_488_000_000_000..<9_223_371_331_200_000_000

    /// `timestamptz`.
    public static var postgresType: PostgresType { .timestamptz }
    /// Appends microseconds since 2000-01-01; `distantPast` and `distantFuture` are `-infinity` and `infinity`.
    public func encode(into bytes: inout [UInt8]) throws(PostgresError) {
        guard self != .distantFuture else { return Int64.max.appendBigEndian(to: &bytes) }
        guard self != .distantPast else { return Int64.min.appendBigEndian(to: &bytes) }
        // Split, because a Double of microseconds cannot hold a date far away to the microsecond.
        let whole = self.timeIntervalSinceReferenceDate.rounded(.down)
        let fraction = self.timeIntervalSinceReferenceDate - whole
        guard let seconds = Int64(exactly: whole + Self.epochOffset) else {
            throw PostgresError(.encoding, "date out of range")
        }
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
        let (microseconds, carry) = product.addingReportingOverflow(Int64((fraction * 1e6).rounded()))
        guard !overflow, !carry, Self.postgresRange.contains(microseconds) else {
            throw PostgresError(.encoding, "date out of range")
        }
        microseconds.appendBigEndian(to: &bytes)
    }
}

/// A JSON document, as its bytes.
public struct PostgresJSON: Hashable, Sendable, PostgresEncodable {
    /// The document in UTF-8.
    public var bytes: [UInt8]

    /// Wraps a document.
    /// - Parameter bytes: The document in UTF-8; the server checks it.
    public init(bytes: [UInt8]) { self.bytes = bytes }

    /// `jsonb`.
    public static var postgresType: PostgresType { .jsonb }
    /// Appends the version of the binary form, which is 1, and the text.
    public func encode(into bytes: inout [UInt8]) throws(PostgresError) {
        bytes.append(1)
        bytes.append(contentsOf: self.bytes)
    }
}

extension Optional: PostgresEncodable where Wrapped: PostgresEncodable {
    /// The type of the wrapped value.
    public static var postgresType: PostgresType { Wrapped.postgresType }
    /// Whether there is no value.
    public var isPostgresNull: Bool {
        guard let self else { return true }
        return self.isPostgresNull
    }
    /// Appends the wrapped value.
    public func encode(into bytes: inout [UInt8]) throws(PostgresError) { try self?.encode(into: &bytes) }
}
