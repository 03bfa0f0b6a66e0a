// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
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

/// The roles of one process, wired as the product wires them.
struct House {
    enum Role: String, CaseIterable {
        case selector
        case dialer
        case recorder
    }

    let servers: ServerOptions
    let client: PostgresClient
    let store: CallStore

    init(_ servers: ServerOptions) throws {
        MetricsSystem.bootstrap(MetricsRegistry())
        InstrumentationSystem.bootstrap(TraceContextPropagator())
        self.servers = servers
        self.client = try servers.client()
        self.store = CallStore(client: self.client, logger: ServerOptions.logger)
    }

    func publisher(_ name: String) async throws -> AMQPConnection {
        let topology = CallTopology.dialRequests(trunk: "default").union(CallTopology.reports())
            .union(CallTopology.surveys()).union(CallTopology.hints())
        let connection = try self.servers.connection(name, topology)
        try await connection.waitUntilReady(timeout: .seconds(30))
        return connection
    }

    func selector(_ broker: AMQPConnection, _ change: (inout SelectorConfiguration) -> Void) -> Selector {
        var configuration = SelectorConfiguration()
        change(&configuration)
        return Selector(configuration: configuration, store: self.store, broker: broker, logger: ServerOptions.logger)
    }

    func dialer(_ provider: any TelephonyProvider, _ broker: AMQPConnection, maximumCalls: Int) throws -> Dialer {
        let id = "bench-\(ProcessInfo.processInfo.processIdentifier)"
        var configuration = DialerConfiguration(id: id)
        configuration.maximumConcurrentCalls = maximumCalls
        configuration.callsPerSecond = 1_000_000
        return Dialer(
            configuration: configuration,
            store: self.store,
            provider: provider,
            consuming: try self.servers.connection(
                "dialer",
                CallTopology.dialRequests(trunk: "default").union(CallTopology.hints(dialerID: id))
            ),
            publishing: broker,
            logger: ServerOptions.logger
        )
    }

    func recorder(_ broker: AMQPConnection) throws -> OutcomeRecorder {
        OutcomeRecorder(
            configuration: RecorderConfiguration(),
            store: self.store,
            consuming: try self.servers.connection("recorder", CallTopology.reports()),
            publishing: broker,
            logger: ServerOptions.logger
        )
    }

    /// Runs services until SIGTERM.
    func serve(_ services: [any Service]) async throws {
        var configuration = ServiceGroupConfiguration(
            services: services,
            gracefulShutdownSignals: [.sigterm, .sigint],
            logger: ServerOptions.logger
        )
        configuration.maximumGracefulShutdownDuration = .seconds(8)
        try await ServiceGroup(configuration: configuration).run()
        await self.client.close()
    }
}
