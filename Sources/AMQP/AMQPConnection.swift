// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CRabbitMQ
import Foundation
public import Logging
import NIOConcurrencyHelpers

/// A connection to the broker: owned by one thread, made anew by itself after a loss, with back-off, until closed.
///
/// Use one connection for publishing and another for consuming: a broker under an alarm stops reading from those who
/// publish, and acks and heartbeats must go on.
public final class AMQPConnection: Sendable {
    private let configuration: AMQPConfiguration
    private let shared: ConnectionState
    private let inbox = Inbox()
    private let logger: Logger
    private let isStarted = NIOLockedValueBox(false)

    /// Creates a connection; it is made at first use.
    /// - Parameters:
    ///   - configuration: Where the broker is.
    ///   - topology: Declared on every connect.
    ///   - logger: Where it logs, at most at warning level.
    public init(configuration: AMQPConfiguration, topology: AMQPTopology = AMQPTopology(), logger: Logger) {
        self.configuration = configuration
        self.shared = ConnectionState(topology: topology)
        self.logger = logger
    }

    deinit {
        self.inbox.append(.close)
    }

    /// How the connection stands.
    public var state: AMQPConnectionState { self.shared.phase }
    /// Why there is no connection, if there is none.
    public var lastError: AMQPError? { self.shared.lastError }
    /// Figures since the connection was made.
    public var statistics: AMQPStatistics { self.shared.statistics }

    /// Keeps the connection until the task is cancelled, then closes it. Optional: use starts it as well.
    public func run() async {
        self.start()
        while !Task.isCancelled, self.state != .closed {
            try? await Task.sleep(for: .seconds(3600))
        }
        await self.close()
    }

    /// Waits until the connection is made and its topology declared.
    /// - Throws: ``AMQPError``: at once `accessRefused`, `topologyMismatch` or `tls`; after the time-out the reason of
    ///   the last failure.
    public func waitUntilReady(timeout: Duration) async throws(AMQPError) {
        self.start()
        try await self.shared.waitUntilReady(timeout: timeout).get()
    }

    /// Closes the connection for good; unacked deliveries return to the head of their queues.
    public func close() async {
        let wasStarted = self.isStarted.withLockedValue { started in
            defer { started = true }
            return started
        }
        guard wasStarted else {
            self.inbox.shut()
            self.shared.closed()
            return
        }
        self.inbox.append(.close)
        // The library may sit in a write that only the loss of the socket ends.
        let limit = Task {
            try await Task.sleep(for: .seconds(4))
            let socket = self.shared.socket
            if socket >= 0 { shutdown(socket, Int32(SHUT_RDWR)) }
        }
        await self.shared.waitUntilClosed()
        limit.cancel()
    }

    /// Publishes a message and waits for the broker's confirm.
    /// - Throws: ``AMQPError``; ``AMQPError/isOutcomeUnknown`` says whether the message may have arrived all the same.
    public func publish(
        _ message: AMQPMessage,
        exchange: String,
        routingKey: String,
        mandatory: Bool = true
    ) async throws(AMQPError) {
        let publication = AMQPPublication(
            message: message,
            exchange: exchange,
            routingKey: routingKey,
            mandatory: mandatory
        )
        let outcome = await self.publish(batch: [publication]).first
        try outcome?.get()
    }

    /// Publishes messages in order and waits for all their confirms.
    /// - Returns: One outcome per message, in order.
    public func publish(batch publications: [AMQPPublication]) async -> [Result<Void, AMQPError>] {
        guard !publications.isEmpty else { return [] }
        self.start()
        let batch = PublishBatch(publications, deadline: .now + self.configuration.publishTimeout)
        return await withTaskCancellationHandler {
            self.inbox.append(.publish(batch))
            return await batch.wait()
        } onCancel: {
            batch.settleAll(
                AMQPError(code: .cancelled, message: "the publisher was cancelled", isOutcomeUnknown: true)
            )
        }
    }

