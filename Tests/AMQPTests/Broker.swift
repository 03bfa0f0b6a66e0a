// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import AsyncHTTPClient
import Foundation
import Logging
import NIOCore
import NIOHTTP1
import TestBasics
import Testing

/// A virtual host of a test's own on the private broker, removed afterwards.
struct Broker: Sendable {
    let uri: String
    let name: String

    /// Where it listens.
    var port: Int { URLComponents(string: self.uri)?.port ?? 5672 }

    private struct Missing: Error, CustomStringConvertible {
        let variable: String
        var description: String {
            "\(self.variable) is not set: start a stack with `ops/stack up`, or run `ops/test`"
        }
    }

    static func run(_ body: @Sendable (Broker) async throws -> Void) async throws {
        let name = "t_" + String(UInt64.random(in: 0...UInt64.max), radix: 36)
        try await Self.manage(.PUT, "/api/vhosts/\(name)")
        var components = URLComponents(string: try Self.variable("TEST_AMQP_URL"))
        components?.path = "/" + name
        do {
            try await body(Broker(uri: components?.string ?? "", name: name))
        } catch {
            _ = try? await Self.manage(.DELETE, "/api/vhosts/\(name)")
            throw error
        }
        try await Self.manage(.DELETE, "/api/vhosts/\(name)")
    }

    /// A connection that is ready, closed afterwards.
    func connected(
        topology: AMQPTopology = AMQPTopology(),
        through relay: Relay? = nil,
        _ change: (inout AMQPConfiguration) -> Void = { _ in },
        _ body: (AMQPConnection) async throws -> Void
    ) async throws {
        var components = URLComponents(string: self.uri)
        if let relay { components?.port = relay.port }
        var configuration = try AMQPConfiguration(uri: components?.string ?? "")
        configuration.connectionName = self.name
        // A machine that is slow is no reason to give up; tests of giving up say when.
        configuration.publishTimeout = .seconds(600)
        change(&configuration)
        var logger = Logger(label: "amqp-tests")
        logger.logLevel = .critical
        let connection = AMQPConnection(configuration: configuration, topology: topology, logger: logger)
        do {
            try await connection.waitUntilReady(timeout: .seconds(600))
            try await body(connection)
        } catch {
            await connection.close()
            throw error
        }
        await connection.close()
    }

    /// Closes all connections of this virtual host by force, as an operator would.
    func dropConnections() async throws -> Int {
        let data = try await Self.manage(.GET, "/api/vhosts/\(self.name)/connections")
        let connections = try JSONSerialization.jsonObject(with: data) as? [[String: Any]] ?? []
        for connection in connections {
            let name = connection["name"] as? String ?? ""
            let escaped = name.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
            try await Self.manage(.DELETE, "/api/connections/\(escaped)")
        }
        return connections.count
    }

    /// How many channels are open in this virtual host.
    func channels() async throws -> Int { try await self.channelNames().count }

    /// The channels that are open in this virtual host.
    func channelNames() async throws -> Set<String> {
        let data = try await Self.manage(.GET, "/api/vhosts/\(self.name)/channels")
        let channels = try JSONSerialization.jsonObject(with: data) as? [[String: Any]]
        return Set(try #require(channels).compactMap { $0["name"] as? String })
    }

    /// The heartbeat of each connection of this virtual host, in seconds, as the broker has agreed to it.
    func heartbeats() async throws -> [Int] {
        var found: [Int] = []
        // Its figures come every few seconds.
        try await eventually("the broker lists the connection") {
            let data = try await Self.manage(.GET, "/api/vhosts/\(self.name)/connections")
            let connections = try JSONSerialization.jsonObject(with: data) as? [[String: Any]] ?? []
            found = connections.compactMap { $0["timeout"] as? Int }
            return !found.isEmpty
        }
        return found
    }

    @discardableResult
    static func manage(_ method: HTTPMethod, _ path: String) async throws -> Data {
        var components = URLComponents(string: try Self.variable("TEST_AMQP_MANAGEMENT_URL"))
        let credentials = "\(components?.user ?? ""):\(components?.password ?? "")"
        components?.user = nil
        components?.password = nil
        var request = HTTPClientRequest(url: (components?.string ?? "") + path)
        request.method = method
        request.headers.add(name: "Authorization", value: "Basic " + Data(credentials.utf8).base64EncodedString())
        let response = try await HTTPClient.patient.execute(request, timeout: .seconds(600))
        // A connection that is to be closed may have gone by itself, and a virtual host with a broker that starts anew.
        let mayBeGone = method == .DELETE && (path.hasPrefix("/api/connections/") || path.hasPrefix("/api/vhosts/"))
        guard 200..<300 ~= response.status.code || mayBeGone && response.status == .notFound else {
            throw Refused(description: "\(method) \(path): \(response.status)")
        }
        return Data(try await response.body.collect(upTo: 1 << 24).readableBytesView)
    }

    private struct Refused: Error, CustomStringConvertible {
        let description: String
    }

    private static func variable(_ name: String) throws -> String {
        guard let value = ProcessInfo.processInfo.environment[name], !value.isEmpty else {
            throw Missing(variable: name)
        }
        return value
    }
}

extension AMQPTopology {
    /// One queue, reached by its name through the default exchange.
    static func queue(_ name: String, _ kind: QueueKind = .quorum, _ arguments: AMQPTable = [:]) -> AMQPTopology {
        var topology = AMQPTopology()
        topology.queue(name, kind: kind, arguments: arguments)
        return topology
    }
}
