// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

extension Metric {
    /// What every role tells of its connections to the servers.
    static let clients = [
        Metric(
            "database_connected",
            .gauge,
            "every",
            "1 while the database answers, which it is asked every five seconds, else 0.",
            worry: "it is 0 for minutes: see /health/ready"
        ),
        Metric(
            "database_connections",
            .gauge,
            "every",
            "Connections to the database, busy or idle.",
            worry: "busy stays at DATABASE_MAX_CONNECTIONS",
            labels: [Label("state", ["busy", "idle"])]
        ),
        Metric(
            "database_waiting",
            .gauge,
            "every",
            "Callers that wait for a connection.",
            worry: "it is not 0 for long: the database is slow, or too few connections are allowed"
        ),
        Metric(
            "database_statements_total",
            .counter,
            "every",
            "Statements run.",
            worry: "it stands still"
        ),
        Metric(
            "database_reconnects_total",
            .counter,
            "every",
            "Connections made anew after one was lost.",
            worry: "it rises while nobody restarts the database"
        ),
        Metric(
            "broker_connected",
            .gauge,
            "every",
            "1 while the connection stands, else 0.",
            worry: "it is 0 for minutes: see /health/ready",
            labels: [.connection]
        ),
        Metric(
            "broker_blocked",
            .gauge,
            "every",
            "1 while the broker takes no messages over the connection, for want of memory or disk, else 0.",
            worry: "it is 1: free the broker's disk or memory",
            labels: [.connection]
        ),
        Metric(
            "broker_deliveries_total",
            .counter,
            "every",
            "Messages delivered.",
            worry: "it stands still while messages are ready",
            labels: [.connection]
        ),
        Metric(
            "broker_reconnects_total",
            .counter,
            "every",
            "Connections made anew after one was lost.",
            worry: "it rises while nobody restarts the broker",
            labels: [.connection]
        ),
        Metric(
            "broker_consumers_lost_total",
            .counter,
            "every",
            "Consumers lost with their channel or queue, and started again.",
            worry: "it rises: somebody deletes queues, or consumer_timeout is too short",
            labels: [.connection]
        ),
    ]
}
