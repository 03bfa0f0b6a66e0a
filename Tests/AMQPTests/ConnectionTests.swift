// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import Foundation
import Logging
import TestBasics
import Testing

@Suite(.timeLimit(.minutes(20)))
struct ConnectionTests {
    @Test(
        "a URI that cannot be used is refused with its fault and without its password",
        arguments: [
            ("http://localhost", "amqp://"), ("amqp://", "host"), ("amqp://u:hunter2@h:99999/", "port"),
            ("amqp://u:hunter2@h/a/b", "virtual host"), ("amqp://u:hunter2@h/?frobnicate=1", "frobnicate"),
            ("amqp://u:hunter2@h/?heartbeat=never", "heartbeat"), ("amqp://u:hunter2@one,,three/", "commas"),
            ("amqp://u:hunter2@one,two:0/", "port"),
        ]
    )
    func badURI(uri: String, fault: String) {
        let error = #expect(throws: AMQPError.self) { try AMQPConfiguration(uri: uri) }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message.contains(fault) == true, "\(error?.message ?? "")")
        #expect(error?.description.contains("hunter2") == false)
    }

    @Test("names and passwords in a URI are percent-decoded, and the defaults are the broker's")
    func goodURI() throws {
        let configuration = try AMQPConfiguration(uri: "amqps://us%40er:p%2Fw@broker.example/my%2Fhost")
        #expect(configuration.virtualHost == "my/host")
        #expect(configuration.nodes.map(\.description) == ["broker.example:5671"])
        #expect(configuration.usesTLS)
        #expect(!"\(configuration) \([configuration]) \(String(reflecting: configuration))".contains("p/w"))
        let plain = try AMQPConfiguration(uri: "amqp://h")
        #expect(plain.virtualHost == "/")
        let cluster = try AMQPConfiguration(uri: "amqp://u:p@one,two:5673,[::1]:5674/v?heartbeat=5")
        #expect(cluster.nodes.map(\.description) == ["one:5672", "two:5673", "[::1]:5674"])
        #expect(cluster.virtualHost == "v")
        #expect(cluster.heartbeat == .seconds(5))
    }

    /// Why it does not get ready, once the first try to connect has come to its end; nil when it does.
    private static func failure(_ uri: String) async throws -> AMQPError? {
        var logger = Logger(label: "amqp-tests")
        logger.logLevel = .critical
        let connection = AMQPConnection(configuration: try AMQPConfiguration(uri: uri), logger: logger)
        var failure: AMQPError?
        try await eventually("it is known whether it can connect") {
            do {
                try await connection.waitUntilReady(timeout: .seconds(1))
                failure = nil
            } catch let error as AMQPError {
                failure = error
            }
            return failure?.code != .timeout
        }
        await connection.close()
        return failure
    }

    @Test("a wrong password, an unknown virtual host and a closed port are told apart")
    func refusals() async throws {
        try await Broker.run { broker in
            let wrong = try await Self.failure(broker.uri.replacing("guest:guest", with: "guest:hunter2"))
            #expect(wrong?.code == .accessRefused)
            #expect(wrong?.description.contains("hunter2") == false)
            let unknown = try await Self.failure(broker.uri + "x")
            #expect(unknown?.code == .accessRefused)
        }
        let closed = try await Self.failure("amqp://127.0.0.1:1/")
        #expect(closed?.code == .connectionFailed)
        #expect(closed?.message.contains("127.0.0.1:1") == true)
        let nameless = try await Self.failure("amqp://no.such.host.invalid/")
        #expect(nameless?.code == .connectionFailed)
    }

    @Test("a queue that exists otherwise is a mismatch that names the queue and the argument")
    func mismatch() async throws {
        try await Broker.run { broker in
            try await broker.connected(topology: .queue("q", .classic)) { connection in
                let error = await #expect(throws: AMQPError.self) { try await connection.declare(.queue("q", .quorum)) }
                #expect(error?.code == .topologyMismatch)
                #expect(error?.message.contains("'q'") == true)
                #expect(error?.message.contains("x-queue-type") == true)
                // The refusal hurt nobody else.
                let status = try await connection.queueStatus("q")
                #expect(status.messagesReady == 0)
                let missing = await #expect(throws: AMQPError.self) { try await connection.queueStatus("none") }
                #expect(missing?.code == .notFound)
            }
        }
    }

