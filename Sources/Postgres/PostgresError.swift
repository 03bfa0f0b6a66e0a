// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// What went wrong, in one shape for the whole module.
///
/// Branch on ``code``, ``sqlState`` or ``isRetryable``, never on text.
public struct PostgresError: Error, Sendable, CustomStringConvertible, CustomDebugStringConvertible {
    /// The kind of fault: a closed set of short words, fit for a metric's label.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Kind: String {
            case server, connectionFailed, connectionLost, commitUnknown, timeout, cancelled, closed
            case invalidConfiguration, decoding, encoding, unsupported
        }

        private let kind: Kind

        /// The server refused a statement; see ``PostgresError/sqlState``.
        public static let server = Self(kind: .server)
        /// No connection could be made.
        public static let connectionFailed = Self(kind: .connectionFailed)
        /// The connection ended under a statement; whether the statement took effect is not known.
        public static let connectionLost = Self(kind: .connectionLost)
        /// `COMMIT` was sent and no answer came: the transaction may or may not be durable.
        public static let commitUnknown = Self(kind: .commitUnknown)
        /// A deadline passed.
        public static let timeout = Self(kind: .timeout)
        /// The calling task was cancelled.
        public static let cancelled = Self(kind: .cancelled)
        /// The client, or the scope of the connection, has ended.
        public static let closed = Self(kind: .closed)
        /// The configuration cannot be used.
        public static let invalidConfiguration = Self(kind: .invalidConfiguration)
        /// A value from the server does not have the type that was asked for.
        public static let decoding = Self(kind: .decoding)
        /// A parameter cannot be expressed in its Postgres type.
        public static let encoding = Self(kind: .encoding)
        /// The operation is not possible this way, e.g. `COPY` through `execute`.
        public static let unsupported = Self(kind: .unsupported)

        /// The code in one word.
        public var description: String { self.kind.rawValue }
    }

    /// The kind of fault.
    public let code: Code
    /// The server's five-character code, verbatim.
    public let sqlState: String?
    /// The primary message; holds no parameters.
    public let message: String
    /// The server's detail, which may quote values.
    public let detail: String?
    /// The server's hint.
    public let hint: String?
    /// The violated constraint.
    public let constraintName: String?
    /// The table concerned.
    public let tableName: String?
    /// The column concerned.
    public let columnName: String?
    /// Whether it is certain that nothing was sent, so that another connection may be tried.
    let neverSent: Bool
    /// Whether a prepared statement is gone at the server, or was planned for an earlier shape of its tables.
    let isStalePlan: Bool

    init(
        _ code: Code,
        _ message: String,
        sqlState: String? = nil,
        detail: String? = nil,
        hint: String? = nil,
        constraintName: String? = nil,
        tableName: String? = nil,
        columnName: String? = nil,
        neverSent: Bool = false,
        isStalePlan: Bool = false
    ) {
        self.code = code
        self.message = message
        self.sqlState = sqlState
        self.detail = detail
        self.hint = hint
        self.constraintName = constraintName
        self.tableName = tableName
        self.columnName = columnName
        self.neverSent = neverSent
        self.isStalePlan = isStalePlan
    }

    /// Whether the same work may succeed when it is done again. Whether it is safe to do again is the caller's question.
    public var isRetryable: Bool {
        if self.isStalePlan { return true }
        if let sqlState {
            return sqlState.hasPrefix("08") || Self.transientStates.contains(sqlState)
        }
        return [.connectionFailed, .connectionLost, .commitUnknown, .timeout].contains(self.code)
    }

    /// Code, SQLSTATE and primary message: safe to log.
    public var description: String {
        guard let sqlState else { return "\(self.code): \(self.message)" }
        return "\(self.code) \(sqlState): \(self.message)"
    }

    /// Everything the server said; may quote values of rows.
    public var debugDescription: String {
        var text = self.description
        for (label, value) in [
            ("detail", self.detail), ("hint", self.hint), ("constraint", self.constraintName),
            ("table", self.tableName), ("column", self.columnName),
        ] {
            if let value { text += "; \(label): \(value)" }
        }
        return text
    }

    /// https://www.postgresql.org/docs/15/errcodes-appendix.html
    private static let transientStates: Set<String> = [
        "40001", "40P01", "57P01", "57P02", "57P03", "57P05", "53300", "55P03", "25006",
    ]

    /// Whether trying the same connection parameters again is pointless: authentication, authorization, no such
    /// database or role, a setting that does not exist or cannot be so.
    var isPermanentConnectionFault: Bool {
        guard let sqlState else { return false }
        return sqlState.hasPrefix("28") || sqlState == "3D000" || sqlState == "42501" || sqlState == "42704"
            || sqlState == "22023"
    }
}
