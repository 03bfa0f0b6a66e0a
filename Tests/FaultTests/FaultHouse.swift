// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Foundation
import Logging
import Postgres
import ProviderSimulator
import TestBasics
import TestSupport

/// The whole house: two selectors, three dialers, two recorders, two webhooks, the simulator, servers of its own, and
/// wires between them that can be cut.
final class FaultHouse: Sendable {
    static let prefetch = 8
    static let dialers = 3
    static let surveyQueue = "faults.survey"
    /// How long statements of some of the roles may take, in seconds; those of the others may take the usual minute.
    static let statementTimeout = 3
    static let outcomeToken = "the-interviewers-own-token"
    static let suppressionKey = "the key of those who are forgotten"
    /// Of the disk that can be filled, in megabytes: enough for the tables of a long run.
    private static let diskSize = 256

    let servers: Servers
    let wires: [Wire: TCPProxy]
    let rehearsal: Rehearsal
    let slots: RoleSlots
    let client: PostgresClient
    let store: CallStore
    let broker: AMQPConnection
    let log: FaultLog
    let folder: URL
    /// A role's own users, as `ops/make-users` makes them.
    private let users: [String: (database: String, broker: String)]
    /// Settings for commands that people give: straight to the database.
    let operatorEnvironment: [String: String]

    private init(
        servers: Servers,
        wires: [Wire: TCPProxy],
        rehearsal: Rehearsal,
        slots: RoleSlots,
        client: PostgresClient,
        broker: AMQPConnection,
        logger: Logger,
        log: FaultLog,
        folder: URL,
        users: [String: (database: String, broker: String)]
    ) {
        self.servers = servers
        self.wires = wires
        self.rehearsal = rehearsal
        self.slots = slots
        self.client = client
        self.store = CallStore(client: client, logger: logger)
        self.broker = broker
        self.log = log
        self.folder = folder
        self.users = users
        self.operatorEnvironment = [
            "DATABASE_URL": users["operator"]?.database ?? "", "SUPPRESSION_KEY": Self.suppressionKey,
        ]
    }

    /// Builds everything and starts the processes.
    /// - Parameters:
    ///   - name: The stack's name.
    ///   - scenario: What the simulator plays.
    ///   - nodes: How many nodes the broker has; the roles reach a cluster's nodes without a wire between.
    ///   - leader: The node of a cluster that leads the queues at first, counted from 1.
    /// - Returns: The house.
    /// - Throws: When something cannot be started.
    static func start(name: String, scenario: String, nodes: Int = 1, leader: Int = 1) async throws -> FaultHouse {
        let folder = Shell.root.appendingPathComponent(".local/\(name)")
        try? FileManager.default.removeItem(at: folder)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let log = FaultLog(file: folder.appendingPathComponent("faults.log"))
        let hasDisk = nodes == 1 && FaultRun.mustFillDisk()
        let servers = try await Servers.start(name: name, nodes: nodes, disk: hasDisk ? Self.diskSize : nil)
        var logger = Logger(label: "faults")
        logger.logLevel = .critical
        let rehearsal = try await Rehearsal.start(
            scenario: scenario,
            watching: servers.databaseURL,
            logFile: folder.appendingPathComponent("simulator.log")
        )
        let client = PostgresClient(
            configuration: try PostgresConfiguration(uri: servers.databaseURL),
            logger: logger
        )
        let topology = CallTopology.dialRequests(trunk: "default").union(CallTopology.reports()).union(Self.surveys())
        if nodes > 1 {
            // Whoever declares a queue makes the node that it is connected to its leader.
            let first = AMQPConnection(
                configuration: try AMQPConfiguration(uri: servers.brokerURL(ofNode: leader)),
                topology: topology,
                logger: logger
            )
            try await first.waitUntilReady(timeout: .seconds(120))
            await first.close()
        }
        let broker = AMQPConnection(
            configuration: try AMQPConfiguration(uri: servers.brokerURL),
            topology: topology,
            logger: logger
        )
        let webhookPorts = [try Ports.free(), try Ports.free()]
        var targets: [Wire: [Int]] = [
            .database: [Servers.port(of: servers.databaseURL)], .broker: [Servers.port(of: servers.brokerURL)],
            .provider: [Servers.port(of: rehearsal.url)], .webhooks: webhookPorts,
        ]
        if nodes > 1 { targets[.broker] = nil }
        var wires: [Wire: TCPProxy] = [:]
        for (wire, ports) in targets {
            wires[wire] = try await TCPProxy(port: try Ports.free(), targets: ports)
        }
        let store = CallStore(client: client, logger: logger)
        _ = try await store.migrate()
        if let disk = servers.disk { try await Self.move(client, to: disk) }
        let house = FaultHouse(
            servers: servers,
            wires: wires,
            rehearsal: rehearsal,
            slots: RoleSlots(log: log, folder: folder),
            client: client,
            broker: broker,
            logger: logger,
            log: log,
            folder: folder,
            users: try await Self.makeUsers(servers, in: folder)
        )
        try await house.noteVisibility()
        try await house.noteRoom()
        try await broker.waitUntilReady(timeout: .seconds(120))
        await house.addRoles(webhookPorts: webhookPorts)
        return house
    }

