// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallStore
import Logging
import Metrics
import NIOConcurrencyHelpers
import Postgres
import ServiceLifecycle

/// Tells what the clients of both servers count, for Prometheus, and whether the database answers.
final class ClientFigures: Service {
    private let database: PostgresClient
    private let store: CallStore
    private let connections = NIOLockedValueBox<[(purpose: String, connection: AMQPConnection)]>([])
    /// What was told before: the clients count from their start, and a counter only takes what is added.
    private let lastAnswer = NIOLockedValueBox<ContinuousClock.Instant?>(nil)
    private let told = NIOLockedValueBox<[String: Int]>([:])

    init(database: PostgresClient, logger: Logger) {
        self.database = database
        self.store = CallStore(client: database, logger: logger)
    }

    func add(_ connection: AMQPConnection, purpose: String) {
        self.connections.withLockedValue { $0.append((purpose, connection)) }
    }

    /// Between two questions to the database.
    private static let interval = Duration.seconds(5)

    /// Asks the database whether it is there, until the process drains: one that hangs does not answer either.
    func run() async throws {
        while !Task.isCancelled, !Task.isShuttingDownGracefully {
            try? await cancelWhenGracefulShutdown {
                if (try? await self.store.ping()) != nil { self.lastAnswer.withLockedValue { $0 = .now } }
                // A server that is lost does not tell; it is asked.
                try await Task.sleep(for: Self.interval)
            }
        }
    }

    private var isAnswered: Bool {
        self.lastAnswer.withLockedValue { $0.map { .now - $0 < Self.interval * 3 } ?? false }
    }

    func update() {
        Gauge(label: "call_scheduler_database_connected").record(self.isAnswered ? 1 : 0)
        let statistics = self.database.statistics
        Gauge(label: "call_scheduler_database_connections", dimensions: [("state", "busy")]).record(statistics.busy)
        Gauge(label: "call_scheduler_database_connections", dimensions: [("state", "idle")]).record(statistics.idle)
        Gauge(label: "call_scheduler_database_waiting").record(statistics.waiting)
        self.count("call_scheduler_database_statements_total", statistics.executed)
        self.count("call_scheduler_database_reconnects_total", statistics.reconnects)
        for (purpose, connection) in self.connections.withLockedValue(\.self) {
            let label = [("connection", purpose)]
            let statistics = connection.statistics
            Gauge(label: "call_scheduler_broker_connected", dimensions: label)
                .record(connection.state.isConnected ? 1 : 0)
            Gauge(label: "call_scheduler_broker_blocked", dimensions: label)
                .record(connection.state.isBlocked ? 1 : 0)
            self.count("call_scheduler_broker_deliveries_total", statistics.delivered, label)
            self.count("call_scheduler_broker_reconnects_total", statistics.reconnects, label)
            self.count("call_scheduler_broker_consumers_lost_total", statistics.consumersLost, label)
        }
    }

    private func count(_ name: String, _ total: Int, _ label: [(String, String)] = []) {
        let added = self.told.withLockedValue { told in
            let key = name + (label.first?.1 ?? "")
            defer { told[key] = total }
            return total - told[key, default: 0]
        }
        Counter(label: name, dimensions: label).increment(by: added)
    }
}

extension AMQPConnectionState {
    fileprivate var isBlocked: Bool { if case .blocked = self { true } else { false } }
    fileprivate var isConnected: Bool { self == .ready || self.isBlocked }
}
