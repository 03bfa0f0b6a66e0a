// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import Foundation
import NIOHTTP1
import TestBasics
import Testing

/// What is deleted under a running connection comes back, and nothing else stops meanwhile.
@Suite(.timeLimit(.minutes(20)))
struct HealingTests {
    private static var topology: AMQPTopology {
        var topology = AMQPTopology()
        topology.exchange("e", kind: .direct)
        topology.queue("q")
        topology.bind(queue: "q", exchange: "e", routingKey: "k")
        return topology
    }

    private static func publish(_ connection: AMQPConnection, _ byte: UInt8) async throws {
        try await connection.publish(AMQPMessage(body: [byte]), exchange: "e", routingKey: "k")
    }

    /// Takes things away one after the other, as an operator would.
    private static func delete(_ broker: Broker, _ paths: [String]) async throws {
        for path in paths { try await Broker.manage(.DELETE, path.replacing("VHOST", with: broker.name)) }
    }

    @Test(
        "a message is taken although its exchange, its queue or its binding was deleted",
        arguments: [
            ["/api/exchanges/VHOST/e"], ["/api/queues/VHOST/q"], ["/api/bindings/VHOST/e/e/q/q/k"],
            ["/api/exchanges/VHOST/e", "/api/queues/VHOST/q"],
        ]
    )
    func published(paths: [String]) async throws {
        try await Broker.run { broker in
            try await broker.connected(topology: Self.topology, { $0.declarationInterval = .seconds(3600) }) {
                connection in
                try await Self.publish(connection, 1)
                try await Self.delete(broker, paths)
                try await Self.publish(connection, 2)
                // Once more: what has healed heals again.
                try await Self.delete(broker, paths)
                try await Self.publish(connection, 3)
                #expect(connection.statistics.reconnects == 0)
                #expect(connection.faults.isEmpty)
            }
        }
    }

    @Test("an exchange that only unconfirmed messages go to comes back")
    func unconfirmed() async throws {
        try await Broker.run { broker in
            try await broker.connected(topology: Self.topology, { $0.declarationInterval = .seconds(3600) }) {
                connection in
                try await Self.delete(broker, ["/api/exchanges/VHOST/e"])
                var topology = AMQPTopology()
                topology.queue("other")
                try await connection.declare(topology)
                try await eventually("one arrives") {
                    connection.publishUnconfirmed(
                        AMQPPublication(
                            message: AMQPMessage(body: [7]),
                            exchange: "e",
                            routingKey: "k",
                            mandatory: false
                        )
                    )
                    return try await connection.queueStatus("q").messagesReady > 0
                }
                #expect(connection.statistics.reconnects == 0)
            }
        }
    }

    @Test("a consumer whose queue is deleted is served again, without anybody declaring it, and says so meanwhile")
    func consumed() async throws {
        try await Broker.run { broker in
            try await broker.connected(topology: Self.topology, { $0.declarationInterval = .seconds(3600) }) {
                connection in
                let consumer = connection.consume(queue: "q", prefetch: 10)
                var iterator = consumer.makeAsyncIterator()
                for byte in UInt8(1)...3 {
                    try await Self.publish(connection, byte)
                    let delivery = try #require(await iterator.next())
                    #expect(delivery.message.body == [byte])
                    try delivery.ack()
                    try await Self.delete(broker, ["/api/queues/VHOST/q"])
                    try await eventually("it is back, with its consumer") {
                        (try? await connection.queueStatus("q").consumers) == 1 && connection.faults.isEmpty
                    }
                }
                #expect(connection.statistics.consumersLost == 3)
                #expect(connection.statistics.reconnects == 0)
            }
        }
    }

    @Test("what nobody uses at the moment comes back as well")
    func unused() async throws {
        try await Broker.run { broker in
            try await broker.connected(topology: Self.topology, { $0.declarationInterval = .milliseconds(200) }) { _ in
                try await broker.connected { asking in
                    try await Self.delete(broker, ["/api/queues/VHOST/q"])
                    try await eventually("it is back") {
                        (try? await asking.queueStatus("q")) != nil
                    }
                }
            }
        }
    }

