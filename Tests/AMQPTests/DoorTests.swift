// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import Foundation
import TestBasics
import Testing

/// What AMQP cannot carry is refused at the door and hurts nobody else.
@Suite(.timeLimit(.minutes(20)))
struct DoorTests {
    private static let long = String(repeating: "ü", count: 128)

    private static func publication(_ change: (inout AMQPPublication) -> Void) -> AMQPPublication {
        var publication = AMQPPublication(message: AMQPMessage(body: [1]), exchange: "", routingKey: "q")
        change(&publication)
        return publication
    }

    private static func nested(_ depth: Int) -> AMQPValue {
        (0..<depth).reduce(.null) { value, _ in .array([value]) }
    }

    /// Named, because a runner prints arguments, and these are long.
    private static let unfit: [String: @Sendable (inout AMQPPublication) -> Void] = [
        "exchange": { $0.exchange = long },
        "routing key": { $0.routingKey = long },
        "type": { $0.message.type = long },
        "message id": { $0.message.messageID = long },
        "correlation id": { $0.message.correlationID = long },
        "content type": { $0.message.contentType = long },
        "application id": { $0.message.appID = long },
        "header's name": { $0.message.headers[long] = .null },
        "headers": { $0.message.headers["x"] = .bytes(Array(repeating: 1, count: 200_000)) },
        "header": { $0.message.headers["x"] = nested(10_000) },
        "header CC": { $0.message.headers["CC"] = .string("q") },
        "expiration": { $0.message.expiration = .seconds(-1) },
        "the expiration": { $0.message.expiration = .seconds(Int64.max) },
        "body": { $0.message.body = Array(repeating: 0, count: 17 << 20) },
    ]

    @Test(
        "a message that AMQP cannot carry fails by itself, and the others of its batch arrive",
        arguments: unfit.keys.sorted()
    )
    func messages(what: String) async throws {
        let change = try #require(Self.unfit[what])
        let unfit = Self.publication(change)
        try await Broker.run { broker in
            try await broker.connected(topology: .queue("q")) { connection in
                let good = Self.publication { _ in }
                let outcomes = await connection.publish(batch: [good, unfit, good])
                #expect(throws: Never.self) { try outcomes[0].get() }
                #expect(throws: Never.self) { try outcomes[2].get() }
                let error = #expect(throws: AMQPError.self) { try outcomes[1].get() }
                #expect(error?.code == .invalidArgument)
                #expect(error?.isOutcomeUnknown == false)
                #expect(error?.message.contains(what) == true, "\(error?.message ?? "")")
                connection.publishUnconfirmed(unfit)
                try await connection.publish(good.message, exchange: "", routingKey: "q")
                let status = try await connection.queueStatus("q")
                #expect(status.messagesReady == 3)
                #expect(connection.statistics.reconnects == 0)
            }
        }
    }

    @Test("a name that AMQP cannot carry is refused by every question, and by a consumer alone")
    func names() async throws {
        try await Broker.run { broker in
            try await broker.connected(topology: .queue("q")) { connection in
                func refuses(_ ask: () async throws -> Void) async {
                    let error = await #expect(throws: AMQPError.self) { try await ask() }
                    #expect(error?.code == .invalidArgument)
                }
                await refuses { try await connection.declare(.queue(Self.long)) }
                await refuses { try await connection.declare(.queue("r", .quorum, [Self.long: .null])) }
                await refuses { _ = try await connection.queueStatus(Self.long) }
                await refuses { _ = try await connection.purge(Self.long) }
                await refuses { try await connection.deleteQueue(Self.long) }
                await refuses { _ = try await connection.get(Self.long) }
                var topology = AMQPTopology()
                topology.bind(queue: "q", exchange: "amq.direct", routingKey: Self.long)
                await refuses { try await connection.declare(topology) }
                let consumer = connection.consume(queue: Self.long, prefetch: 1)
                try await eventually("it is said") { connection.faults.map(\.code) == [.invalidArgument] }
                try await connection.publish(AMQPMessage(body: []), exchange: "", routingKey: "q")
                #expect(connection.statistics.reconnects == 0)
                await consumer.cancel()
                #expect(connection.faults.isEmpty)
            }
        }
    }

    @Test("a time that AMQP cannot count becomes the nearest that it can")
    func times() async throws {
        try await Broker.run { broker in
            try await broker.connected(topology: .queue("q")) { connection in
                for seconds in [Double.infinity, -.infinity, .nan, 1e300, -1] {
                    var message = AMQPMessage(body: [])
                    message.timestamp = Date(timeIntervalSince1970: seconds)
                    message.headers["x"] = .timestamp(Date(timeIntervalSince1970: seconds))
                    try await connection.publish(message, exchange: "", routingKey: "q")
                }
                #expect(try await connection.queueStatus("q").messagesReady == 5)
            }
        }
    }

    @Test(
        "a URI that names another place than it seems to is refused",
        arguments: ["amqp://h/a%00b", "amqp://u%00v:p@h/", "amqp://h/" + String(repeating: "v", count: 256)]
    )
    func uri(uri: String) {
        let error = #expect(throws: AMQPError.self) { try AMQPConfiguration(uri: uri) }
        #expect(error?.code == .invalidConfiguration)
    }

    @Test("a client certificate without its key, or the other way round, is refused")
    func certificateAlone() {
        for half in ["certfile=/c", "keyfile=/k"] {
            #expect(throws: AMQPError.self) { try AMQPConfiguration(uri: "amqps://h/?" + half) }
        }
    }
}
