// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Exchanges, queues and bindings to declare. Declaring what exists alike is harmless.
public struct AMQPTopology: Sendable, Equatable {
    /// How an exchange routes.
    public enum ExchangeKind: String, Sendable {
        /// By equal routing key.
        case direct
        /// By routing key pattern.
        case topic
        /// To every bound queue.
        case fanout
        /// By headers.
        case headers
    }

    /// How a queue is stored.
    public enum QueueKind: String, Sendable {
        /// On one node.
        case classic
        /// Replicated by Raft; always durable.
        case quorum
    }

    struct Exchange: Sendable, Equatable {
        let name: String
        let kind: ExchangeKind
        let durable: Bool
    }

    struct Queue: Sendable, Equatable {
        let name: String
        let durable: Bool
        let exclusive: Bool
        let autoDelete: Bool
        let arguments: AMQPTable
    }

    struct Binding: Sendable, Equatable {
        let queue: String
        let exchange: String
        let routingKey: String
    }

    var exchanges: [Exchange] = []
    var queues: [Queue] = []
    var bindings: [Binding] = []

    /// Creates an empty topology.
    public init() {}

    /// Adds an exchange.
    public mutating func exchange(_ name: String, kind: ExchangeKind, durable: Bool = true) {
        let exchange = Exchange(name: name, kind: kind, durable: durable)
        if !self.exchanges.contains(exchange) { self.exchanges.append(exchange) }
    }

    /// Adds a queue.
    /// - Parameters:
    ///   - name: Its name.
    ///   - kind: How it is stored.
    ///   - durable: Whether it survives a restart; a quorum queue always does.
    ///   - exclusive: Whether only this connection may use it; it goes with the connection.
    ///   - autoDelete: Whether it goes with its last consumer.
    ///   - arguments: Further arguments.
    public mutating func queue(
        _ name: String,
        kind: QueueKind = .quorum,
        durable: Bool = true,
        exclusive: Bool = false,
        autoDelete: Bool = false,
        arguments: AMQPTable = [:]
    ) {
        var arguments = arguments
        if kind == .quorum { arguments["x-queue-type"] = .string(kind.rawValue) }
        let queue = Queue(
            name: name,
            durable: durable,
            exclusive: exclusive,
            autoDelete: autoDelete,
            arguments: arguments
        )
        if !self.queues.contains(queue) { self.queues.append(queue) }
    }

    /// Adds a binding of a queue to an exchange.
    public mutating func bind(queue: String, exchange: String, routingKey: String) {
        let binding = Binding(queue: queue, exchange: exchange, routingKey: routingKey)
        if !self.bindings.contains(binding) { self.bindings.append(binding) }
    }

    /// Adds everything of another topology.
    public mutating func formUnion(_ other: AMQPTopology) {
        for item in other.exchanges where !self.exchanges.contains(item) { self.exchanges.append(item) }
        for item in other.queues where !self.queues.contains(item) { self.queues.append(item) }
        for item in other.bindings where !self.bindings.contains(item) { self.bindings.append(item) }
    }

    /// Both topologies in one.
    public func union(_ other: AMQPTopology) -> AMQPTopology {
        var result = self
        result.formUnion(other)
        return result
    }
}

/// What a passive declaration tells about a queue.
public struct AMQPQueueStatus: Sendable, Equatable {
    /// Messages waiting, without those that consumers hold.
    public let messagesReady: Int
    /// Consumers.
    public let consumers: Int
}
