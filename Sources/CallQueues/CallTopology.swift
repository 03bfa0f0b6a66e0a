// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import AMQP

/// The product's exchanges and queues: the broker's counterpart of the database schema, and the only place that knows
/// their names and arguments. Every process declares the parts that it uses; declaring twice is harmless.
public enum CallTopology {
    /// Direct exchange for dial requests; the routing key is the trunk.
    public static let dialExchange = "dial"
    /// Exchange and queue for what nobody could handle, for people to look at.
    public static let dead = "dial.dead"
    /// Exchange and queue for requests that the provider did not take. Nothing is wrong with them, and an outage makes many:
    /// they go by themselves.
    public static let unplaced = "dial.unplaced"
    /// Where messages lie that were not handled.
    public static let deadLetterQueues = [Self.dead, Self.unplaced]
    /// Direct exchange and queue for reports about calls.
    public static let callEvents = "call.events"
    /// Direct exchange for hints to dialers; the routing key is the dialer's id.
    public static let callEnded = "call.ended"
    /// Topic exchange for the ends of contacts' stories.
    public static let surveyEvents = "survey.events"

    /// The queue of a trunk's dial requests.
    public static func dialQueue(trunk: String) -> String {
        "dial.requests." + trunk
    }

    /// The queue of one dialer's hints.
    public static func hintQueue(dialerID: String) -> String {
        "call.ended." + dialerID
    }

    /// What holds what nobody could handle.
    public static func deadLetters() -> AMQPTopology { Self.holding(Self.dead) }

    /// What holds requests that the provider did not take.
    public static func unplacedRequests() -> AMQPTopology { Self.holding(Self.unplaced) }

    private static func holding(_ name: String) -> AMQPTopology {
        var topology = AMQPTopology()
        topology.exchange(name, kind: .fanout, durable: true)
        topology.queue(name, kind: .quorum, durable: true)
        topology.bind(queue: name, exchange: name, routingKey: "")
        return topology
    }

    /// A trunk's requests. No time-to-live: a held message that outlives it would expire instead of being redelivered,
    /// and its call could never be adopted.
    public static func dialRequests(trunk: String) -> AMQPTopology {
        var topology = Self.deadLetters().union(Self.unplacedRequests())
        topology.exchange(Self.dialExchange, kind: .direct, durable: true)
        topology.queue(
            Self.dialQueue(trunk: trunk),
            kind: .quorum,
            durable: true,
            arguments: Self.deadLettering
        )
        topology.bind(queue: Self.dialQueue(trunk: trunk), exchange: Self.dialExchange, routingKey: trunk)
        return topology
    }

    /// Reports about calls.
    public static func reports() -> AMQPTopology {
        var topology = Self.deadLetters()
        topology.exchange(Self.callEvents, kind: .direct, durable: true)
        topology.queue(Self.callEvents, kind: .quorum, durable: true, arguments: Self.deadLettering)
        topology.bind(queue: Self.callEvents, exchange: Self.callEvents, routingKey: Self.callEvents)
        return topology
    }

    /// The exchange that hints go through.
    public static func hints() -> AMQPTopology {
        var topology = AMQPTopology()
        topology.exchange(Self.callEnded, kind: .direct, durable: true)
        return topology
    }

    /// One dialer's hints: a transient queue that goes with its connection.
    public static func hints(dialerID: String) -> AMQPTopology {
        var topology = Self.hints()
        let queue = Self.hintQueue(dialerID: dialerID)
        topology.queue(queue, kind: .classic, durable: false, exclusive: true, autoDelete: true)
        topology.bind(queue: queue, exchange: Self.callEnded, routingKey: dialerID)
        return topology
    }

    /// The ends of contacts' stories; who wants them binds a queue.
    public static func surveys() -> AMQPTopology {
        var topology = AMQPTopology()
        topology.exchange(Self.surveyEvents, kind: .topic, durable: true)
        return topology
    }

    /// At-least-once dead-lettering needs all three, or it silently becomes at-most-once.
    private static let deadLettering: AMQPTable = [
        "x-dead-letter-exchange": .string(Self.dead),
        "x-dead-letter-strategy": .string("at-least-once"),
        "x-overflow": .string("reject-publish"),
    ]
}
