// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CRabbitMQ
import Foundation

/// Puts a message together from its method, header and body frames; those of one channel come in a row.
struct FrameAssembler {
    enum Head {
        case deliver(consumerTag: String)
        case returned(AMQPError)
        case got
    }

    let head: Head
    let deliveryTag: UInt64
    let redelivered: Bool
    let exchange: String
    let routingKey: String
    var message: AMQPMessage?
    var bodySize = 0

    /// Whether the whole body has arrived.
    var isComplete: Bool { self.message.map { $0.body.count >= self.bodySize } ?? false }
}

extension Session {
    func handle(_ frame: amqp_frame_t) throws(AMQPError) {
        switch Int32(frame.frame_type) {
        case AMQP_FRAME_METHOD:
            try self.handle(method: frame.payload.method, channel: frame.channel)
        case AMQP_FRAME_HEADER:
            guard var assembler = self.assemblers[frame.channel], let decoded = frame.payload.properties.decoded else {
                throw Self.unexpected("a content header")
            }
            let properties = decoded.assumingMemoryBound(to: amqp_basic_properties_t.self).pointee
            assembler.message = AMQPMessage(properties: properties)
            assembler.bodySize = Int(frame.payload.properties.body_size)
            assembler.message?.body.reserveCapacity(assembler.bodySize)
            try self.assembled(assembler, channel: frame.channel)
        case AMQP_FRAME_BODY:
            guard var assembler = self.assemblers[frame.channel], assembler.message != nil else {
                throw Self.unexpected("a body")
            }
            let fragment = frame.payload.body_fragment
            assembler.message?.body.append(
                contentsOf: UnsafeRawBufferPointer(start: fragment.bytes, count: fragment.len)
            )
            try self.assembled(assembler, channel: frame.channel)
        default:
            return
        }
    }

    private static func unexpected(_ what: String) -> AMQPError {
        AMQPError(
            code: .connectionLost,
            message: "the broker sent \(what) where none belongs",
            isOutcomeUnknown: true
        )
    }

    private func handle(method: amqp_method_t, channel: UInt16) throws(AMQPError) {
        switch UInt32(method.id) {
        case UInt32(AMQP_BASIC_DELIVER_METHOD):
            let deliver = method.decoded.assumingMemoryBound(to: amqp_basic_deliver_t.self).pointee
            self.assemblers[channel] = FrameAssembler(
                head: .deliver(consumerTag: String(deliver.consumer_tag)),
                deliveryTag: deliver.delivery_tag,
                redelivered: deliver.redelivered != 0,
                exchange: String(deliver.exchange),
                routingKey: String(deliver.routing_key)
            )
        case UInt32(AMQP_BASIC_RETURN_METHOD):
            let returned = method.decoded.assumingMemoryBound(to: amqp_basic_return_t.self).pointee
            self.assemblers[channel] = FrameAssembler(
                head: .returned(
                    AMQPError(
                        code: .returned,
                        replyCode: Int(returned.reply_code),
                        message: "no queue takes the message: \(String(returned.reply_text)), exchange"
                            + " '\(String(returned.exchange))', routing key '\(String(returned.routing_key))'"
                    )
                ),
                deliveryTag: 0,
                redelivered: false,
                exchange: String(returned.exchange),
                routingKey: String(returned.routing_key)
            )
        case UInt32(AMQP_BASIC_ACK_METHOD):
            let ack = method.decoded.assumingMemoryBound(to: amqp_basic_ack_t.self).pointee
            try self.confirm(tag: ack.delivery_tag, multiple: ack.multiple != 0, nack: false)
        case UInt32(AMQP_BASIC_NACK_METHOD):
            let nack = method.decoded.assumingMemoryBound(to: amqp_basic_nack_t.self).pointee
            try self.confirm(tag: nack.delivery_tag, multiple: nack.multiple != 0, nack: true)
        case UInt32(AMQP_BASIC_CANCEL_METHOD):
            self.consumerLost(channel, "the broker cancelled the consumer: its queue is gone")
            amqp_channel_close(self.connection, channel, AMQP_REPLY_SUCCESS)
        case UInt32(AMQP_CHANNEL_CLOSE_METHOD):
            let close = method.decoded.assumingMemoryBound(to: amqp_channel_close_t.self).pointee
            let error = Self.channelError(
                code: Int(close.reply_code),
                text: String(close.reply_text),
                "the broker closed a channel"
            )
            try self.acknowledgeClose(of: channel)
            self.channelClosed(channel, error)
        case UInt32(AMQP_CONNECTION_CLOSE_METHOD):
            let close = method.decoded.assumingMemoryBound(to: amqp_connection_close_t.self).pointee
            throw try self.connectionClosed(code: Int(close.reply_code), text: String(close.reply_text))
        case UInt32(AMQP_CONNECTION_BLOCKED_METHOD):
            let blocked = method.decoded.assumingMemoryBound(to: amqp_connection_blocked_t.self).pointee
            self.isBlocked = true
            self.report(.blocked(String(blocked.reason)))
        case UInt32(AMQP_CONNECTION_UNBLOCKED_METHOD):
            self.isBlocked = false
            self.report(.unblocked)
        default:
            return
        }
    }

