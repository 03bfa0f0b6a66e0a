// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CRabbitMQ
import Foundation
public import Logging
import NIOConcurrencyHelpers
import ThreadEngine

/// A connection to the broker: owned by one thread, made anew by itself after a loss, with back-off, until closed.
///
/// Use one connection for publishing and another for consuming: a broker under an alarm stops reading from those who
/// publish, and acks and heartbeats must go on.
public final class AMQPConnection: Sendable {
    let configuration: AMQPConfiguration
    let shared: ConnectionState
    let inbox = Commands(refuse: Command.refuse)
    let logger: Logger
    private let now: @Sendable () -> ContinuousClock.Instant
    private let isStarted = NIOLockedValueBox(false)

    /// Creates a connection; it is made at first use.
    /// - Parameters:
    ///   - configuration: Where the broker is.
    ///   - topology: Declared on every connect, and again whenever something of it is found missing.
    ///   - logger: Where it logs, at most at warning level.
    public convenience init(
        configuration: AMQPConfiguration,
        topology: AMQPTopology = AMQPTopology(),
        logger: Logger
    ) {
        self.init(configuration: configuration, topology: topology, logger: logger, now: { .now })
    }

    init(
        configuration: AMQPConfiguration,
        topology: AMQPTopology = AMQPTopology(),
        logger: Logger,
        now: @escaping @Sendable () -> ContinuousClock.Instant
    ) {
        self.now = now
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
    /// What does not work although there is a connection: consumers whose queue is missing, declarations that the broker
    /// refuses. They are tried again; empty when all is well.
    public var faults: [AMQPError] { self.shared.faults }
    /// Figures since the connection was made.
    public var statistics: AMQPStatistics { self.shared.statistics }

    /// Keeps the connection until the task is cancelled, then closes it. Optional: use starts it as well.
    public func run() async {
        self.start()
        await self.shared.waitUntilClosed()
        await self.close()
    }

    /// Waits until the connection is made and its topology declared.
    /// - Throws: ``AMQPError``: at once `accessRefused`, `topologyMismatch` or `tls`; after the time-out the reason of
    ///   the last failure; `cancelled` when the task is.
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
            self.shared.socket?.cut()
        }
        // Also for a task that is cancelled: what it closes must be closed when it goes on.
        await Task { await self.shared.waitUntilClosed() }.value
        limit.cancel()
    }

    /// Declares more, now, on every reconnect, and again whenever something of it is found missing.
    /// - Throws: ``AMQPError``; `topologyMismatch` names the queue or exchange and the argument.
    public func declare(_ topology: AMQPTopology) async throws(AMQPError) {
        if let fault = topology.fault { throw fault }
        let refused = try await self.call { session, answer in
            session.declare(topology.declarations) { answer($0) }
        }
        if let error = refused.first { throw error }
        self.shared.remember(topology)
    }

    /// Asks how many messages wait in a queue.
    /// - Throws: ``AMQPError``; `notFound` when there is no such queue.
    public func queueStatus(_ name: String) async throws(AMQPError) -> AMQPQueueStatus {
        try await self.call(on: name) { session, answer in
            var status: AMQPQueueStatus?
            session.call([.status(of: name) { status = $0 }]) { result in
                answer(result.map { status ?? AMQPQueueStatus(messagesReady: 0, consumers: 0) })
            }
        }
    }

    /// Drops all waiting messages of a queue.
    /// - Returns: How many there were.
    /// - Throws: ``AMQPError``.
    public func purge(_ queue: String) async throws(AMQPError) -> Int {
        try await self.call(on: queue) { session, answer in
            var count = 0
            session.call([.purge(queue) { count = $0 }]) { result in answer(result.map { count }) }
        }
    }

    /// Deletes a queue with its messages.
    /// - Throws: ``AMQPError``.
    public func deleteQueue(_ queue: String) async throws(AMQPError) {
        try await self.call(on: queue) { session, answer in session.call([.delete(queue)], done: answer) }
    }

    /// Takes one message from a queue, if there is one. For inspection; consume for work.
    /// - Throws: ``AMQPError``.
    public func get(_ queue: String) async throws(AMQPError) -> AMQPDelivery? {
        try await self.call(on: queue) { session, answer in session.get(queue, answer) }
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
        let subscriber = Subscriber(
            queue: queue,
            prefetch: max(1, prefetch),
            exclusive: exclusive,
            priority: consumerPriority
        )
        self.inbox.append(.addConsumer(subscriber))
        return AMQPConsumer(subscriber, inbox: self.inbox)
    }

    /// Acks many deliveries under one wake-up, with one `multiple` ack where they form a whole prefix of the unacked
    /// ones. Those whose channel is gone are left out: the broker delivers them again.
    public func ack(_ deliveries: [AMQPDelivery]) {
        // Each goes to the connection that it came from: nearly always this one.
        let isOwn = deliveries.allSatisfy { $0.channel.inbox === self.inbox }
        let groups =
            isOwn ? [deliveries] : Dictionary(grouping: deliveries) { ObjectIdentifier($0.channel.inbox) }.map(\.value)
        for group in groups {
            let settlements = group.map { Settlement(channel: $0.channel, tag: $0.deliveryTag, kind: .ack) }
            group.first?.channel.inbox.append(.settle(settlements))
        }
    }

    /// Asks the broker.
    func call<Value: Sendable>(
        on queue: String = "",
        _ begin: @escaping @Sendable (Session, @escaping (Result<Value, AMQPError>) -> Void) -> Void
    ) async throws(AMQPError) -> Value {
        if let fault = AMQPNames.fault(of: queue, "queue") { throw fault }
        self.start()
        let answer = Answer<Value>()
        self.inbox.append(
            .call(
                Call(
                    deadline: .now + self.configuration.rpcTimeout,
                    begin: { session in begin(session) { answer.give($0) } },
                    fail: { answer.give(.failure($0)) }
                )
            )
        )
        return try await answer.wait().get()
    }

    func start() {
        let starts = self.isStarted.withLockedValue { started in
            defer { started = true }
            return !started
        }
        guard starts else { return }
        let configuration = self.configuration
        let shared = self.shared
        let inbox = self.inbox
        let logger = self.logger
        let now = self.now
        OwningThread.start("amqp") {
            ConnectionThread(configuration: configuration, shared: shared, inbox: inbox, logger: logger, now: now).run()
        }
    }
}
