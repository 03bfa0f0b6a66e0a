// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import ArgumentParser
import AsyncHTTPClient
import CallModel
import CallQueues
import CallStore
import Dialing
import Foundation
import Logging
import Metrics
import Observability
import Postgres
import Recording
import Selection
import ServiceLifecycle
import Telephony
import Tracing
import UnixSignals
import Webhooks

/// Wires one or more roles into a process and runs them until it is told to stop.
struct RoleProcess {
    enum Role: String, CaseIterable, ExpressibleByArgument {
        case selector
        case dialer
        case recorder
        case webhooks

        var needsProvider: Bool { self == .dialer || self == .webhooks }
    }

    let roles: Set<Role>
    let name: String
    let logger: Logger
    let store: CallStore
    let database: PostgresClient
    let broker: AMQPConfiguration
    let settings: RoleSettings
    let figures: ClientFigures

    /// The settings of the roles that run here.
    struct RoleSettings {
        let selector: SelectorConfiguration
        let dialer: DialerConfiguration
        let recorder: RecorderConfiguration
        let webhooks: WebhookConfiguration
        let provider: TwilioConfiguration?
        let health: (host: String, port: Int)
        /// Where the database is.
        let databaseWords: String
        /// Values that may be renewed.
        let valueFiles: [Settings.ValueFile]
    }

    private static let metrics = MetricsRegistry()

    static func run(_ roles: Set<Role>, common: CommonOptions) async throws {
        let name = roles.count == 1 ? roles.first.map(\.rawValue) ?? "all" : "all"
        var settings = try common.settings()
        let (level, format) = settings.logging()
        var database = settings.database(applicationName: "call-scheduler/\(name)")
        database?.sessionSettings = CallStore.sessionSettings
        let broker = settings.broker()
        let needsProvider = roles.contains(where: \.needsProvider)
        let provider = needsProvider ? settings.provider() : nil
        let role = RoleSettings(
            selector: settings.selector(),
            dialer: settings.dialer(),
            recorder: settings.recorder(),
            webhooks: settings.webhooks(),
            provider: provider,
            health: settings.health(),
            databaseWords: database?.redactedDescription ?? "",
            valueFiles: settings.valueFiles
        )
        try settings.check()
        guard let database, let broker else { throw ConfigurationFault(faults: settings.faults) }
        LogBootstrap.bootstrap(level: level, format: format)
        MetricsSystem.bootstrap(Self.metrics)
        // An exporter's tracer goes here, in its place.
        InstrumentationSystem.bootstrap(TraceContextPropagator())
        let logger = Logger(label: name)
        let client = PostgresClient(configuration: database, logger: logger)
        let process = RoleProcess(
            roles: roles,
            name: name,
            logger: logger,
            store: CallStore(client: client, logger: logger),
            database: client,
            broker: broker,
            settings: role,
            figures: ClientFigures(database: client, logger: logger)
        )
        Self.metrics.beforeExposition { [figures = process.figures] in figures.update() }
        do {
            try await process.run()
            await client.close()
        } catch {
            await client.close()
            throw error
        }
    }

    /// Tells how it is from the first moment on, and does its work.
    private func run() async throws {
        let board = HealthBoard(starting: "begins")
        try await withThrowingTaskGroup(of: Void.self) { group in
            if self.settings.health.port > 0 {
                let server = HealthServer(
                    host: self.settings.health.host,
                    port: self.settings.health.port,
                    board: board,
                    metrics: Self.metrics,
                    logger: self.logger
                )
                group.addTask { try await server.run() }
            }
            group.addTask { try await self.work(board) }
            try await group.next()
            group.cancelAll()
            // What the other says of its end is no fault.
            while await group.nextResult() != nil {}
        }
    }