    private static func surveys() -> AMQPTopology {
        var topology = CallTopology.surveys()
        topology.queue(Self.surveyQueue, kind: .quorum, durable: true)
        topology.bind(queue: Self.surveyQueue, exchange: CallTopology.surveyEvents, routingKey: "#")
        return topology
    }

    func url(_ wire: Wire) -> String { "http://127.0.0.1:\(self.wires[wire]?.port ?? 0)" }

    /// Makes a user for each role at both servers, as operators do: none may do more than its work.
    private static func makeUsers(
        _ servers: Servers,
        in folder: URL
    ) async throws -> [String: (database: String, broker: String)] {
        let secrets = folder.path + "/secrets"
        try await Shell.run(
            "'\(Shell.root.path)/ops/make-users' '\(servers.databaseURL)' '\(servers.brokerURL)' '\(servers.managementURL)' "
                + "'\(secrets)'"
        )
        var users: [String: (database: String, broker: String)] = [:]
        for role in Role.allCases.map(\.rawValue) + ["operator"] {
            func url(_ server: String) throws -> String {
                try String(contentsOfFile: "\(secrets)/\(role)/\(server)-url", encoding: .utf8)
                    .trimmingCharacters(in: .newlines)
            }
            users[role] = (try url("database"), try url("amqp"))
        }
        return users
    }

    /// What a role is told.
    private func environment(of role: Role) -> [String: String] {
        let user = self.users[role.rawValue] ?? ("", "")
        return [
            "DATABASE_URL": Servers.url(user.database, port: self.wires[.database]?.port ?? 0),
            "AMQP_URL": self.wires[.broker].map { Servers.url(user.broker, port: $0.port) } ?? user.broker,
            "TWILIO_ACCOUNT_SID": Rehearsal.account, "TWILIO_AUTH_TOKEN": Rehearsal.token,
            "TWILIO_BASE_URL": self.url(.provider), "TWILIO_REQUEST_TIMEOUT_SECONDS": "3",
            "WEBHOOK_PUBLIC_URL": self.url(.webhooks), "WEBHOOK_PORT": "0",
            "WEBHOOK_OUTCOME_TOKEN": Self.outcomeToken,
            "SELECTOR_INTERVAL_SECONDS": "0.5", "SELECTOR_CLAIM_TTL_SECONDS": "10", "SELECTOR_BATCH_SIZE": "20",
            "SELECTOR_QUEUE_DEPTH": "40", "DIALER_MAX_CONCURRENT_CALLS": "\(Self.prefetch)",
            "DIALER_CALLS_PER_SECOND": "50", "DIALER_CALL_MARGIN_SECONDS": "4",
            "DIALER_FAILURE_BACKOFF_SECONDS": "1", "DIALER_BREAKER_PAUSE_SECONDS": "1",
            "DIALER_BREAKER_FAILURES": "8", "DATABASE_MAX_CONNECTIONS": "3",
        ]
    }

    private func addRoles(webhookPorts: [Int]) async {
        for role in Role.allCases {
            for index in 1...(role == .dialer ? Self.dialers : 2) {
                var own = self.environment(of: role)
                if role == .webhooks { own["WEBHOOK_PORT"] = "\(webhookPorts[index - 1])" }
                if role == .dialer { own["DIALER_ID"] = "d\(index)" }
                // The first of each gives up early, as all would do at a lock of a minute.
                if index == 1 { own["DATABASE_STATEMENT_TIMEOUT_SECONDS"] = "\(Self.statementTimeout)" }
                await self.slots.add(role, label: "\(role.rawValue)-\(index)", environment: own)
            }
        }
    }

    func stop() async throws {
        await self.slots.stopAll()
        await self.rehearsal.role.stop()
        await self.broker.close()
        await self.client.close()
        for proxy in self.wires.values { await proxy.close() }
        try await self.servers.stop()
    }

    /// One number from the database, straight.
    func count(_ sql: String) async throws -> Int {
        let result = try await self.client.execute(PostgresStatement(sql, prepared: false), [])
        return try result.first?.decode(Int.self, at: 0) ?? 0
    }

    /// Where the counters of reports differ from the rows; nil where they agree.
    func miscounts() async throws -> String? { try await Counters.differences(in: self.client) }
}
