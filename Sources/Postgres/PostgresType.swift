// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// A Postgres type by its OID in `pg_type`, which is fixed for built-in types.
public struct PostgresType: Hashable, Sendable, RawRepresentable {
    /// The OID.
    public let rawValue: UInt32

    /// Names a type by its OID.
    /// - Parameter rawValue: The OID.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    static let bool = Self(rawValue: 16)
    static let bytea = Self(rawValue: 17)
    static let char = Self(rawValue: 18)
    static let name = Self(rawValue: 19)
    static let int8 = Self(rawValue: 20)
    static let int2 = Self(rawValue: 21)
    static let int4 = Self(rawValue: 23)
    static let text = Self(rawValue: 25)
    static let oid = Self(rawValue: 26)
    static let json = Self(rawValue: 114)
    static let float4 = Self(rawValue: 700)
    static let float8 = Self(rawValue: 701)
    static let unknown = Self(rawValue: 705)
    static let boolArray = Self(rawValue: 1000)
    static let int2Array = Self(rawValue: 1005)
    static let int4Array = Self(rawValue: 1007)
    static let textArray = Self(rawValue: 1009)
    static let int8Array = Self(rawValue: 1016)
    static let float8Array = Self(rawValue: 1022)
    static let bpchar = Self(rawValue: 1042)
    static let varchar = Self(rawValue: 1043)
    static let timestamp = Self(rawValue: 1114)
    static let timestamptz = Self(rawValue: 1184)
    static let timestamptzArray = Self(rawValue: 1185)
    static let numeric = Self(rawValue: 1700)
    static let uuid = Self(rawValue: 2950)
    static let uuidArray = Self(rawValue: 2951)
    static let jsonb = Self(rawValue: 3802)
    static let jsonbArray = Self(rawValue: 3807)

    /// User-defined types (enums, domains' bases) start here; their text forms are what can be read.
    var isUserDefined: Bool { self.rawValue >= 16384 }
}
