// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import Metrics
import NIOConcurrencyHelpers
import Postgres

/// Tells what the clients of both servers count, for Prometheus.
final class ClientFigures: Sendable {
    private let database: PostgresClient
    private let connections = NIOLockedValueBox<[(purpose: String, connection: AMQPConnection)]>([])
    /// What was told before: the clients count from their start, and a counter only takes what is added.
    private let told = NIOLockedValueBox<[String: Int]>([:])

    init(database: PostgresClient) {
        self.database = database
    }

    func add(_ connection: AMQPConnection, purpose: String) {
        self.connections.withLockedValue { $0.append((purpose, connection)) }
    }

    func update() {
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
                .record(connection.state == .ready ? 1 : 0)
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
