// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import Foundation
import Logging
import TestBasics
import Testing

/// A broker of its own, because its settings and alarms are everybody's.
@Suite(.timeLimit(.minutes(20)))
struct OwnBrokerTests {
    private struct Own {
        let name: String
        let uri: String

        func ctl(_ arguments: String) async throws {
            try await Shell.stack("ctl --name \(self.name) \(arguments)")
        }

        /// Stops a queue's process, as the loss of a majority does: nothing is confirmed any more.
        func suspend(_ queue: String) async throws {
            let resource = "rabbit_misc:r(<<\"/\">>, queue, <<\"\(queue)\">>)"
            try await self.ctl(
                "eval '{ok, Q} = rabbit_amqqueue:lookup(\(resource)), sys:suspend(amqqueue:get_pid(Q)).'"
            )
        }

        /// Takes a queue's consumers of this prefetch away, and tells nobody.
        func loseConsumers(of queue: String, prefetch: Int) async throws {
            let resource = "rabbit_misc:r(<<\"/\">>, queue, <<\"\(queue)\">>)"
            try await self.ctl(
                "eval '{ok, Q} = rabbit_amqqueue:lookup(\(resource)), [ra:process_command(amqqueue:get_pid(Q),"
                    + " rabbit_fifo:make_checkout({element(2, C), element(1, C)}, cancel, #{}))"
                    + " || C <- rabbit_amqqueue:consumers(Q), element(4, C) == \(prefetch)].'"
            )
        }

        func connection(
            _ topology: AMQPTopology,
            through relay: Relay? = nil,
            _ change: (inout AMQPConfiguration) -> Void = { _ in }
        ) throws -> AMQPConnection {
            var logger = Logger(label: "amqp-tests")
            logger.logLevel = .critical
            var components = URLComponents(string: self.uri)
            if let relay { components?.port = relay.port }
            var configuration = try AMQPConfiguration(uri: components?.string ?? "")
            // A machine that is slow is no reason to give up; tests of giving up say when.
            configuration.publishTimeout = .seconds(600)
            configuration.rpcTimeout = .seconds(600)
            change(&configuration)
            return AMQPConnection(configuration: configuration, topology: topology, logger: logger)
        }

        var port: Int { URLComponents(string: self.uri)?.port ?? 5672 }
    }