    private func work(_ board: HealthBoard) async throws {
        board.starts("waits for the database, \(self.settings.databaseWords)")
        try await Self.checkSchema(self.store, self.logger)
        board.starts("waits for the broker, \(self.broker.redactedDescription)")
        let publisher = self.connection(.publisher, topology: self.publisherTopology)
        try await publisher.waitUntilReady(timeout: .seconds(30))
        let publishing = Self.check("broker", publisher)
        var services: [any Service] = [self.figures, self.closing { await publisher.close() }]
        var checks: [HealthCheck] = []
        var beat = RoleBeat(store: self.store, logger: self.logger)
        var client: HTTPClient?
        var provider: TwilioProvider?
        var outcomeTokens: OutcomeTokens?
        if let configuration = self.settings.provider {
            let http = HTTPClient(configuration: TwilioProvider.makeHTTPClientConfiguration())
            client = http
            provider = TwilioProvider(configuration: configuration, httpClient: http, logger: self.logger)
            services.append(self.closing { try? await http.shutdown() })
        }
        let beatIndex = services.count
        if self.roles.contains(.recorder) {
            let consuming = self.connection(.recorder, topology: CallTopology.reports())
            let recorder = OutcomeRecorder(
                configuration: self.settings.recorder,
                store: self.store,
                consuming: consuming,
                publishing: publisher,
                logger: self.logger
            )
            services += [self.closing { await consuming.close() }, recorder]
            let own = [
                Self.check("recorder's connection", consuming), HealthCheck(name: "recorder") { recorder.currentFault },
            ]
            checks += own
            beat.add(.recorder, checks: [publishing] + own)
        }
        if self.roles.contains(.webhooks), let provider {
            let server = WebhookServer(
                configuration: self.settings.webhooks,
                provider: provider,
                store: self.store,
                broker: publisher,
                logger: self.logger
            )
            outcomeTokens = server.outcomeTokens
            services.append(server)
            beat.add(.webhooks, checks: [publishing])
        }
        if self.roles.contains(.dialer), let provider {
            let (dialer, consuming) = self.makeDialer(provider: provider, publisher: publisher)
            services.append(self.closing { await consuming.close() })
            board.starts("waits for the queue of its hints")
            do {
                try await DialerName(self.settings.dialer.id).claim(on: consuming)
            } catch {
                // Nothing serves yet that would close them.
                await consuming.close()
                await publisher.close()
                try? await client?.shutdown()
                throw error
            }
            services.append(dialer)
            Self.metrics.beforeExposition { dialer.updateFigures() }
            let own = [
                Self.check("dialer's connection", consuming), HealthCheck(name: "dialer") { dialer.currentFault },
            ]
            checks += own
            beat.add(checks: [publishing] + own) { dialer.standing }
        }
        if self.roles.contains(.selector) {
            let selector = Selector(
                configuration: self.settings.selector,
                store: self.store,
                broker: publisher,
                logger: self.logger
            )
            services.append(selector)
            let own = HealthCheck(name: "selector") { selector.currentFault }
            checks.append(own)
            beat.add(.selector, checks: [publishing, own]) { selector.tell(&$0) }
        }
        checks = [self.databaseCheck, publishing] + checks
        board.started(checks)
        if let files = SecretFiles(self.settings, outcomes: outcomeTokens, logger: self.logger) {
            services.append(files)
        }
        // Among the first, so that it is told that they have stopped once they have.
        services.insert(beat, at: beatIndex)
        if let notifier = SystemdNotifier(
            environment: ProcessInfo.processInfo.environment,
            checks: checks,
            logger: self.logger
        ) {
            services.append(notifier)
        }
        try await self.serve(services)
    }

    /// Services stop in reverse order, each waited for: those at the front are what the others need.
    private func serve(_ services: [any Service]) async throws {
        var configuration = ServiceGroupConfiguration(
            services: services,
            gracefulShutdownSignals: [.sigterm, .sigint],
            logger: self.logger
        )
        // What waits for a server that is away is cancelled then: nothing is lost by it.
        configuration.maximumGracefulShutdownDuration = .milliseconds(4500)
        self.logger.info("Runs", metadata: ["roles": "\(self.roles.map(\.rawValue).sorted().joined(separator: ","))"])
        StopLimit(logger: self.logger).watch()
        do {
            try await ServiceGroup(configuration: configuration).run()
        } catch is CancellationError {
            self.logger.notice("Gave up waiting for a server that is away")
        }
        self.logger.info("Has stopped")
    }

    private func makeDialer(provider: TwilioProvider, publisher: AMQPConnection) -> (Dialer, AMQPConnection) {
        let configuration = self.settings.dialer
        let consuming = self.connection(
            .dialer,
            id: configuration.id,
            topology: CallTopology.dialRequests(trunk: configuration.trunk)
                .union(CallTopology.hints(dialerID: configuration.id))
        )
        let dialer = Dialer(
            configuration: configuration,
            store: self.store,
            provider: provider,
            consuming: consuming,
            publishing: publisher,
            logger: self.logger
        )
        return (dialer, consuming)
    }

    private var publisherTopology: AMQPTopology {
        // No more than each publishes to, so that its user at the broker needs to be allowed no more.
        var topology = AMQPTopology()
        if self.roles.contains(.webhooks) { topology.formUnion(CallTopology.reports()) }
        if self.roles.contains(.recorder) {
            topology.formUnion(CallTopology.reports().union(CallTopology.surveys()).union(CallTopology.hints()))
        }
        if self.roles.contains(.dialer) {
            topology.formUnion(CallTopology.reports())
            topology.formUnion(CallTopology.dialRequests(trunk: self.settings.dialer.trunk))
        }
        return topology
    }

    /// What a connection to the broker is for.
    private enum Purpose: String {
        case publisher
        case recorder
        case dialer
    }

    private func connection(_ purpose: Purpose, id: String = "", topology: AMQPTopology) -> AMQPConnection {
        var configuration = self.broker
        let name = [purpose.rawValue, id].filter { !$0.isEmpty }.joined(separator: " ")
        configuration.connectionName = "call-scheduler \(self.name): \(name)"
        let connection = AMQPConnection(configuration: configuration, topology: topology, logger: self.logger)
        self.figures.add(connection, purpose: purpose.rawValue)
        return connection
    }

    private func closing(_ close: @escaping @Sendable () async -> Void) -> any Service {
        ClosingService(close: close)
    }
}