    /// Publishes a message that may be lost; dropped at once when the broker cannot take it now.
    public func publishUnconfirmed(_ publication: AMQPPublication) {
        self.start()
        self.inbox.append(.publishUnconfirmed(publication))
    }

    /// Declares more, now and on every reconnect.
    /// - Throws: ``AMQPError``; `topologyMismatch` names the queue or exchange and the argument.
    public func declare(_ topology: AMQPTopology) async throws(AMQPError) {
        try await self.call { session throws(AMQPError) in try session.declare(topology) }
        self.shared.remember(topology)
    }

    /// Asks how many messages wait in a queue.
    /// - Throws: ``AMQPError``; `notFound` when there is no such queue.
    public func queueStatus(_ name: String) async throws(AMQPError) -> AMQPQueueStatus {
        try await self.call { session throws(AMQPError) in try session.status(of: name) }
    }

    /// Drops all waiting messages of a queue.
    /// - Returns: How many there were.
    /// - Throws: ``AMQPError``.
    public func purge(_ queue: String) async throws(AMQPError) -> Int {
        try await self.call { session throws(AMQPError) in try session.purge(queue) }
    }

    /// Deletes a queue with its messages.
    /// - Throws: ``AMQPError``.
    public func deleteQueue(_ queue: String) async throws(AMQPError) {
        try await self.call { session throws(AMQPError) in try session.delete(queue) }
    }

    /// Takes one message from a queue, if there is one. For inspection; consume for work.
    /// - Throws: ``AMQPError``.
    public func get(_ queue: String) async throws(AMQPError) -> AMQPDelivery? {
        self.start()
        let answer = Answer<AMQPDelivery?>()
        self.inbox.append(
            .call(
                { session throws(AMQPError) in try session.get(queue) { answer.give($0) } },
                fail: { answer.give(.failure($0)) }
            )
        )
        return try await answer.wait().get()
    }

    /// Subscribes to a queue, on a channel of its own, now and after every reconnect.
    /// - Parameters:
    ///   - queue: The queue.
    ///   - prefetch: Deliveries held at once, 1 to 65,535.
    ///   - exclusive: Whether to be the only consumer.
    ///   - consumerPriority: Higher is served first.
    /// - Returns: The deliveries.
    public func consume(
        queue: String,
        prefetch: Int,
        exclusive: Bool = false,
        consumerPriority: Int? = nil
    ) -> AMQPConsumer {
        self.start()
        let consumer = AMQPConsumer(
            queue: queue,
            prefetch: max(1, prefetch),
            exclusive: exclusive,
            priority: consumerPriority,
            inbox: self.inbox
        )
        self.inbox.append(.addConsumer(consumer))
        return consumer
    }

    /// Acks many deliveries under one wake-up, with one `multiple` ack where they form a whole prefix of the unacked
    /// ones. Those whose channel is gone are left out: the broker delivers them again.
    public func ack(_ deliveries: [AMQPDelivery]) {
        guard !deliveries.isEmpty else { return }
        self.inbox.append(
            .settle(deliveries.map { Settlement(channel: $0.channel, tag: $0.deliveryTag, kind: .ack) })
        )
    }

    private func call<Value: Sendable>(
        _ body: @escaping @Sendable (Session) throws(AMQPError) -> Value
    ) async throws(AMQPError) -> Value {
        self.start()
        let answer = Answer<Value>()
        self.inbox.append(
            .call(
                { session throws(AMQPError) in answer.give(.success(try body(session))) },
                fail: { answer.give(.failure($0)) }
            )
        )
        return try await answer.wait().get()
    }

    private func start() {
        let starts = self.isStarted.withLockedValue { started in
            defer { started = true }
            return !started
        }
        guard starts else { return }
        let configuration = self.configuration
        let shared = self.shared
        let inbox = self.inbox
        let logger = self.logger
        let thread = Thread {
            ConnectionThread(configuration: configuration, shared: shared, inbox: inbox, logger: logger).run()
        }
        thread.name = "amqp"
        thread.start()
    }
}