    private static func run(_ settings: String, _ body: (Own) async throws -> Void) async throws {
        let name = TestRun.name + "-own"
        let file = FileManager.default.temporaryDirectory.path + "/\(name).conf"
        try settings.write(toFile: file, atomically: false, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: file) }
        try await Shell.stack("up --name \(name) --rabbitmq-conf '\(file)'")
        do {
            let urls = Shell.root.appendingPathComponent(".local/stack-\(name)/urls.env")
            let lines = try String(contentsOf: urls, encoding: .utf8).split(separator: "\n")
            let line = try #require(lines.first { $0.hasPrefix("AMQP_URL=") })
            try await body(Own(name: name, uri: String(line.dropFirst("AMQP_URL=".count))))
        } catch {
            try? await Shell.stack("down --name \(name)")
            throw error
        }
        try await Shell.stack("down --name \(name)")
    }

    @Test("a broker that takes nothing, is slow, strict or silent holds up no more than it must")
    func ownBroker() async throws {
        try await Self.run("heartbeat = 2\nmax_message_size = 100000\nchannel_max = 60\n") { own in
            try await Self.alarm(own)
            try await Self.stuck(own)
            try await Self.tooLarge(own)
            try await Self.manyChannels(own)
            try await Self.silent(own)
            try await Self.forgotten(own)
            try await Self.starved(own)
        }
    }

    /// Under an alarm the broker reads nothing from who publishes: questions end in time, and the connection stays.
    private static func alarm(_ own: Own) async throws {
        let connection = try own.connection(.queue("q")) { $0.rpcTimeout = .seconds(2) }
        try await connection.waitUntilReady(timeout: .seconds(600))
        let consumer = connection.consume(queue: "q", prefetch: 1)
        try await own.ctl("set_vm_memory_high_watermark absolute 1")
        let held = Task { try await connection.publish(AMQPMessage(body: [1]), exchange: "", routingKey: "q") }
        // Asked just behind the message that makes the broker stop reading, and when that is known.
        let early = Task { try await connection.queueStatus("q") }
        try await eventually("it is blocked") { if case .blocked = connection.state { true } else { false } }
        _ = await early.result
        for _ in 0..<2 {
            let error = await #expect(throws: AMQPError.self) { try await connection.queueStatus("q") }
            #expect(error?.code == .timeout)
            #expect(error?.isOutcomeUnknown == false)
        }
        // It has not hung up, and a consumer's end is not waited for in vain.
        await consumer.cancel()
        #expect(connection.statistics.reconnects == 0)
        try await own.ctl("set_vm_memory_high_watermark 0.8")
        try await held.value
        #expect(try await connection.queueStatus("q").messagesReady <= 1)
        try await connection.publish(AMQPMessage(body: [2]), exchange: "", routingKey: "q")
        #expect(connection.statistics.reconnects == 0)
        await connection.close()
    }

    /// Messages that are never confirmed take nobody else's place for good.
    private static func stuck(_ own: Own) async throws {
        var topology = AMQPTopology()
        for name in ["stuck", "good"] { topology.queue(name, kind: .classic) }
        let patient = try own.connection(topology) {
            $0.maximumUnconfirmed = 10
        }
        let connection = try own.connection(topology) {
            $0.maximumUnconfirmed = 10
            $0.publishTimeout = .seconds(3)
        }
        for one in [patient, connection] { try await one.waitUntilReady(timeout: .seconds(600)) }
        func publish(_ queue: String, over connection: AMQPConnection) async throws {
            try await connection.publish(AMQPMessage(body: [1]), exchange: "", routingKey: queue)
        }
        try await own.suspend("stuck")
        // One that hangs, and many others behind it: they take no room.
        let hanging = Task { try await publish("stuck", over: patient) }
        for _ in 0..<50 { try await publish("good", over: patient) }
        hanging.cancel()
        _ = await hanging.result
        await patient.close()
        let error = await #expect(throws: AMQPError.self) { try await publish("stuck", over: connection) }
        #expect(error?.code == .timeout)
        #expect(error?.isOutcomeUnknown == true)
        for round in 0..<3 {
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<10 {
                    group.addTask {
                        if round == 2 {
                            let message = AMQPMessage(body: [])
                            connection.publishUnconfirmed(
                                AMQPPublication(message: message, exchange: "", routingKey: "stuck")
                            )
                        } else {
                            _ = try? await publish("stuck", over: connection)
                        }
                    }
                }
            }
        }
        for count in 1...50 {
            // A broker that is slow may confirm one too late.
            try await eventually("there is room again for \(count)") {
                (try? await publish("good", over: connection)) != nil
            }
        }
        #expect(connection.statistics.reconnects == 0)
        await connection.close()
    }

    /// A clash is one of declarations; a message too large is something else, and only its own sender's.
    private static func tooLarge(_ own: Own) async throws {
        let connection = try own.connection(.queue("q"))
        try await connection.waitUntilReady(timeout: .seconds(600))
        let large = AMQPMessage(body: Array(repeating: 0, count: 200_000))
        let error = await #expect(throws: AMQPError.self) {
            try await connection.publish(large, exchange: "", routingKey: "q")
        }
        #expect(error?.code == .preconditionFailed)
        #expect(error?.replyCode == 406)
        #expect(error?.isOutcomeUnknown == false)
        let small = AMQPPublication(message: AMQPMessage(body: [1]), exchange: "", routingKey: "q")
        let batch = [small, AMQPPublication(message: large, exchange: "", routingKey: "q"), small]
        let outcomes = await connection.publish(batch: batch)
        #expect(throws: AMQPError.self) { try outcomes[1].get() }
        for outcome in outcomes {
            // Who was confirmed before it is fine; of the others nobody says more than is known.
            guard case .failure(let error) = outcome else { continue }
            #expect(error.code == .channelClosed || error.code == .preconditionFailed)
        }
        try await connection.publish(small.message, exchange: "", routingKey: "q")
        #expect(connection.statistics.reconnects == 0)
        await connection.close()
    }

    /// More consumers than channels: those without one wait for it, and the connection stays.
    private static func manyChannels(_ own: Own) async throws {
        let connection = try own.connection(.queue("many"))
        try await connection.waitUntilReady(timeout: .seconds(600))
        let consumers = (0..<100).map { _ in connection.consume(queue: "many", prefetch: 1) }
        try await eventually("some wait") { connection.faults.count >= 40 }
        for consumer in consumers.prefix(70) { await consumer.cancel() }
        // Asked over another connection: on the first, consumers may still have all channels.
        let other = try own.connection(.queue("many"))
        try await eventually("the others have theirs") {
            try await other.queueStatus("many").consumers == 30 && connection.faults.isEmpty
        }
        await other.close()
        #expect(connection.statistics.reconnects == 0)
        for consumer in consumers { await consumer.cancel() }
        await connection.close()
    }

    /// The lower of both heartbeats counts: a broker that is silent for twice that time is taken for dead.
    private static func silent(_ own: Own) async throws {
        let relay = try Relay(to: own.port)
        defer { relay.close() }
        let connection = try own.connection(.queue("q"), through: relay) { $0.heartbeat = .seconds(120) }
        try await connection.waitUntilReady(timeout: .seconds(600))
        relay.hold(true)
        try await eventually("it is given up") { connection.state == .connecting }
        relay.hold(false)
        await connection.close()
    }

    private static func publish(_ connection: AMQPConnection, _ byte: UInt8, to queue: String) async throws {
        try await connection.publish(AMQPMessage(body: [byte]), exchange: "", routingKey: queue)
    }

    /// The broker has lost all consumers of a queue without a word.
    private static func forgotten(_ own: Own) async throws {
        let connection = try own.connection(.queue("forgotten")) { $0.declarationInterval = .milliseconds(300) }
        try await connection.waitUntilReady(timeout: .seconds(600))
        let consumer = connection.consume(queue: "forgotten", prefetch: 2)
        var iterator = consumer.makeAsyncIterator()
        try await eventually("it consumes") { try await connection.queueStatus("forgotten").consumers == 1 }
        try await own.loseConsumers(of: "forgotten", prefetch: 2)
        try await eventually("it is subscribed again, although nothing waits") {
            connection.statistics.consumersLost == 1
        }
        try await Self.publish(connection, 1, to: "forgotten")
        #expect(await iterator.next()?.message.body == [1])
        #expect(connection.statistics.reconnects == 0)
        await connection.close()
    }

    /// The broker has lost one consumer of two, so that only what is not delivered tells.
    private static func starved(_ own: Own) async throws {
        let quick = { (configuration: inout AMQPConfiguration) in
            configuration.declarationInterval = .milliseconds(300)
        }
        let connection = try own.connection(.queue("starved"), quick)
        let other = try own.connection(.queue("starved"), quick)
        for each in [connection, other] { try await each.waitUntilReady(timeout: .seconds(600)) }
        let lost = connection.consume(queue: "starved", prefetch: 2)
        let full = other.consume(queue: "starved", prefetch: 1)
        try await eventually("both consume") { try await other.queueStatus("starved").consumers == 2 }
        try await own.loseConsumers(of: "starved", prefetch: 2)
        try await Self.publish(other, 1, to: "starved")
        var holding = full.makeAsyncIterator()
        let held = await holding.next()
        try await Self.publish(other, 2, to: "starved")
        var iterator = lost.makeAsyncIterator()
        let taken = [held?.message.body, await iterator.next()?.message.body]
        #expect(taken == [[1], [2]])
        #expect(connection.statistics.consumersLost == 1)
        #expect(other.statistics.consumersLost == 0)
        await connection.close()
        await other.close()
    }
}
