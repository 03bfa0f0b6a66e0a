// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import ArgumentParser
import CallStore
import Logging
import Postgres

/// Where the servers are.
struct ServerOptions: ParsableArguments {
    @Option(help: "PostgreSQL, a libpq URI.")
    var databaseURL: String

    @Option(help: "RabbitMQ, an AMQP URI.")
    var amqpURL: String

    @Option(help: "Connections to PostgreSQL.")
    var databaseConnections = 8

    static let logger: Logger = {
        var logger = Logger(label: "bench")
        logger.logLevel = .warning
        return logger
    }()

    func client() throws -> PostgresClient {
        var configuration = try PostgresConfiguration(uri: self.databaseURL)
        configuration.applicationName = "bench-roles"
        configuration.sessionSettings = CallStore.sessionSettings
        configuration.maximumConnections = self.databaseConnections
        return PostgresClient(configuration: configuration, logger: Self.logger)
    }

    func connection(_ name: String, _ topology: AMQPTopology) throws -> AMQPConnection {
        var configuration = try AMQPConfiguration(uri: self.amqpURL)
        configuration.connectionName = "bench-roles: \(name)"
        return AMQPConnection(configuration: configuration, topology: topology, logger: Self.logger)
    }
}
