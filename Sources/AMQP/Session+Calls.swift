// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CRabbitMQ
import Foundation

extension Session {
    /// Declares everything, in an order in which bindings find their ends.
    func declare(_ topology: AMQPTopology) throws(AMQPError) {
        guard !topology.exchanges.isEmpty || !topology.queues.isEmpty else { return }
        try self.withCallChannel { channel throws(AMQPError) in
            for exchange in topology.exchanges { try self.declare(exchange, channel) }
            for queue in topology.queues { try self.declare(queue, channel) }
            for binding in topology.bindings { try self.declare(binding, channel) }
        }
    }

    private func declare(_ exchange: AMQPTopology.Exchange, _ channel: UInt16) throws(AMQPError) {
        let arena = Arena()
        amqp_exchange_declare(
            self.connection,
            channel,
            arena.bytes(exchange.name),
            arena.bytes(exchange.kind.rawValue),
            0,
            exchange.durable ? 1 : 0,
            0,
            0,
            amqp_empty_table
        )
        try self.check(
            amqp_get_rpc_reply(self.connection),
            channel: channel,
            "declaring exchange '\(exchange.name)'"
        )
    }

    private func declare(_ queue: AMQPTopology.Queue, _ channel: UInt16) throws(AMQPError) {
        let arena = Arena()
        amqp_queue_declare(
            self.connection,
            channel,
            arena.bytes(queue.name),
            0,
            queue.durable ? 1 : 0,
            queue.exclusive ? 1 : 0,
            queue.autoDelete ? 1 : 0,
            arena.table(queue.arguments)
        )
        try self.check(amqp_get_rpc_reply(self.connection), channel: channel, "declaring queue '\(queue.name)'")
    }

    private func declare(_ binding: AMQPTopology.Binding, _ channel: UInt16) throws(AMQPError) {
        let arena = Arena()
        amqp_queue_bind(
            self.connection,
            channel,
            arena.bytes(binding.queue),
            arena.bytes(binding.exchange),
            arena.bytes(binding.routingKey),
            amqp_empty_table
        )
        try self.check(
            amqp_get_rpc_reply(self.connection),
            channel: channel,
            "binding queue '\(binding.queue)' to exchange '\(binding.exchange)'"
        )
    }

    func status(of queue: String) throws(AMQPError) -> AMQPQueueStatus {
        try self.withCallChannel { channel throws(AMQPError) in
            let arena = Arena()
            let answer = amqp_queue_declare(
                self.connection,
                channel,
                arena.bytes(queue),
                1,
                0,
                0,
                0,
                amqp_empty_table
            )
            try self.check(amqp_get_rpc_reply(self.connection), channel: channel, "asking for queue '\(queue)'")
            guard let answer else { throw AMQPError(code: .channelClosed, message: "no answer about queue '\(queue)'") }
            return AMQPQueueStatus(
                messagesReady: Int(answer.pointee.message_count),
                consumers: Int(answer.pointee.consumer_count)
            )
        }
    }

    func purge(_ queue: String) throws(AMQPError) -> Int {
        try self.withCallChannel { channel throws(AMQPError) in
            let arena = Arena()
            let answer = amqp_queue_purge(self.connection, channel, arena.bytes(queue))
            try self.check(amqp_get_rpc_reply(self.connection), channel: channel, "purging queue '\(queue)'")
            return answer.map { Int($0.pointee.message_count) } ?? 0
        }
    }

    func delete(_ queue: String) throws(AMQPError) {
        try self.withCallChannel { channel throws(AMQPError) in
            let arena = Arena()
            amqp_queue_delete(self.connection, channel, arena.bytes(queue), 0, 0)
            try self.check(amqp_get_rpc_reply(self.connection), channel: channel, "deleting queue '\(queue)'")
        }
    }

    /// Takes one message, on a channel that stays open so that it can be settled.
    func get(_ queue: String, _ done: @escaping (Result<AMQPDelivery?, AMQPError>) -> Void) throws(AMQPError) {
        guard self.pendingGet == nil else {
            throw AMQPError(code: .channelClosed, message: "another basic.get is under way")
        }
        if self.getChannel == nil {
            try self.open(Self.getChannelNumber)
            self.getChannel = ChannelReference(number: Self.getChannelNumber, inbox: self.inbox)
        }
        let arena = Arena()
        let reply = amqp_basic_get(self.connection, Self.getChannelNumber, arena.bytes(queue), 0)
        do {
            try self.check(reply, channel: Self.getChannelNumber, "getting from queue '\(queue)'")
        } catch {
            self.getChannel?.invalidate()
            self.getChannel = nil
            throw error
        }
        guard reply.reply.id == AMQP_BASIC_GET_OK_METHOD else {
            done(.success(nil))
            return
        }
        let got = reply.reply.decoded.assumingMemoryBound(to: amqp_basic_get_ok_t.self).pointee
        self.assemblers[Self.getChannelNumber] = FrameAssembler(
            head: .got,
            deliveryTag: got.delivery_tag,
            redelivered: got.redelivered != 0,
            exchange: String(got.exchange),
            routingKey: String(got.routing_key)
        )
        self.pendingGet = done
    }

