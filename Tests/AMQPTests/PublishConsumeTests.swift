// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import Foundation
import TestBasics
import Testing

@Suite(.timeLimit(.minutes(20)))
struct PublishConsumeTests {
    @Test("every property and every kind of header survives the way through the broker", arguments: [0, 1, 1_000_000])
    func roundTrip(size: Int) async throws {
        try await Broker.run { broker in
            try await broker.connected(topology: .queue("q")) { connection in
                var message = AMQPMessage(body: (0..<size).map { UInt8(truncatingIfNeeded: $0) })
                message.contentType = "application/octet-stream"
                message.type = "kind.v1"
                message.messageID = "id-ü"
                message.correlationID = "corr"
                message.timestamp = Date(timeIntervalSince1970: 1_800_000_000)
                message.expiration = .seconds(60)
                message.appID = "tests"
                message.headers = [
                    "bool": .bool(true), "int8": .int8(-8), "int16": .int16(-16), "int32": .int32(-32),
                    "int64": .int64(.min), "float": .float(1.5), "double": .double(-2.25), "string": .string("grüße"),
                    "array": .array([.string("a"), .int64(1), .table(["x": .null])]),
                    "table": .table(["y": .bool(false)]),
                    "timestamp": .timestamp(Date(timeIntervalSince1970: 1_700_000_000)), "null": .null,
                    "bytes": .bytes([0, 255, 1]), "decimal": .decimal(decimals: 2, value: 314),
                ]
                try await connection.publish(message, exchange: "", routingKey: "q")
                var iterator = connection.consume(queue: "q", prefetch: 10).makeAsyncIterator()
                let delivery = try #require(await iterator.next())
                var received = delivery.message
                received.headers["x-delivery-count"] = nil
                #expect(received == message)
                #expect(delivery.routingKey == "q")
                try delivery.ack()
            }
        }
    }

    @Test("10,000 publishers that each wait for their confirm all get it, and every message arrives once")
    func tenThousand() async throws {
        try await Broker.run { broker in
            try await broker.connected(topology: .queue("q")) { connection in
                let failures = await withTaskGroup(of: Bool.self) { group in
                    for index in 0..<10_000 {
                        group.addTask {
                            var message = AMQPMessage(body: Array("m\(index)".utf8))
                            message.messageID = "\(index)"
                            do {
                                try await connection.publish(message, exchange: "", routingKey: "q")
                                return false
                            } catch {
                                return true
                            }
                        }
                    }
                    return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
                }
                #expect(failures == 0)
                try await broker.connected { consuming in
                    var seen: Set<String> = []
                    var deliveries = 0
                    var batch: [AMQPDelivery] = []
                    for await delivery in consuming.consume(queue: "q", prefetch: 500) {
                        seen.insert(delivery.message.messageID ?? "")
                        deliveries += 1
                        batch.append(delivery)
                        if batch.count == 100 {
                            consuming.ack(batch)
                            batch.removeAll()
                        }
                        if seen.count == 10_000 { break }
                    }
                    #expect(seen.count == 10_000)
                    #expect(deliveries == 10_000)
                    consuming.ack(batch)
                    try await eventually("the queue is empty") {
                        try await connection.queueStatus("q").messagesReady == 0
                    }
                }
            }
        }
    }

    @Test("an unroutable message is returned to its own publisher; its neighbours succeed")
    func returned() async throws {
        try await Broker.run { broker in
            try await broker.connected(topology: .queue("q")) { connection in
                var message = AMQPMessage(body: [1])
                message.messageID = "same"
                let publications = (0..<30).map { index in
                    AMQPPublication(message: message, exchange: "", routingKey: index.isMultiple(of: 3) ? "none" : "q")
                }
                let outcomes = await connection.publish(batch: publications)
                for (index, outcome) in outcomes.enumerated() {
                    switch outcome {
                    case .success: #expect(!index.isMultiple(of: 3))
                    case .failure(let error):
                        #expect(index.isMultiple(of: 3))
                        #expect(error.code == .returned)
                        #expect(error.replyCode == 312)
                    }
                }
                let status = try await connection.queueStatus("q")
                #expect(status.messagesReady == 20)
            }
        }
    }

