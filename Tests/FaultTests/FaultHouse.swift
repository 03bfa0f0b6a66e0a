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
    static let outcomeToken = "the-interviewers-own-token"

    let servers: Servers
    let wires: [Wire: TCPProxy]
    let rehearsal: Rehearsal
    let slots: RoleSlots
    let client: PostgresClient
    let store: CallStore
    let broker: AMQPConnection
    let log: FaultLog
    let folder: URL
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
        folder: URL
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
        self.operatorEnvironment = ["DATABASE_URL": servers.databaseURL]
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
        let servers = try await Servers.start(name: name, nodes: nodes)
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
        let house = FaultHouse(
            servers: servers,
            wires: wires,
            rehearsal: rehearsal,
            slots: RoleSlots(log: log, folder: folder),
            client: client,
            broker: broker,
            logger: logger,
            log: log,
            folder: folder
        )
        _ = try await house.store.migrate()
        try await house.noteVisibility()
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

    /// What every role is told.
    func environment() -> [String: String] {
        [
            "DATABASE_URL": Servers.url(self.servers.databaseURL, port: self.wires[.database]?.port ?? 0),
            "AMQP_URL": self.wires[.broker].map { Servers.url(self.servers.brokerURL, port: $0.port) }
                ?? self.servers.brokerURL,
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
        let environment = self.environment()
        for index in 1...2 {
            await self.slots.add(.selector, label: "selector-\(index)", environment: environment)
            await self.slots.add(.recorder, label: "recorder-\(index)", environment: environment)
            var own = environment
            own["WEBHOOK_PORT"] = "\(webhookPorts[index - 1])"
            await self.slots.add(.webhooks, label: "webhooks-\(index)", environment: own)
        }
        for index in 1...Self.dialers {
            var own = environment
            own["DIALER_ID"] = "d\(index)"
            await self.slots.add(.dialer, label: "dialer-\(index)", environment: own)
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

    /// Lets every transaction of the roles only read, from now on and in the sessions that are open, or no longer.
    func setReadOnly(_ isReadOnly: Bool) async throws {
        let name = self.servers.databaseURL.split(separator: "/").last.map(String.init) ?? ""
        for sql in [
            "alter database \(name) set default_transaction_read_only = \(isReadOnly)",
            """
            select count(pg_terminate_backend(pid)) from pg_stat_activity
            where datname = '\(name)' and pid <> pg_backend_pid() and application_name like 'call-scheduler/%'
            """,
        ] {
            // The session that sets it back is one of those that may only read.
            try await self.client.withTransaction { connection in
                try await connection.execute(PostgresStatement("set transaction read write", prepared: false))
                try await connection.execute(PostgresStatement(sql, prepared: false))
            }
        }
    }

    /// Holds the table of attempts, so that nobody can read or write it.
    /// - Returns: Whether anybody has waited.
    func lockAttempts(for pause: Duration) async throws -> Bool {
        try await self.client.withTransaction { connection in
            try await connection.execute(PostgresStatement("lock table call_attempts", prepared: false))
            try await Task.sleep(for: pause)
            let result = try await connection.execute(
                PostgresStatement(
                    "select count(*) from pg_stat_activity where wait_event_type = 'Lock'",
                    prepared: false
                )
            )
            return try result.first?.decode(Int.self, at: 0) ?? 0 > 0
        }
    }

    /// Where the counters of reports differ from the rows; nil where they agree.
    func miscounts() async throws -> String? { try await Counters.differences(in: self.client) }
}
