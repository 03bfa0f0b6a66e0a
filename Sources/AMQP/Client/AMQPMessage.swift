// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// A message: body and properties (AMQP 0-9-1, section 1.8.3.1 of the reference).
public struct AMQPMessage: Sendable, Equatable {
    /// The body.
    public var body: [UInt8]
    /// MIME type of the body.
    public var contentType: String?
    /// The application's name for the kind of message.
    public var type: String?
    /// The application's id of the message.
    public var messageID: String?
    /// The application's id of what the message belongs to.
    public var correlationID: String?
    /// When the message was made; whole seconds.
    public var timestamp: Date?
    /// Whether the message survives a restart of the broker in a durable queue.
    public var isPersistent: Bool = true
    /// How long the message may wait in a queue.
    public var expiration: Duration?
    /// The application that made the message.
    public var appID: String?
    /// The headers.
    public var headers: AMQPTable = [:]

    /// Creates a persistent message without properties.
    public init(body: [UInt8]) {
        self.body = body
    }
}

/// A message and where it goes.
public struct AMQPPublication: Sendable {
    /// The message.
    public var message: AMQPMessage
    /// The exchange; empty for the default exchange, where the routing key is a queue's name.
    public var exchange: String
    /// The routing key.
    public var routingKey: String
    /// Whether it is an error when no queue takes the message.
    public var mandatory: Bool

    /// Creates a publication.
    public init(message: AMQPMessage, exchange: String, routingKey: String, mandatory: Bool = true) {
        self.message = message
        self.exchange = exchange
        self.routingKey = routingKey
        self.mandatory = mandatory
    }
}
