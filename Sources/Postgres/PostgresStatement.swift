// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// A statement and its name.
public struct PostgresStatement: Sendable, ExpressibleByStringLiteral {
    /// The name under which it is prepared.
    public let name: String
    /// The SQL, with `$1`, `$2` … for parameters.
    public let sql: String
    /// Whether it is prepared once per connection and reused.
    public let prepared: Bool

    /// Creates a statement.
    /// - Parameters:
    ///   - name: Its name on the server; nil derives one from the SQL.
    ///   - sql: One statement, with `$1`, `$2` … for parameters.
    ///   - prepared: Whether to prepare it once per connection and reuse it.
    public init(name: String? = nil, _ sql: String, prepared: Bool = true) {
        self.name = name ?? "s_" + Self.fingerprint(sql)
        self.sql = sql
        self.prepared = prepared
    }

    /// Creates a prepared statement named after its text.
    /// - Parameter value: The SQL.
    public init(stringLiteral value: String) {
        self.init(value)
    }

    /// FNV-1a: stable over processes, so that names in the server's views can be compared.
    static func fingerprint(_ text: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 {
            hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3
        }
        return String(hash, radix: 16)
    }
}

/// Transaction isolation.
public enum PostgresIsolation: Sendable {
    /// Each statement sees what was committed before it.
    case readCommitted
    /// One snapshot for the whole transaction.
    case repeatableRead
    /// As if transactions ran one after another; may fail with SQLSTATE 40001.
    case serializable

    var begin: PostgresStatement {
        switch self {
        case .readCommitted: PostgresStatement("begin isolation level read committed", prepared: false)
        case .repeatableRead: PostgresStatement("begin isolation level repeatable read", prepared: false)
        case .serializable: PostgresStatement("begin isolation level serializable", prepared: false)
        }
    }
}

/// The client in figures.
public struct PostgresStatistics: Sendable, Equatable {
    /// Connections that are up.
    public var open = 0
    /// Connections that nobody uses.
    public var idle = 0
    /// Connections in use.
    public var busy = 0
    /// Callers waiting for a connection.
    public var waiting = 0
    /// Connections made after an earlier one was lost or could not be made.
    public var reconnects = 0
    /// Statements run.
    public var executed = 0
}
