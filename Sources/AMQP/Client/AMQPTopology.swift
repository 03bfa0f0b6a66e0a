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

    /// How many things it declares.
    var count: Int { self.exchanges.count + self.queues.count + self.bindings.count }

    /// Everything, in an order in which bindings find their ends.
    var declarations: [Declaration] {
        self.exchanges.map { .exchange($0) } + self.queues.map { .queue($0) } + self.bindings.map { .binding($0) }
    }

    /// Whether declaring it again may help a message that found no exchange or no queue.
    func restores(_ publication: AMQPPublication) -> Bool {
        guard !publication.exchange.isEmpty else { return self.queues.contains { $0.name == publication.routingKey } }
        guard let exchange = self.exchanges.first(where: { $0.name == publication.exchange }) else { return false }
        guard publication.mandatory else { return true }
        return self.bindings.contains {
            $0.exchange == exchange.name && (exchange.kind != .direct || $0.routingKey == publication.routingKey)
        }
    }

    /// Why something of it cannot be declared at all.
    var fault: AMQPError? {
        for exchange in self.exchanges {
            if let fault = AMQPNames.fault(of: exchange.name, "exchange") { return fault }
        }
        for queue in self.queues {
            let fault = AMQPNames.fault(of: queue.name, "queue") ?? AMQPNames.fault(of: queue.arguments, "argument")
            if let fault { return fault }
        }
        for binding in self.bindings {
            let fault =
                AMQPNames.fault(of: binding.queue, "queue") ?? AMQPNames.fault(of: binding.exchange, "exchange")
                ?? AMQPNames.fault(of: binding.routingKey, "routing key")
            if let fault { return fault }
        }
        return nil
    }

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