    /// Subscribes on a fresh channel under a fresh tag: using a tag again crashes the channel on RabbitMQ 3.10.8.
    func subscribe(_ consumer: AMQPConsumer) throws(AMQPError) {
        let reference = self.makeChannel()
        let channel = reference.number
        try self.open(channel)
        let activity = "consuming from queue '\(consumer.queue)'"
        amqp_basic_qos(self.connection, channel, 0, UInt16(clamping: consumer.prefetch), 0)
        try self.check(amqp_get_rpc_reply(self.connection), channel: channel, activity)
        let tag = UUID().uuidString
        // Deliveries may be read together with the answer.
        self.subscriptions[channel] = Subscription(consumer: consumer, channel: reference, tag: tag)
        let arena = Arena()
        var arguments: AMQPTable = [:]
        if let priority = consumer.priority { arguments["x-priority"] = .int32(Int32(clamping: priority)) }
        amqp_basic_consume(
            self.connection,
            channel,
            arena.bytes(consumer.queue),
            arena.bytes(tag),
            0,
            0,
            consumer.exclusive ? 1 : 0,
            arena.table(arguments)
        )
        do {
            try self.check(amqp_get_rpc_reply(self.connection), channel: channel, activity)
        } catch {
            self.subscriptions[channel] = nil
            reference.invalidate()
            throw error
        }
    }

    /// Stops a consumer; what it holds stays unacked and can still be settled.
    func cancel(_ consumer: AMQPConsumer) throws(AMQPError) {
        self.lostConsumers.removeAll { $0.consumer === consumer }
        guard let channel = self.subscriptions.first(where: { $0.value.consumer === consumer })?.key,
            let tag = self.subscriptions[channel]?.tag
        else { return }
        self.subscriptions[channel]?.isCancelled = true
        let arena = Arena()
        amqp_basic_cancel(self.connection, channel, arena.bytes(tag))
        try self.check(amqp_get_rpc_reply(self.connection), channel: channel, "cancelling a consumer")
        // Deliveries that came before the broker's answer.
        try self.readFrames()
    }

    /// Writes one message; its confirm, if it is to have one, is waited for in the window.
    func publish(_ publication: AMQPPublication, confirmedBy batch: (PublishBatch, Int)?) throws(AMQPError) {
        if self.window.isRefused(for: .seconds(1)) { try self.closePublishing() }
        if !self.isConfirming {
            try self.open(Self.publishChannel)
            amqp_confirm_select(self.connection, Self.publishChannel)
            try self.check(amqp_get_rpc_reply(self.connection), channel: Self.publishChannel, "asking for confirms")
            self.isConfirming = true
        }
        let arena = Arena()
        var properties = publication.message.properties(in: arena)
        let status = publication.message.body.withUnsafeBytes { body in
            amqp_basic_publish(
                self.connection,
                Self.publishChannel,
                arena.bytes(publication.exchange),
                arena.bytes(publication.routingKey),
                publication.mandatory ? 1 : 0,
                0,
                &properties,
                amqp_bytes_t(len: body.count, bytes: UnsafeMutableRawPointer(mutating: body.baseAddress))
            )
        }
        let (owner, index) = batch ?? (PublishBatch([publication], deadline: .now), 0)
        self.window.append(owner, index: index)
        try self.check(status, "publishing")
    }

    /// Writes acks and nacks; those of a channel that is gone are dropped, because the broker delivers anew.
    func settle(_ settlements: [Settlement]) throws(AMQPError) {
        var acks: [UInt16: [UInt64]] = [:]
        for settlement in settlements {
            let channel = settlement.channel.number
            guard settlement.channel.isValid else { continue }
            guard settlement.kind == .ack, self.subscriptions[channel] != nil else {
                self.subscriptions[channel]?.unacked.settle(settlement.tag)
                let status =
                    settlement.kind == .ack
                    ? amqp_basic_ack(self.connection, channel, settlement.tag, 0)
                    : amqp_basic_nack(
                        self.connection,
                        channel,
                        settlement.tag,
                        0,
                        settlement.kind == .requeue ? 1 : 0
                    )
                try self.check(status, "settling a delivery")
                continue
            }
            acks[channel, default: []].append(settlement.tag)
        }
        for (channel, tags) in acks {
            guard var subscription = self.subscriptions[channel] else { continue }
            let (multiple, single) = subscription.unacked.settle(tags)
            self.subscriptions[channel] = subscription
            if let multiple {
                try self.check(amqp_basic_ack(self.connection, channel, multiple, 1), "acking deliveries")
            }
            for tag in single {
                try self.check(amqp_basic_ack(self.connection, channel, tag, 0), "acking a delivery")
            }
        }
    }
}
