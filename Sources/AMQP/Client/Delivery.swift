// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import ThreadEngine

/// A message as the broker handed it out; it stays with this consumer until it is acked or nacked.
public struct AMQPDelivery: Sendable {
    /// The message.
    public private(set) var message: AMQPMessage
    /// The exchange it was published to.
    public private(set) var exchange: String
    /// The routing key it was published with.
    public private(set) var routingKey: String
    /// Whether it was handed out before. False proves nothing.
    public let redelivered: Bool
    /// Its number on its channel.
    public let deliveryTag: UInt64
    let channel: ChannelReference

    /// Whether its channel still lives. Once it does not, the broker hands the message out again.
    public var isValid: Bool { self.channel.isValid }

    /// The delivery with nothing of the message but its headers, for whoever has read it and holds the delivery for long.
    public var withHeadersOnly: AMQPDelivery {
        var delivery = self
        delivery.message = AMQPMessage(body: [])
        delivery.message.headers = self.message.headers
        delivery.exchange = ""
        delivery.routingKey = ""
        return delivery
    }

    /// Tells the broker that the message is done. Returns at once; the ack is written by the connection's thread. Of
    /// several settlements of one delivery the first stands.
    /// - Throws: ``AMQPError`` with code `deliveryLost` when the broker will hand the message out again.
    public func ack() throws(AMQPError) {
        try self.settle(.ack)
    }

    /// Refuses the message.
    /// - Parameter requeue: True puts it back into its queue; false dead-letters it.
    /// - Throws: ``AMQPError`` with code `deliveryLost` when the broker will hand the message out again.
    public func nack(requeue: Bool) throws(AMQPError) {
        try self.settle(requeue ? .requeue : .deadLetter)
    }

    private func settle(_ kind: Settlement.Kind) throws(AMQPError) {
        guard self.isValid else {
            throw AMQPError(code: .deliveryLost, message: "the delivery's channel is gone")
        }
        self.channel.inbox.append(.settle([Settlement(channel: self.channel, tag: self.deliveryTag, kind: kind)]))
    }
}

/// One life of a channel. What belongs to an earlier life must not be settled on a later one.
final class ChannelReference: Sendable {
    let number: UInt16
    let inbox: Commands
    private let valid = NIOLockedValueBox(true)

    init(number: UInt16, inbox: Commands) {
        self.number = number
        self.inbox = inbox
    }

    var isValid: Bool { self.valid.withLockedValue(\.self) }

    func invalidate() {
        self.valid.withLockedValue { $0 = false }
    }
}

/// An ack or nack on its way to the connection's thread.
struct Settlement: Sendable {
    enum Kind: Sendable {
        case ack
        case requeue
        case deadLetter
    }

    let channel: ChannelReference
    let tag: UInt64
    let kind: Kind
}