    @Test("a consumer of a queue that nobody here declares waits for it, says so, and goes on when it is there")
    func foreign() async throws {
        try await Broker.run { broker in
            try await broker.connected { connection in
                let consumer = connection.consume(queue: "q", prefetch: 1)
                try await eventually("it is said") { connection.faults.map(\.code) == [.notFound] }
                #expect(connection.state == .ready)
                try await broker.connected(topology: .queue("q")) { other in
                    try await other.publish(AMQPMessage(body: [5]), exchange: "", routingKey: "q")
                    var iterator = consumer.makeAsyncIterator()
                    #expect(await iterator.next()?.message.body == [5])
                    #expect(connection.faults.isEmpty)
                }
            }
        }
    }

    @Test("an exclusive queue that a lost connection still holds keeps nothing else down, and comes when it is free")
    func exclusive() async throws {
        try await Broker.run { broker in
            var topology = AMQPTopology.queue("q")
            topology.exchange("hints", kind: .direct)
            topology.queue("hints.1", kind: .classic, durable: false, exclusive: true, autoDelete: true)
            topology.bind(queue: "hints.1", exchange: "hints", routingKey: "1")
            let all = topology
            try await broker.connected { second in
                try await broker.connected(topology: all) { _ in
                    try await broker.connected(topology: all) { connection in
                        let hints = connection.consume(queue: "hints.1", prefetch: 1)
                        try await connection.publish(AMQPMessage(body: [1]), exchange: "", routingKey: "q")
                        var iterator = connection.consume(queue: "q", prefetch: 1).makeAsyncIterator()
                        #expect(await iterator.next()?.message.body == [1])
                        #expect(connection.faults.contains { $0.code == .resourceLocked })
                        #expect(connection.state == .ready)
                        await hints.cancel()
                    }
                }
                // Its holder is gone: another one takes it.
                try await broker.connected(topology: all) { connection in
                    var hints = connection.consume(queue: "hints.1", prefetch: 1).makeAsyncIterator()
                    try await second.publish(AMQPMessage(body: [2]), exchange: "hints", routingKey: "1")
                    #expect(await hints.next()?.message.body == [2])
                }
            }
        }
    }

    @Test("after a half-open loss the old connection's exclusive queue is waited for while the rest works")
    func halfOpen() async throws {
        try await Broker.run { broker in
            let relay = try Relay(to: broker.port)
            defer { relay.close() }
            var topology = AMQPTopology.queue("q")
            topology.queue("hints.1", kind: .classic, durable: false, exclusive: true)
            try await broker.connected(topology: topology, through: relay) { connection in
                relay.loseHalf()
                try await eventually("it is connected anew") {
                    connection.statistics.reconnects == 1 && connection.state == .ready
                }
                try await connection.publish(AMQPMessage(body: [1]), exchange: "", routingKey: "q")
                var iterator = connection.consume(queue: "q", prefetch: 1).makeAsyncIterator()
                #expect(await iterator.next()?.message.body == [1])
                #expect(connection.faults.map(\.code) == [.resourceLocked])
                relay.loseRest()
                try await eventually("the queue is ours again") { connection.faults.isEmpty }
                #expect(try await connection.queueStatus("hints.1").consumers == 0)
            }
        }
    }

    @Test("a queue that is declared otherwise under a running connection is put aside, and said; the rest goes on")
    func clashLater() async throws {
        try await Broker.run { broker in
            var topology = Self.topology
            topology.queue("other")
            try await broker.connected(topology: topology, { $0.declarationInterval = .milliseconds(200) }) {
                connection in
                try await Self.delete(broker, ["/api/queues/VHOST/other"])
                try await broker.connected { other in
                    try await eventually("it is another one") {
                        try? await other.deleteQueue("other")
                        return (try? await other.declare(.queue("other", .classic))) != nil
                    }
                }
                try await eventually("it is said") { connection.faults.map(\.code) == [.topologyMismatch] }
                try await Self.publish(connection, 1)
                try await eventually("the broker lists the connection") { try await broker.dropConnections() > 0 }
                try await eventually("it is connected anew all the same") {
                    connection.statistics.reconnects > 0 && connection.state == .ready
                }
                try await Self.publish(connection, 2)
            }
        }
    }
}
