// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
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
    enum Role: String, CaseIterable {
        case selector
        case dialer
        case recorder
        case webhooks
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
    }

    private static let metrics = MetricsRegistry()

    static func run(_ roles: Set<Role>, common: CommonOptions) async throws {
        let name = roles.count == 1 ? roles.first.map(\.rawValue) ?? "all" : "all"
        var settings = try common.settings()
        let (level, format) = settings.logging()
        var database = settings.database(applicationName: "call-scheduler/\(name)")
        database?.sessionSettings = CallStore.sessionSettings
        let broker = settings.broker()
        let needsProvider = roles.contains(.dialer) || roles.contains(.webhooks)
        let provider = needsProvider ? settings.provider() : nil
        let role = RoleSettings(
            selector: settings.selector(),
            dialer: settings.dialer(),
            recorder: settings.recorder(),
            webhooks: settings.webhooks(),
            provider: provider,
            health: settings.health()
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

    private func run() async throws {
        do {
            try await self.checkSchema()
        } catch let error as PostgresError where error.sqlState == "42501" {
            // Rights come with `ops/make-users`, perhaps in a moment: who stays down then is missed.
            throw NotLetIn(
                message: "DATABASE_URL: \(error.message): its user has no rights yet, or none any more (ops/make-users)"
            )
        }
        let publisher = self.connection(.publisher, topology: self.publisherTopology)
        try await publisher.waitUntilReady(timeout: .seconds(30))
        var services: [any Service] = [self.figures, self.closing { await publisher.close() }]
        var checks = [self.databaseCheck, Self.check("broker", publisher)]
        var provider: TwilioProvider?
        if let configuration = self.settings.provider {
            let client = HTTPClient(configuration: TwilioProvider.makeHTTPClientConfiguration())
            provider = TwilioProvider(configuration: configuration, httpClient: client, logger: self.logger)
            services.append(self.closing { try? await client.shutdown() })
        }
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
            checks += [
                Self.check("recorder's connection", consuming), HealthCheck(name: "recorder") { recorder.currentFault },
            ]
        }
        if self.roles.contains(.webhooks), let provider {
            services.append(
                WebhookServer(
                    configuration: self.settings.webhooks,
                    provider: provider,
                    store: self.store,
                    broker: publisher,
                    logger: self.logger
                )
            )
        }
        if self.roles.contains(.dialer), let provider {
            let (dialer, consuming) = self.makeDialer(provider: provider, publisher: publisher)
            services += [self.closing { await consuming.close() }, dialer]
            Self.metrics.beforeExposition { dialer.updateFigures() }
            checks += [
                Self.check("dialer's connection", consuming), HealthCheck(name: "dialer") { dialer.currentFault },
            ]
        }
        if self.roles.contains(.selector) {
            let selector = Selector(
                configuration: self.settings.selector,
                store: self.store,
                broker: publisher,
                logger: self.logger
            )
            services.append(selector)
            checks.append(HealthCheck(name: "selector") { selector.currentFault })
        }
        if self.settings.health.port > 0 {
            services.append(
                HealthServer(
                    host: self.settings.health.host,
                    port: self.settings.health.port,
                    checks: checks,
                    metrics: Self.metrics,
                    logger: self.logger
                )
            )
        }
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

    /// Waits for the database and makes sure that it has the schema that this program needs.
    private func checkSchema() async throws {
        switch try await self.store.schemaState() {
        case .current: return
        case .behind(_, let missing):
            throw StoreError(
                code: .schemaMismatch,
                message: "the database lacks \(missing.count) migration(s): run `call-scheduler migrate`"
            )
        case .ahead(let version):
            self.logger.warning(
                "The database's schema is newer than this program",
                metadata: ["version": "\(version)"]
            )
        case .edited(let difference):
            throw StoreError(code: .schemaMismatch, message: "an applied migration was edited: \(difference)")
        }
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

    private var databaseCheck: HealthCheck {
        let store = self.store
        return HealthCheck(name: "database") {
            do {
                try await store.ping()
                return nil
            } catch {
                return "\(error)"
            }
        }
    }

    private static func check(_ name: String, _ connection: AMQPConnection) -> HealthCheck {
        HealthCheck(name: name) {
            switch connection.state {
            case .ready: connection.faults.first.map { "\($0)" }
            case .blocked(let reason): "the broker takes no messages now: \(reason)"
            case .connecting: connection.lastError.map { "\($0)" } ?? "connecting"
            case .closed: "closed"
            }
        }
    }

    private func closing(_ close: @escaping @Sendable () async -> Void) -> any Service {
        ClosingService(close: close)
    }
}

/// Holds something open until everything after it has stopped.
private struct ClosingService: Service {
    let close: @Sendable () async -> Void

    func run() async throws {
        try? await gracefulShutdown()
        await self.close()
    }
}
