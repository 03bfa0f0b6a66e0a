// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import TestBasics
import Testing

@testable import AMQP

/// One user's fault, loss or haste is not the others'.
@Suite(.timeLimit(.minutes(20)))
struct IsolationTests {
    private static func publication(_ queue: String, exchange: String = "") -> AMQPPublication {
        AMQPPublication(message: AMQPMessage(body: [1]), exchange: exchange, routingKey: queue)
    }

    private static func fill(_ connection: AMQPConnection, _ queue: String, _ count: Int) async throws {
        for outcome in await connection.publish(batch: (0..<count).map { _ in Self.publication(queue) }) {
            try outcome.get()
        }
    }

    private static func take(_ count: Int, _ iterator: inout AMQPConsumer.AsyncIterator) async -> [AMQPDelivery] {
        var taken: [AMQPDelivery] = []
        while taken.count < count, let delivery = await iterator.next() { taken.append(delivery) }
        return taken
    }

    @Test("of several settlements of one delivery the first stands, and the others that are held stay held")
    func settledTwice() async throws {
        try await Broker.run { broker in
            try await broker.connected(topology: .queue("q")) { connection in
                try await Self.fill(connection, "q", 5)
                let consumer = connection.consume(queue: "q", prefetch: 10)
                var iterator = consumer.makeAsyncIterator()
                let held = await Self.take(5, &iterator)
                try held[0].ack()
                try held[0].ack()
                connection.ack([held[0], held[1], held[1]])
                try held[2].nack(requeue: false)
                try held[2].nack(requeue: true)
                try held[2].ack()
                try held[3].ack()
                try held[3].nack(requeue: true)
                let got = try await connection.get("q")
                #expect(got == nil)
                #expect(held[4].isValid)
                #expect(connection.statistics.consumersLost == 0)
                try await Self.fill(connection, "q", 1)
                try #require(await iterator.next()).nack(requeue: true)
                try #require(await iterator.next()).ack()
                await consumer.cancel()
                try held[4].ack()
                try await Self.fill(connection, "q", 2)
                let first = try #require(try await connection.get("q"))
                let second = try #require(try await connection.get("q"))
                try first.ack()
                try first.ack()
                try first.nack(requeue: true)
                try second.nack(requeue: true)
                try await eventually("one is left") { try await connection.queueStatus("q").messagesReady == 1 }
                #expect(connection.statistics.reconnects == 0)
            }
        }
    }

    @Test("a delivery is settled on the connection that it came from, through whichever it is acked")
    func strangers() async throws {
        try await Broker.run { broker in
            var topology = AMQPTopology.queue("a")
            topology.queue("b")
            try await broker.connected(topology: topology) { one in
                try await broker.connected { other in
                    try await Self.fill(one, "a", 1)
                    try await Self.fill(one, "b", 1)
                    var first = one.consume(queue: "a", prefetch: 1).makeAsyncIterator()
                    var second = other.consume(queue: "b", prefetch: 1).makeAsyncIterator()
                    let mine = try #require(await first.next())
                    let theirs = try #require(await second.next())
                    one.ack([theirs])
                    // What came after it has been answered when this has.
                    _ = try await one.queueStatus("a")
                    _ = try await other.queueStatus("b")
                    #expect(mine.isValid)
                }
                try await eventually("the other's was acked") {
                    try await one.queueStatus("b") == AMQPQueueStatus.empty
                }
            }
            try await broker.connected { last in
                try await eventually("ours was not") { try await last.queueStatus("a").messagesReady == 1 }
            }
        }
    }

    @Test("a message to a missing exchange fails alone: its neighbours in the batch arrive")
    func neighbours() async throws {
        try await Broker.run { broker in
            try await broker.connected(topology: .queue("q")) { connection in
                let places = (0..<300).map { $0.isMultiple(of: 100) ? "nowhere" : "" }
                let outcomes = await connection.publish(batch: places.map { Self.publication("q", exchange: $0) })
                for (place, outcome) in zip(places, outcomes) {
                    guard place.isEmpty else {
                        let error = #expect(throws: AMQPError.self) { try outcome.get() }
                        #expect(error?.code == .notFound)
                        continue
                    }
                    #expect(throws: Never.self) { try outcome.get() }
                }
                // Nobody may take for known what the broker did not say.
                let failures = outcomes.compactMap { outcome -> AMQPError? in
                    if case .failure(let error) = outcome { error } else { nil }
                }
                #expect(failures.count(where: { !$0.isOutcomeUnknown }) >= 1)
                let status = try await connection.queueStatus("q")
                #expect(status.messagesReady == 297)
            }
        }
    }