    @Test("a missing exchange fails the publish, and the connection goes on")
    func missingExchange() async throws {
        try await Broker.run { broker in
            try await broker.connected(topology: .queue("q")) { connection in
                let error = await #expect(throws: AMQPError.self) {
                    try await connection.publish(AMQPMessage(body: []), exchange: "nowhere", routingKey: "q")
                }
                #expect(error?.code == .notFound)
                try await connection.publish(AMQPMessage(body: []), exchange: "", routingKey: "q")
            }
        }
    }

    @Test("no more than prefetch is handed out before an ack")
    func prefetch() async throws {
        try await Broker.run { broker in
            try await broker.connected(topology: .queue("q")) { connection in
                _ = await connection.publish(
                    batch: (0..<50).map { _ in
                        AMQPPublication(message: AMQPMessage(body: [1]), exchange: "", routingKey: "q")
                    }
                )
                let consumer = connection.consume(queue: "q", prefetch: 7)
                try await eventually("seven are out") { try await connection.queueStatus("q").messagesReady == 43 }
                try await eventually("seven have arrived") { connection.statistics.delivered == 7 }
                await consumer.cancel()
                var held: [AMQPDelivery] = []
                for await delivery in consumer { held.append(delivery) }
                #expect(held.count == 7)
                // Held deliveries outlive the cancellation.
                try held[0].ack()
                try held[1].nack(requeue: true)
                connection.ack(Array(held[3...]))
                try await eventually("one is back") { try await connection.queueStatus("q").messagesReady == 44 }
            }
            try await broker.connected { connection in
                // The one that was never settled came back with its channel.
                try await eventually("all are back") { try await connection.queueStatus("q").messagesReady == 45 }
            }
        }
    }

    @Test("a nack without requeue dead-letters, and the x-death header can be read")
    func deadLetter() async throws {
        try await Broker.run { broker in
            var topology = AMQPTopology()
            topology.exchange("dead", kind: .fanout)
            topology.queue("dead")
            topology.bind(queue: "dead", exchange: "dead", routingKey: "")
            topology.queue("q", arguments: ["x-dead-letter-exchange": .string("dead")])
            try await broker.connected(topology: topology) { connection in
                try await connection.publish(AMQPMessage(body: [9]), exchange: "", routingKey: "q")
                let got = try #require(try await connection.get("q"))
                try got.nack(requeue: false)
                try await eventually("it is dead") { try await connection.queueStatus("dead").messagesReady == 1 }
                let dead = try #require(try await connection.get("dead"))
                guard case .array(let deaths)? = dead.message.headers["x-death"], case .table(let death)? = deaths.first
                else {
                    Issue.record("no x-death in \(dead.message.headers)")
                    return
                }
                #expect(death["queue"] == .string("q"))
                #expect(death["reason"] == .string("rejected"))
                let empty = try await connection.get("q")
                #expect(empty.map(\.deliveryTag) == nil)
            }
        }
    }

    @Test("a publisher that is cancelled stops waiting")
    func cancellation() async throws {
        try await Broker.run { broker in
            try await broker.connected(topology: .queue("q")) { connection in
                var wasCancelled = false
                // The confirm may be quicker than the cancellation.
                for _ in 0..<1000 where !wasCancelled {
                    let task = Task {
                        try await connection.publish(AMQPMessage(body: []), exchange: "", routingKey: "q")
                    }
                    task.cancel()
                    do {
                        try await task.value
                    } catch let error as AMQPError {
                        #expect(error.code == .cancelled)
                        #expect(error.isOutcomeUnknown)
                        wasCancelled = true
                    }
                }
                #expect(wasCancelled)
                try await connection.publish(AMQPMessage(body: []), exchange: "", routingKey: "q")
            }
        }
    }

    @Test("a queue that refuses for long gets a new channel, with no confirm lost and the connection as it was")
    func refused() async throws {
        try await Broker.run { broker in
            var topology = AMQPTopology()
            let arguments: AMQPTable = ["x-max-length": .int64(1), "x-overflow": .string("reject-publish")]
            topology.queue("full", kind: .classic, durable: true, arguments: arguments)
            try await broker.connected(topology: topology) { connection in
                let publications = (0..<200).map { _ in
                    AMQPPublication(message: AMQPMessage(body: [1]), exchange: "", routingKey: "full")
                }
                var codes: [AMQPError.Code: Int] = [:]
                var isFirstGone = false
                var channels: Set<String> = []
                try await eventually("the broker lists the channels") {
                    // One that is refused for a second goes.
                    _ = await connection.publish(batch: publications)
                    channels = try await broker.channelNames()
                    return !channels.isEmpty
                }
                // Two at once, so that there are messages under way when the channel goes.
                while !isFirstGone || codes[.nacked, default: 0] <= 1000 {
                    isFirstGone = try await !channels.isSubset(of: broker.channelNames())
                    async let other = connection.publish(batch: publications)
                    for result in await connection.publish(batch: publications) + other {
                        if case .failure(let error) = result { codes[error.code, default: 0] += 1 }
                    }
                }
                #expect(Set(codes.keys).isSubset(of: [.nacked, .channelClosed]), "\(codes)")
                try await eventually("it has room again, and takes a message") {
                    _ = try await connection.purge("full")
                    return (try? await connection.publish(publications[0].message, exchange: "", routingKey: "full"))
                        != nil
                }
                #expect(connection.statistics.reconnects == 0)
            }
        }
    }
}
