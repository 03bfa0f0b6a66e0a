// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import AMQP
import AsyncHTTPClient
public import CallStore
import Foundation
public import Logging
import NIOCore
import NIOHTTP1
public import Postgres
import TestBasics

/// A database and a virtual host of a test's own, removed afterwards whatever happens.
public struct Scratch: Sendable {
    /// The migrated database.
    public let store: CallStore
    /// The database's client, for looking behind the store.
    public let client: PostgresClient
    /// The database's URI.
    public let databaseURL: String
    /// The virtual host's URI.
    public let brokerURL: String
    /// A logger for what is tested.
    public let logger: Logger

    /// Runs a test with fresh servers' parts.
    /// - Parameters:
    ///   - isMigrated: Whether the database gets the schema; else it is empty.
    ///   - body: The test.
    /// - Returns: What the test returns.
    /// - Throws: What the test throws.
    public static func run<Result: Sendable>(
        isMigrated: Bool = true,
        _ body: @Sendable (Scratch) async throws -> Result
    ) async throws -> Result {
        let name = "t_" + String(UInt64.random(in: 0...UInt64.max), radix: 36)
        var logger = Logger(label: name)
        logger.logLevel = .warning
        let admin = PostgresClient(configuration: try Self.configuration(TestServers.database), logger: logger)
        try await admin.execute(PostgresStatement("create database \(name)", prepared: false))
        try await Self.management(.PUT, "/api/vhosts/\(name)")
        var components = URLComponents(string: try TestServers.database)
        components?.path = "/" + name
        let databaseURL = components?.string ?? ""
        let brokerURL = try Self.brokerURL(virtualHost: name)
        let client = PostgresClient(configuration: try Self.configuration(databaseURL), logger: logger)
        let scratch = Scratch(
            store: CallStore(client: client, logger: logger),
            client: client,
            databaseURL: databaseURL,
            brokerURL: brokerURL,
            logger: logger
        )
        let outcome: Swift.Result<Result, any Error>
        do {
            if isMigrated { _ = try await scratch.store.migrate() }
            let result = try await body(scratch)
            if isMigrated, let differences = try await Counters.differences(in: client) {
                throw MiscountError(description: differences)
            }
            outcome = .success(result)
        } catch {
            outcome = .failure(error)
        }
        await client.close()
        _ = try? await admin.execute(PostgresStatement("drop database \(name) with (force)", prepared: false))
        await admin.close()
        _ = try? await Self.management(.DELETE, "/api/vhosts/\(name)")
        return try outcome.get()
    }

    private static func configuration(_ uri: String) throws -> PostgresConfiguration {
        var configuration = try PostgresConfiguration(uri: uri)
        // A machine that is slow is no reason to give up; tests of giving up say when.
        configuration.acquireTimeout = .seconds(600)
        return configuration
    }

    /// A connection to the virtual host.
    public func connection(topology: AMQPTopology = AMQPTopology()) throws -> AMQPConnection {
        AMQPConnection(
            configuration: try AMQPConfiguration(uri: self.brokerURL),
            topology: topology,
            logger: self.logger
        )
    }

    /// Another client of the database.
    /// - Parameters:
    ///   - parameters: Added to its URI, e.g. `options=…`.
    ///   - change: Changes its configuration.
    /// - Returns: The client; close it.
    /// - Throws: `PostgresError` when the URI cannot be used.
    public func anotherClient(
        parameters: String? = nil,
        _ change: (inout PostgresConfiguration) -> Void = { _ in }
    ) throws -> PostgresClient {
        var configuration = try Self.configuration(self.databaseURL + (parameters.map { "?" + $0 } ?? ""))
        change(&configuration)
        return PostgresClient(configuration: configuration, logger: self.logger)
    }

    /// One value from the database.
    public func value<Value: PostgresDecodable>(
        _ sql: String,
        _ parameters: [any PostgresEncodable] = [],
        as type: Value.Type = Value.self
    ) async throws -> Value {
        let result = try await self.client.execute(PostgresStatement(sql, prepared: false), parameters)
        guard let row = result.first else { throw NoRow(sql: sql) }
        return try row.decode(Value.self, at: 0)
    }

    /// Changes something behind the store's back.
    public func execute(_ sql: String, _ parameters: [any PostgresEncodable] = []) async throws {
        try await self.client.execute(PostgresStatement(sql, prepared: false), parameters)
    }

    /// Takes the virtual host away with all its queues and messages, and makes an empty one of the same name: connections
    /// are closed by the broker.
    public func emptyBroker() async throws {
        try await Self.management(.DELETE, "/api/vhosts/\(self.virtualHost)")
        try await Self.management(.PUT, "/api/vhosts/\(self.virtualHost)")
    }

    /// Deletes a queue or an exchange under whoever uses it.
    /// - Parameters:
    ///   - kind: `queues` or `exchanges`.
    ///   - name: Its name.
    /// - Throws: When the broker cannot be asked.
    public func delete(_ kind: String, _ name: String) async throws {
        try await Self.management(.DELETE, "/api/\(kind)/\(self.virtualHost)/\(name)")
    }

    /// How many bindings a queue or an exchange has; nil when there is none of this name.
    /// - Parameters:
    ///   - kind: `queues` or `exchanges`.
    ///   - name: Its name.
    /// - Returns: The number; nil when it is not there.
    /// - Throws: When the broker cannot be asked.
    public func bindings(_ kind: String, _ name: String) async throws -> Int? {
        let path = "/api/\(kind)/\(self.virtualHost)/\(name)"
        guard try await Self.management(.GET, path).status == .ok else { return nil }
        let answer = try await Self.management(.GET, path + (kind == "queues" ? "/bindings" : "/bindings/source"))
        let body = Data(try await answer.body.collect(upTo: 1 << 20).readableBytesView)
        return (try JSONSerialization.jsonObject(with: body) as? [Any])?.count
    }

    private var virtualHost: String { self.brokerURL.split(separator: "/").last.map(String.init) ?? "" }

    private struct NoRow: Error {
        let sql: String
    }

    private static func brokerURL(virtualHost: String) throws -> String {
        var components = URLComponents(string: try TestServers.broker)
        components?.path = "/" + virtualHost
        return components?.string ?? ""
    }

    @discardableResult
    private static func management(_ method: HTTPMethod, _ path: String) async throws -> HTTPClientResponse {
        var components = URLComponents(string: try TestServers.management)
        let credentials = "\(components?.user ?? "guest"):\(components?.password ?? "guest")"
        components?.user = nil
        components?.password = nil
        var request = HTTPClientRequest(url: (components?.string ?? "") + path)
        request.method = method
        request.headers.add(name: "Authorization", value: "Basic " + Data(credentials.utf8).base64EncodedString())
        request.headers.add(name: "Content-Type", value: "application/json")
        let response = try await HTTPClient.patient.execute(request, timeout: .seconds(600))
        // Who asks looks at the answer; what was to be deleted may have gone by itself.
        let mayBeGone = method == .DELETE && (path.hasPrefix("/api/connections/") || path.hasPrefix("/api/vhosts/"))
        let isFine = 200..<300 ~= response.status.code || mayBeGone && response.status == .notFound
        guard method == .GET || isFine else { throw Refused(description: "\(method) \(path): \(response.status)") }
        return response
    }

    private struct Refused: Error, CustomStringConvertible {
        let description: String
    }
}
