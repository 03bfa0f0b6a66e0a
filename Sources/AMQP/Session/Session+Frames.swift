// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CRabbitMQ
import DequeModule
import Foundation

/// Puts a message together from its method, header and body frames; those of one channel come in a row.
struct FrameAssembler {
    enum Head {
        case deliver(consumerTag: String)
        case returned(AMQPError)
        case got
    }

    /// The broker takes no larger messages (RabbitMQ, `max_message_size`).
    static let largestBody: UInt64 = 512 << 20

    let head: Head
    var deliveryTag: UInt64 = 0
    var redelivered = false
    let exchange: String
    let routingKey: String
    var message: AMQPMessage?
    var bodySize = 0

    /// Whether the whole body has arrived.
    var isComplete: Bool { self.message.map { $0.body.count >= self.bodySize } ?? false }

    init(_ deliver: amqp_basic_deliver_t) {
        self.head = .deliver(consumerTag: String(deliver.consumer_tag))
        self.deliveryTag = deliver.delivery_tag
        self.redelivered = deliver.redelivered != 0
        self.exchange = String(deliver.exchange)
        self.routingKey = String(deliver.routing_key)
    }

    init(_ got: amqp_basic_get_ok_t) {
        self.head = .got
        self.deliveryTag = got.delivery_tag
        self.redelivered = got.redelivered != 0
        self.exchange = String(got.exchange)
        self.routingKey = String(got.routing_key)
    }

    init(_ returned: amqp_basic_return_t) {
        self.exchange = String(returned.exchange)
        self.routingKey = String(returned.routing_key)
        self.head = .returned(
            AMQPError(
                code: .returned,
                replyCode: Int(returned.reply_code),
                message: "no queue takes the message: \(String(returned.reply_text)), exchange '\(self.exchange)',"
                    + " routing key '\(self.routingKey)'"
            )
        )
    }

    func delivery(_ message: AMQPMessage, on channel: ChannelReference) -> AMQPDelivery {
        AMQPDelivery(
            message: message,
            exchange: self.exchange,
            routingKey: self.routingKey,
            redelivered: self.redelivered,
            deliveryTag: self.deliveryTag,
            channel: channel
        )
    }
}

extension Session {
    func handle(_ frame: amqp_frame_t) {
        switch Int32(frame.frame_type) {
        case AMQP_FRAME_METHOD:
            self.handle(frame.payload.method, on: frame.channel)
        case AMQP_FRAME_HEADER where self.isOpen(frame.channel):
            let size = frame.payload.properties.body_size
            guard var assembler = self.assemblers[frame.channel], let decoded = frame.payload.properties.decoded,
                size <= FrameAssembler.largestBody
            else {
                self.failUnexpected("a content header")
                return
            }
            let properties = decoded.assumingMemoryBound(to: amqp_basic_properties_t.self).pointee
            assembler.message = AMQPMessage(properties: properties)
            assembler.bodySize = Int(size)
            assembler.message?.body.reserveCapacity(assembler.bodySize)
            self.assembled(assembler, on: frame.channel)
        case AMQP_FRAME_BODY where self.isOpen(frame.channel):
            // Taken out, so that the body is not copied with every part of it.
            guard var assembler = self.assemblers.removeValue(forKey: frame.channel), assembler.message != nil else {
                self.failUnexpected("a body")
                return
            }
            let fragment = frame.payload.body_fragment
            assembler.message?.body.append(
                contentsOf: UnsafeRawBufferPointer(start: fragment.bytes, count: fragment.len)
            )
            self.assembled(assembler, on: frame.channel)
        default:
            return
        }
    }

    /// What comes on a channel that we have closed is left over.
    private func isOpen(_ channel: UInt16) -> Bool {
        switch self.channels[channel] {
        case nil, .closing?: false
        case .call?, .publishing?, .consuming?, .getting?: true
        }
    }

    private func failUnexpected(_ what: String) {
        self.fail(
            AMQPError(
                code: .connectionLost,
                message: "the broker sent \(what) where none belongs",
                isOutcomeUnknown: true
            )
        )
    }