    @Test("of several nodes, one that does not answer is passed over, and the error names the last one tried")
    func severalNodes() async throws {
        try await Broker.run { broker in
            let passedOver = try DeafServer()
            // Each connection begins at another node.
            try await eventually("the node that does not answer was tried first") {
                let uri = broker.uri.replacing("@", with: "@127.0.0.1:\(passedOver.port),127.0.0.1:1,")
                let connection = AMQPConnection(
                    configuration: try AMQPConfiguration(uri: uri),
                    logger: Logger(label: "amqp-tests")
                )
                try await connection.waitUntilReady(timeout: .seconds(600))
                await connection.close()
                return passedOver.callers > 0
            }
            passedOver.stop()
        }
        let none = try await Self.failure("amqp://127.0.0.1:1,127.0.0.1:2/")
        #expect(none?.code == .connectionFailed)
        #expect(none?.message.contains("127.0.0.1:1") == true || none?.message.contains("127.0.0.1:2") == true)
    }

    @Test("an idle connection sends its heartbeats and is there when it is needed")
    func idle() async throws {
        try await Broker.run { broker in
            let relay = try Relay(to: broker.port)
            defer { relay.close() }
            try await broker.connected(topology: .queue("q"), through: relay, { $0.heartbeat = .seconds(2) }) {
                connection in
                #expect(try await broker.heartbeats() == [2])
                let start = relay.bytesToBroker
                // Nothing else is sent; a heartbeat is a frame of eight bytes (AMQP 0-9-1, 4.2.3 and 4.2.7).
                try await eventually("three heartbeats were sent") { relay.bytesToBroker >= start + 3 * 8 }
                try await connection.publish(AMQPMessage(body: []), exchange: "", routingKey: "q")
            }
        }
    }

    @Test("after a lost connection the consumer is served again, and old deliveries say that they are lost")
    func reconnect() async throws {
        try await Broker.run { broker in
            try await broker.connected(topology: .queue("q")) { connection in
                for _ in 0..<3 { try await connection.publish(AMQPMessage(body: [1]), exchange: "", routingKey: "q") }
                let consumer = connection.consume(queue: "q", prefetch: 10)
                var iterator = consumer.makeAsyncIterator()
                var first: [AMQPDelivery] = []
                while first.count < 3, let delivery = await iterator.next() { first.append(delivery) }
                try await eventually("the broker lists the connection") { try await broker.dropConnections() > 0 }
                try await eventually("it is connected anew") {
                    connection.statistics.reconnects > 0 && connection.state == .ready
                }
                var second: [AMQPDelivery] = []
                while second.count < 3, let delivery = await iterator.next() { second.append(delivery) }
                #expect(second.allSatisfy { $0.redelivered })
                let error = #expect(throws: AMQPError.self) { try first[0].ack() }
                #expect(error?.code == .deliveryLost)
                #expect(!first[0].isValid)
                for delivery in second { try delivery.ack() }
                try await eventually("all are acked") {
                    let status = try await connection.queueStatus("q")
                    return status.messagesReady == 0 && status.consumers == 1
                }
                try await connection.publish(AMQPMessage(body: [2]), exchange: "", routingKey: "q")
                #expect(await iterator.next()?.message.body == [2])
            }
        }
    }

    @Test("a consumer whose queue is deleted is served again when the queue is back")
    func queueDeleted() async throws {
        try await Broker.run { broker in
            try await broker.connected(topology: .queue("q")) { connection in
                let consumer = connection.consume(queue: "q", prefetch: 10)
                try await eventually("it consumes") { try await connection.queueStatus("q").consumers == 1 }
                try await connection.deleteQueue("q")
                try await eventually("the loss is noticed") { connection.statistics.consumersLost == 1 }
                try await connection.declare(.queue("q"))
                try await connection.publish(AMQPMessage(body: [3]), exchange: "", routingKey: "q")
                var iterator = consumer.makeAsyncIterator()
                #expect(await iterator.next()?.message.body == [3])
            }
        }
    }

    @Test("a closed connection refuses everything at once")
    func closed() async throws {
        try await Broker.run { broker in
            try await broker.connected(topology: .queue("q")) { connection in
                await connection.close()
                #expect(connection.state == .closed)
                let error = await #expect(throws: AMQPError.self) {
                    try await connection.publish(AMQPMessage(body: []), exchange: "", routingKey: "q")
                }
                #expect(error?.code == .closed)
                for await _ in connection.consume(queue: "q", prefetch: 1) { Issue.record("a delivery from nowhere") }
            }
        }
    }
}