    private func confirm(tag: UInt64, multiple: Bool, nack: Bool) throws(AMQPError) {
        guard self.window.confirmed(tag: tag, multiple: multiple, nack: nack) else {
            throw Self.unexpected("a confirm for a message that was never sent")
        }
    }

    private func assembled(_ assembler: FrameAssembler, channel: UInt16) throws(AMQPError) {
        guard assembler.isComplete, let message = assembler.message else {
            self.assemblers[channel] = assembler
            return
        }
        self.assemblers[channel] = nil
        switch assembler.head {
        case .deliver(let consumerTag):
            guard let subscription = self.subscriptions[channel], subscription.tag == consumerTag else { return }
            let delivery = Self.delivery(assembler, message, on: subscription.channel)
            self.arrived.append((subscription.consumer, delivery))
        case .returned(let error):
            self.window.returned(
                exchange: assembler.exchange,
                routingKey: assembler.routingKey,
                messageID: message.messageID,
                error: error
            )
        case .got:
            guard let reference = self.getChannel else { return }
            self.pendingGet.take()?(.success(Self.delivery(assembler, message, on: reference)))
        }
    }

    private static func delivery(
        _ assembler: FrameAssembler,
        _ message: AMQPMessage,
        on channel: ChannelReference
    ) -> AMQPDelivery {
        AMQPDelivery(
            message: message,
            exchange: assembler.exchange,
            routingKey: assembler.routingKey,
            redelivered: assembler.redelivered,
            deliveryTag: assembler.deliveryTag,
            channel: channel
        )
    }

    /// Closes the channel that publishes, so that the next message gets a new one. In a cluster a channel remembers who
    /// leads a queue; one that was opened when the leader's node had just died refuses everything until that node is back,
    /// while a new one asks the new leader.
    func closePublishing() throws(AMQPError) {
        let reply = amqp_channel_close(self.connection, Self.publishChannel, AMQP_REPLY_SUCCESS)
        try self.check(reply, channel: Self.publishChannel, "closing a channel")
        // Confirms that came before the broker's answer.
        try self.readFrames()
        let text = "the broker takes no messages on this channel"
        self.channelClosed(
            Self.publishChannel,
            AMQPError(code: .channelClosed, message: text, isOutcomeUnknown: true)
        )
    }

    private func channelClosed(_ channel: UInt16, _ error: AMQPError) {
        self.assemblers[channel] = nil
        switch channel {
        case Self.publishChannel:
            self.isConfirming = false
            self.window.failAll(error)
        case Self.getChannelNumber:
            self.getChannel?.invalidate()
            self.getChannel = nil
            self.pendingGet.take()?(.failure(error))
        default:
            self.consumerLost(channel, error.description)
        }
    }

    func consumerLost(_ channel: UInt16, _ reason: String) {
        guard let subscription = self.subscriptions.removeValue(forKey: channel) else { return }
        subscription.channel.invalidate()
        self.report(.consumerLost("\(subscription.consumer.queue): \(reason)"))
        if !subscription.isCancelled {
            self.lostConsumers.append((subscription.consumer, .now + .seconds(1)))
        }
    }
}