    @Test("a consumer that nobody reads any more gives back what nobody took, and takes no more")
    func abandoned() async throws {
        try await Broker.run { broker in
            try await broker.connected(topology: .queue("q")) { connection in
                try await Self.fill(connection, "q", 10)
                // Dropped by itself, and with its task.
                var taken: [AMQPDelivery] = []
                do {
                    var iterator = connection.consume(queue: "q", prefetch: 10).makeAsyncIterator()
                    try #require(await iterator.next()).ack()
                    taken += [try #require(await iterator.next())]
                }
                try await eventually("eight are back", of: { try await connection.queueStatus("q").messagesReady }) {
                    $0 == 8
                }
                let (three, counter) = AsyncStream<Void>.makeStream()
                let task = Task {
                    var count = 0
                    for await delivery in connection.consume(queue: "q", prefetch: 10) {
                        try delivery.ack()
                        count += 1
                        guard count == 3 else { continue }
                        counter.yield()
                        while !Task.isCancelled { await Task.yield() }
                    }
                    return count
                }
                for await _ in three { break }
                task.cancel()
                #expect(try await task.value == 3)
                try await eventually("five are back", of: { try await connection.queueStatus("q").messagesReady }) {
                    $0 == 5
                }
                // What was taken before can still be settled.
                try taken[0].nack(requeue: true)
                // The broker counts a cancelled consumer for as long as it holds something.
                try await eventually("it is back", of: { try await connection.queueStatus("q") }) { $0 == .ready(6) }
                #expect(connection.statistics.consumersLost == 0)
            }
        }
    }

    @Test("consumers may come and go for ever: their channels are given back")
    func manyConsumers() async throws {
        try await Broker.run { broker in
            try await broker.connected(topology: .queue("q")) { connection in
                try await Self.fill(connection, "q", 1)
                for _ in 0..<2500 {
                    let consumer = connection.consume(queue: "q", prefetch: 1)
                    var iterator = consumer.makeAsyncIterator()
                    let delivery = try #require(await iterator.next())
                    await consumer.cancel()
                    try delivery.nack(requeue: true)
                }
                #expect(connection.faults.isEmpty)
                #expect(connection.statistics.reconnects == 0)
                try await eventually("few channels are left") { try await broker.channels() <= 3 }
            }
        }
    }

    @Test("whatever is asked when the connection breaks comes to an end")
    func nothingHangs() async throws {
        try await Broker.run { broker in
            let relay = try Relay(to: broker.port)
            defer { relay.close() }
            try await broker.connected(topology: .queue("q"), through: relay) { connection in
                for round in 0..<7 {
                    try await connection.waitUntilReady(timeout: .seconds(600))
                    let consumers = (0..<5).map { _ in connection.consume(queue: "q", prefetch: 1) }
                    await withTaskGroup(of: Void.self) { group in
                        for index in 0..<200 {
                            group.addTask {
                                switch index % 4 {
                                case 0: _ = await connection.publish(batch: [Self.publication("q")])
                                case 1: _ = try? await connection.queueStatus("q")
                                case 2: await consumers[index / 4 % 5].cancel()
                                default: _ = try? await connection.get("q")
                                }
                                if index == round * 20 { relay.cut() }
                            }
                        }
                    }
                    try await eventually("it has been broken off") { connection.statistics.reconnects > round }
                }
            }
        }
    }

    @Test("a connection that always breaks at once is made anew ever more slowly")
    func backoff() async throws {
        try await Broker.run { broker in
            let relay = try Relay(to: broker.port)
            defer { relay.close() }
            let clock = TestClock()
            var components = URLComponents(string: broker.uri)
            components?.port = relay.port
            var logger = Logger(label: "amqp-tests")
            logger.logLevel = .critical
            let connection = AMQPConnection(
                configuration: try AMQPConfiguration(uri: components?.string ?? ""),
                logger: logger,
                now: { clock.now }
            )
            try await connection.waitUntilReady(timeout: .seconds(600))
            for limit in [100, 200, 400, 800, 1600] {
                let (connections, start) = (relay.connections, clock.now)
                relay.cut()
                // The time stands while there is a connection, so that none lives long.
                try await eventually("it is made anew", of: { relay.connections }) { count in
                    if count == connections { clock.advance(by: .milliseconds(20)) }
                    return count > connections
                }
                #expect(clock.now - start >= .milliseconds(limit / 2), "\(limit)")
                try await eventually("it is ready") { connection.state == .ready }
            }
            await connection.close()
        }
    }

    @Test("who waits for a connection without time, or is cancelled, waits no longer")
    func waiting() async throws {
        try await Broker.run { broker in
            let relay = try Relay(to: broker.port)
            defer { relay.close() }
            relay.hold(true)
            var components = URLComponents(string: broker.uri)
            components?.port = relay.port
            var logger = Logger(label: "amqp-tests")
            logger.logLevel = .critical
            var configuration = try AMQPConfiguration(uri: components?.string ?? "")
            // No attempt has failed when the time is over, however long all of this takes.
            configuration.connectTimeout = .seconds(3600)
            let connection = AMQPConnection(configuration: configuration, logger: logger)
            for timeout in [Duration.zero, .seconds(-1), .nanoseconds(1)] {
                for _ in 0..<100 {
                    let error = await #expect(throws: AMQPError.self) {
                        try await connection.waitUntilReady(timeout: timeout)
                    }
                    #expect(error?.code == .timeout)
                }
            }
            for isEarly in [true, false] {
                let task = Task {
                    while isEarly, !Task.isCancelled { await Task.yield() }
                    try await connection.waitUntilReady(timeout: .seconds(3600))
                }
                if !isEarly { try await eventually("it waits") { connection.shared.waitingCount == 1 } }
                task.cancel()
                let error = await #expect(throws: AMQPError.self) { try await task.value }
                #expect(error?.code == .cancelled)
            }
            relay.hold(false)
            try await connection.waitUntilReady(timeout: .seconds(600))
            let running = Task { await connection.run() }
            await connection.close()
            await running.value
        }
    }
}

extension AMQPQueueStatus {
    /// Nothing waits, and nobody consumes.
    static let empty = AMQPQueueStatus.ready(0)

    /// So many wait, and nobody consumes.
    static func ready(_ count: Int) -> AMQPQueueStatus {
        AMQPQueueStatus(messagesReady: count, consumers: 0)
    }
}
