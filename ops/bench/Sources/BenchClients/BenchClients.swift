// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import ArgumentParser
import Foundation
import Logging
import Postgres

/// Runs the two client modules with nothing around them; `clients/clients.c` does the same without them.
@main
struct BenchClients: AsyncParsableCommand {
    enum Mode: String, ExpressibleByArgument, CaseIterable {
        case publish
        case consume
        case select
        case insert
    }

    static let configuration = CommandConfiguration(
        commandName: "bench-clients",
        abstract: "Runs the Postgres and AMQP modules with nothing around them."
    )

    @Argument(help: "publish makes the queue that consume empties; select and insert ask the database.")
    var mode: Mode

    @Argument(help: "The server.")
    var url: String

    @Argument(help: "Messages, statements or rows.")
    var count: Int

    private static let queue = "bench.clients"
    private static let publishers = 4
    private static let batch = 500
    private static let logger: Logger = {
        var logger = Logger(label: "bench")
        logger.logLevel = .warning
        return logger
    }()

    private struct Figures: Encodable {
        let perSecond: Double
        let cpuUs: Double
    }

    func run() async throws {
        let elapsed: (seconds: Double, cpu: Double) =
            switch self.mode {
            case .publish: try await self.publish()
            case .consume: try await self.consume()
            case .select: try await self.select()
            case .insert: try await self.insert()
            }
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        let figures = Figures(
            perSecond: Double(self.count) / elapsed.seconds,
            cpuUs: elapsed.cpu * 1e6 / Double(self.count)
        )
        FileHandle.standardOutput.write(try encoder.encode(figures) + Data("\n".utf8))
    }

    private static func timed(_ body: () async throws -> Void) async rethrows -> (seconds: Double, cpu: Double) {
        func cpu() -> Double {
            var usage = rusage()
            getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
            return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
                + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
        }
        let (start, before) = (ContinuousClock.now, cpu())
        try await body()
        return ((ContinuousClock.now - start) / .seconds(1), cpu() - before)
    }

    private func connection() async throws -> AMQPConnection {
        var topology = AMQPTopology()
        topology.queue(Self.queue, kind: .quorum, durable: true)
        let configuration = try AMQPConfiguration(uri: self.url)
        let connection = AMQPConnection(configuration: configuration, topology: topology, logger: Self.logger)
        try await connection.waitUntilReady(timeout: .seconds(30))
        return connection
    }

    private func publish() async throws -> (seconds: Double, cpu: Double) {
        let connection = try await self.connection()
        var message = AMQPMessage(body: [UInt8](repeating: UInt8(ascii: "x"), count: 300))
        message.contentType = "application/json"
        message.type = "bench.v1"
        message.messageID = "01989c5e-7b1c-7d60-8a3c-5a3f7d2e9b10"
        message.timestamp = Date()
        let publication = AMQPPublication(message: message, exchange: "", routingKey: Self.queue)
        let share = self.count / Self.publishers
        let elapsed = try await Self.timed {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<Self.publishers {
                    group.addTask {
                        for start in stride(from: 0, to: share, by: Self.batch) {
                            let batch = Array(repeating: publication, count: min(Self.batch, share - start))
                            for result in await connection.publish(batch: batch) { try result.get() }
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
        await connection.close()
        return elapsed
    }

    private func consume() async throws -> (seconds: Double, cpu: Double) {
        let connection = try await self.connection()
        let elapsed = await Self.timed {
            let consumer = connection.consume(queue: Self.queue, prefetch: 1000)
            var held: [AMQPDelivery] = []
            var received = 0
            for await delivery in consumer {
                held.append(delivery)
                received += 1
                if held.count == 100 || received == self.count {
                    connection.ack(held)
                    held.removeAll(keepingCapacity: true)
                }
                if received == self.count { break }
            }
        }
        await connection.close()
        return elapsed
    }

    private func client() throws -> PostgresClient {
        PostgresClient(configuration: try PostgresConfiguration(uri: self.url), logger: Self.logger)
    }

    private func select() async throws -> (seconds: Double, cpu: Double) {
        let client = try self.client()
        let statement = PostgresStatement(name: "s", "select $1::int8")
        let elapsed = try await Self.timed {
            for _ in 0..<self.count { try await client.execute(statement, [0]) }
        }
        await client.close()
        return elapsed
    }

    private func insert() async throws -> (seconds: Double, cpu: Double) {
        let client = try self.client()
        try await client.execute(PostgresStatement("create table bench_clients (id int8)", prepared: false))
        let statement = PostgresStatement(
            name: "i",
            "insert into bench_clients select unnest($1::int8[]) returning id"
        )
        let elapsed = try await Self.timed {
            for start in stride(from: 0, to: self.count, by: Self.batch) {
                let result = try await client.execute(statement, [Array(start..<start + Self.batch)])
                var sum = 0
                for row in 0..<result.count { sum += try result[row].decode(Int.self, at: 0) }
                guard sum > 0 else { throw ValidationError("no rows came back") }
            }
        }
        try await client.execute(PostgresStatement("drop table bench_clients", prepared: false))
        await client.close()
        return elapsed
    }
}
