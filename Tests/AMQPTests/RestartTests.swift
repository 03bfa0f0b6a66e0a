// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import Foundation
import Logging
import TestBasics
import Testing

/// Restarts a broker of its own in the middle of the work: the shared one serves other tests.
@Suite(.timeLimit(.minutes(20)))
struct RestartTests {
    private static func brokerURI(_ name: String) throws -> String {
        let file = Shell.root.appendingPathComponent(".local/stack-\(name)/urls.env")
        let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
        let line = try #require(lines.first { $0.hasPrefix("AMQP_URL=") })
        return String(line.dropFirst("AMQP_URL=".count))
    }

    @Test("a broker restarted in the middle loses nothing: messages, consumer and publisher come back")
    func restart() async throws {
        let name = TestRun.name + "-restart"
        try await Shell.stack("up --name \(name)")
        do {
            try await Self.work(name)
        } catch {
            try? await Shell.stack("down --name \(name)")
            throw error
        }
        try await Shell.stack("down --name \(name)")
    }

    private static func work(_ name: String) async throws {
        var logger = Logger(label: "amqp-tests")
        logger.logLevel = .critical
        let connection = AMQPConnection(
            configuration: try AMQPConfiguration(uri: try Self.brokerURI(name)),
            topology: .queue("q"),
            logger: logger
        )
        try await connection.waitUntilReady(timeout: .seconds(600))
        for index in 0..<5 {
            try await connection.publish(AMQPMessage(body: [UInt8(index)]), exchange: "", routingKey: "q")
        }
        let consumer = connection.consume(queue: "q", prefetch: 10)
        var iterator = consumer.makeAsyncIterator()
        for _ in 0..<5 { _ = await iterator.next() }
        try await Shell.stack("down --keep --name \(name)")
        try await eventually("the loss is noticed") { connection.state == .connecting }
        let error = await #expect(throws: AMQPError.self) {
            try await connection.publish(AMQPMessage(body: []), exchange: "", routingKey: "q")
        }
        #expect(error?.code == .notConnected)
        #expect(error?.isOutcomeUnknown == false)
        try await Shell.stack("up --name \(name)")
        try await connection.waitUntilReady(timeout: .seconds(600))
        var bodies: Set<[UInt8]> = []
        while bodies.count < 5, let delivery = await iterator.next() {
            bodies.insert(delivery.message.body)
            try delivery.ack()
        }
        #expect(bodies.count == 5)
        try await connection.publish(AMQPMessage(body: [9]), exchange: "", routingKey: "q")
        #expect(await iterator.next()?.message.body == [9])
        await connection.close()
    }
}