    private func handle(_ method: amqp_method_t, on channel: UInt16) {
        func decoded<Method>(_ type: Method.Type) -> Method {
            method.decoded.assumingMemoryBound(to: Method.self).pointee
        }
        switch UInt32(method.id) {
        case UInt32(AMQP_CHANNEL_CLOSE_METHOD):
            self.brokerClosed(channel, decoded(amqp_channel_close_t.self))
        case UInt32(AMQP_CHANNEL_CLOSE_OK_METHOD):
            self.closed(channel)
        case UInt32(AMQP_CONNECTION_CLOSE_METHOD):
            self.connectionClosed(decoded(amqp_connection_close_t.self))
        case UInt32(AMQP_CONNECTION_BLOCKED_METHOD):
            self.isBlocked = true
            self.report(.blocked(String(decoded(amqp_connection_blocked_t.self).reason)))
        case UInt32(AMQP_CONNECTION_UNBLOCKED_METHOD):
            self.isBlocked = false
            self.report(.unblocked)
        default:
            guard self.isOpen(channel), !self.answer(method, on: channel) else { return }
            self.handleContent(method, on: channel)
        }
    }

    private func handleContent(_ method: amqp_method_t, on channel: UInt16) {
        func decoded<Method>(_ type: Method.Type) -> Method {
            method.decoded.assumingMemoryBound(to: Method.self).pointee
        }
        switch UInt32(method.id) {
        case UInt32(AMQP_BASIC_DELIVER_METHOD):
            self.assemblers[channel] = FrameAssembler(decoded(amqp_basic_deliver_t.self))
        case UInt32(AMQP_BASIC_RETURN_METHOD):
            self.assemblers[channel] = FrameAssembler(decoded(amqp_basic_return_t.self))
        case UInt32(AMQP_BASIC_ACK_METHOD):
            let ack = decoded(amqp_basic_ack_t.self)
            self.confirm(channel, tag: ack.delivery_tag, multiple: ack.multiple != 0, nack: false)
        case UInt32(AMQP_BASIC_NACK_METHOD):
            let nack = decoded(amqp_basic_nack_t.self)
            self.confirm(channel, tag: nack.delivery_tag, multiple: nack.multiple != 0, nack: true)
        case UInt32(AMQP_BASIC_CANCEL_METHOD):
            guard case .consuming(let source)? = self.channels[channel] else { return }
            self.close(channel)
            let text = "the broker cancelled the consumer: its queue is gone"
            self.lost(source, AMQPError(code: .notFound, message: text))
        default:
            return
        }
    }

    private func confirm(_ channel: UInt16, tag: UInt64, multiple: Bool, nack: Bool) {
        guard case .publishing(let publisher)? = self.channels[channel],
            publisher.window.confirmed(tag: tag, multiple: multiple, nack: nack)
        else {
            self.failUnexpected("a confirm for a message that was never sent")
            return
        }
    }

    private func connectionClosed(_ close: amqp_connection_close_t) {
        self.send(
            Int(AMQP_CONNECTION_CLOSE_OK_METHOD),
            amqp_connection_close_ok_t(),
            on: 0,
            "closing the connection"
        )
        self.fail(
            AMQPError(
                code: .connectionLost,
                replyCode: Int(close.reply_code),
                message: "the broker closed the connection: \(String(close.reply_text))",
                isOutcomeUnknown: true
            )
        )
    }

    private func assembled(_ assembler: FrameAssembler, on channel: UInt16) {
        guard assembler.isComplete, let message = assembler.message else {
            self.assemblers[channel] = assembler
            return
        }
        self.assemblers[channel] = nil
        switch (assembler.head, self.channels[channel]) {
        case (.deliver(let tag), .consuming(let source)?) where source.tag == tag:
            source.unacked.handedOut(assembler.deliveryTag)
            source.wasServed = true
            self.arrived(assembler.delivery(message, on: source.channel), for: source.subscriber)
        case (.returned(let error), .publishing(let publisher)?):
            publisher.window.returned(
                exchange: assembler.exchange,
                routingKey: assembler.routingKey,
                messageID: message.messageID,
                error: error
            )
        case (.got, .getting(let getter)?):
            getter.unacked.handedOut(assembler.deliveryTag)
            getter.asked.popFirst()?(.success(assembler.delivery(message, on: getter.channel)))
            self.askNext(getter)
        default:
            return
        }
    }
}
