// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CLibPQ
import Foundation

/// Where the server is, and how patient to be with it.
public struct PostgresConfiguration: Sendable {
    /// Shown in `pg_stat_activity`.
    public var applicationName = "postgres-client"
    /// At most this many connections, 1 or more.
    public var maximumConnections = 8
    /// For one attempt to connect, all hosts of the URI together: each gets its share, and two seconds at least. A
    /// `connect_timeout` in the URI is, as libpq has it, for each of them.
    public var connectTimeout: Duration = .seconds(10)
    /// The server's `statement_timeout`; with it, a server that does not answer at all is given up five seconds later.
    public var statementTimeout: Duration?
    /// Settings of the server for each session, e.g. `["jit": "off"]`, over ``sessionDefaults``.
    public var sessionSettings: [String: String] = [:]
    /// How long a caller waits for a connection, reconnecting included.
    public var acquireTimeout: Duration = .seconds(30)

    /// The addresses of a host's name; a test has its own.
    var resolve: @Sendable (String) -> [String] = PostgresEndpoint.addresses
    private let options: [String: String]
    private let hosts: [PostgresEndpoint]

    /// Reads a libpq URI or keyword/value string; `postgres://` and `postgresql+asyncpg://` are read as `postgresql://`.
    /// - Parameter uri: The connection string.
    /// - Throws: ``PostgresError`` with code `invalidConfiguration`, which never quotes the password.
    public init(uri: String) throws(PostgresError) {
        let uri = Self.normalized(uri)
        if let fault = PasswordRedactor.fault(in: uri) { throw PostgresError(.invalidConfiguration, fault) }
        var options = try Self.parse(uri, redactor: PasswordRedactor(uri: uri))
        for (keyword, variable) in Self.inherited where options[keyword] == nil {
            options[keyword] = ProcessInfo.processInfo.environment[variable]
        }
        self.options = options
        self.hosts = try PostgresEndpoint.list(
            host: options["host"],
            address: options["hostaddr"],
            port: options["port"]
        )
        if let name = self.options["application_name"], !name.isEmpty { self.applicationName = name }
    }

    /// Host, port, database and user; never the password.
    public var redactedDescription: String {
        "\(self.endpoint) database=\(self.options["dbname"] ?? "") user=\(self.options["user"] ?? "")"
    }

    var endpoint: String {
        let host = self.options["host"] ?? self.options["hostaddr"] ?? "localhost"
        return "\(host):\(self.options["port"] ?? "5432")"
    }

    var redactor: PasswordRedactor { PasswordRedactor(secret: self.options["password"] ?? "") }

    /// What libpq takes from the environment and must be known here.
    private static let inherited = [
        ("host", "PGHOST"), ("hostaddr", "PGHOSTADDR"), ("port", "PGPORT"), ("connect_timeout", "PGCONNECT_TIMEOUT"),
        ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ]

    /// Where to try, names looked up now.
    func endpoints() -> [PostgresEndpoint] { self.hosts.flatMap { $0.resolved(by: self.resolve) } }

    /// What the session must be like, in the order of preference. Of several hosts only one is the primary.
    var sessionAttributes: [String] {
        let wanted = self.options["target_session_attrs"] ?? (self.hosts.count > 1 ? "read-write" : "any")
        // libpq asks all hosts for the first before it takes the second, and is given one host at a time here.
        return wanted == "prefer-standby" ? ["standby", "any"] : [wanted]
    }

    /// How long one of so many places may take.
    func connectTimeout(ofEach count: Int) -> Duration {
        if let seconds = self.options["connect_timeout"].flatMap({ Int32($0) }), seconds > 0 {
            return .seconds(max(2, seconds))
        }
        return max(min(.seconds(2), self.connectTimeout), self.connectTimeout / max(1, count))
    }

    /// Keywords for `PQconnectStartParams`: ours under the caller's.
    func connectionParameters(
        _ endpoint: PostgresEndpoint,
        _ attributes: String
    ) -> [(keyword: String, value: String)] {
        var merged: [String: String?] = [
            "gssencmode": "disable",
            "tcp_user_timeout": "15000",
            "keepalives": "1",
            "keepalives_idle": "30",
            "keepalives_interval": "10",
            "keepalives_count": "3",
        ]
        merged.merge(self.options) { _, given in given }
        merged.merge(endpoint.parameters) { _, chosen in chosen }
        merged["target_session_attrs"] = attributes
        merged["application_name"] = self.applicationName
        merged["client_encoding"] = "UTF8"
        return merged.compactMap { keyword, value in value.map { (keyword, $0) } }
    }

    /// What text, casts and statements mean, which a database or a role may have changed; whatever it is there, here it is
    /// this.
    static let sessionDefaults = [
        "DateStyle": "ISO, MDY", "TimeZone": "UTC", "timezone_abbreviations": "Default", "IntervalStyle": "postgres",
        "extra_float_digits": "1", "bytea_output": "hex", "standard_conforming_strings": "on", "array_nulls": "on",
        "transform_null_equals": "off", "xmloption": "content", "default_transaction_isolation": "read committed",
        "default_transaction_deferrable": "off",
    ]

    /// All settings of a session of a server of this version (as libpq has it). They are set after connecting: a pooler such
    /// as PgBouncer takes none of them at the start.
    func settings(version: Int32) -> [(name: String, value: String)] {
        var settings = Self.sessionDefaults
        // A statement whose client has died would hold its locks to its end.
        if version >= 140_000 { settings["client_connection_check_interval"] = "5s" }
        settings.merge(self.sessionSettings) { _, given in given }
        if let statementTimeout { settings["statement_timeout"] = String(max(1, statementTimeout.milliseconds)) }
        return settings.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    private static func normalized(_ uri: String) -> String {
        for scheme in ["postgresql+asyncpg://", "postgres://"] where uri.hasPrefix(scheme) {
            return "postgresql://" + uri.dropFirst(scheme.count)
        }
        return uri
    }

    private static func parse(
        _ uri: String,
        redactor: PasswordRedactor
    ) throws(PostgresError) -> [String: String] {
        var problem: UnsafeMutablePointer<CChar>?
        guard let parsed = PQconninfoParse(uri, &problem) else {
            let text = problem.map { String(cString: $0) } ?? "out of memory"
            PQfreemem(problem)
            throw PostgresError(.invalidConfiguration, redactor.redact(text.trimmedLine))
        }
        defer { PQconninfoFree(parsed) }
        var options: [String: String] = [:]
        var option = parsed
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { options[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
        for port in (options["port"] ?? "").split(separator: ",") where !(1...65535).contains(Int(port) ?? 0) {
            throw PostgresError(.invalidConfiguration, "the port is not a number from 1 to 65535")
        }
        return options
    }
}

extension Duration {
    var milliseconds: Int64 { self.components.seconds * 1000 + self.components.attoseconds / 1_000_000_000_000_000 }
}

extension String {
    /// libpq ends its messages with a line break, and has several lines for several hosts.
    var trimmedLine: String {
        self.split(whereSeparator: \.isNewline).joined(separator: "; ")
    }
}

/// Whoever prints it, or something that holds it, prints no secret.
extension PostgresConfiguration: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Host, port, database and user.
    public var description: String { self.redactedDescription }
    /// The same.
    public var debugDescription: String { self.description }
    /// Without children.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
