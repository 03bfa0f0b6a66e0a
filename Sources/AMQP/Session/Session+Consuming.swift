// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CRabbitMQ
import DequeModule
import Foundation

/// A subscription on its channel.
final class Source {
    let subscriber: Subscriber
    let channel: ChannelReference
    let tag: String
    var unacked = UnackedTags()
    /// Whether the broker has agreed to it.
    var isSubscribed = false
    /// Whether it was cancelled; its channel stays until everything that it handed out is settled.
    var isEnding = false
    /// Whether anything came of it since its queue was declared last.
    var wasServed = false
    /// How many times in a row the broker's word on the queue did not fit with it.
    var doubts = 0

    init(_ subscriber: Subscriber, channel: ChannelReference) {
        self.subscriber = subscriber
        self.channel = channel
        // Using a tag again crashes the channel on RabbitMQ 3.10.8.
        self.tag = UUID().uuidString
    }
}

/// Takes single messages from one queue, on a channel that stays open so that they can be settled.
final class Getter {
    typealias Asked = (Result<AMQPDelivery?, AMQPError>) -> Void
    let queue: String
    let channel: ChannelReference
    var unacked = UnackedTags()
    var asked: Deque<Asked> = []

    init(queue: String, channel: ChannelReference) {
        self.queue = queue
        self.channel = channel
    }

    func end(_ error: AMQPError) {
        self.channel.invalidate()
        let asked = self.asked
        self.asked.removeAll()
        for ask in asked { ask(.failure(error)) }
    }
}

extension Session {
    /// Subscribes, on a fresh channel under a fresh tag.
    func subscribe(_ subscriber: Subscriber) {
        if let fault = AMQPNames.fault(of: subscriber.queue, "queue") {
            self.setFault(fault, of: subscriber)
            return
        }
        var made: Source?
        let number = self.makeChannel { number in
            let source = Source(subscriber, channel: ChannelReference(number: number, inbox: self.inbox))
            made = source
            return .consuming(source)
        }
        guard let number, let source = made else {
            self.subscribeLater(subscriber, Self.noChannel)
            return
        }
        let operation = Operation(Operation.Step.subscription(subscriber, tag: source.tag)) { [unowned self] result in
            guard case .success = result else { return }
            source.isSubscribed = true
            self.setFault(nil, of: subscriber)
        }
        self.perform(operation, on: number)
    }

    private func source(of subscriber: Subscriber) -> Source? {
        for case .consuming(let source) in self.channels.values
        where source.subscriber === subscriber && !source.isEnding {
            return source
        }
        return nil
    }

    /// Stops a consumer; what it holds stays unacked and can still be settled.
    func cancel(_ subscriber: Subscriber, done: @escaping () -> Void) {
        self.forget(subscriber)
        guard let source = self.source(of: subscriber) else {
            done()
            return
        }
        self.end(source, done: done)
    }

    /// Ends a subscription; what it handed out can still be settled.
    func end(_ source: Source, done: @escaping () -> Void = {}) {
        let channel = source.channel.number
        source.isEnding = true
        guard self.operations[channel] == nil else {
            // Not subscribed yet, so that it holds nothing.
            source.channel.invalidate()
            self.close(channel)
            done()
            return
        }
        let operation = Operation([.cancel(tag: source.tag)]) { [unowned self] _ in
            // Deliveries that came before the broker's answer.
            self.handOut()
            done()
            self.closeIfSettled(source.channel)
        }
        self.perform(operation, on: channel)
    }

    /// Stops a consumer whose sequence nobody reads any more. What nobody has taken goes back to its queue.
    func abandon(_ subscriber: Subscriber) {
        let left = subscriber.deliveries.abandon()
        self.forget(subscriber)
        for case .consuming(let source) in self.channels.values where source.subscriber === subscriber {
            let untaken = left.filter { $0.channel === source.channel }
            guard source.unacked.count > untaken.count else {
                // The channel's end gives all back in their order.
                source.channel.invalidate()
                self.close(source.channel.number)
                continue
            }
            if !source.isEnding { self.cancel(subscriber) {} }
            self.settle(untaken.map { Settlement(channel: $0.channel, tag: $0.deliveryTag, kind: .requeue) })
        }
    }

    /// A subscription has ended against our will.
    func lost(_ source: Source, _ error: AMQPError) {
        source.channel.invalidate()
        if source.isSubscribed { self.report(.consumerLost("\(source.subscriber.queue): \(error)")) }
        guard !source.isEnding else { return }
        self.subscribeLater(source.subscriber, error)
        if error.code == .notFound { self.isMissing(queue: source.subscriber.queue) }
    }

    /// Takes one message.
    func get(_ queue: String, _ done: @escaping Getter.Asked) {
        if let getter = self.getters[queue] {
            getter.asked.append(done)
            self.askNext(getter)
            return
        }
        var made: Getter?
        let number = self.makeChannel { number in
            let getter = Getter(queue: queue, channel: ChannelReference(number: number, inbox: self.inbox))
            made = getter
            return .getting(getter)
        }
        guard let number, let getter = made else {
            done(.failure(Self.noChannel))
            return
        }
        self.getters[queue] = getter
        getter.asked.append(done)
        let operation = Operation([.open]) { [unowned self] result in
            if case .success = result { self.askNext(getter) }
        }
        self.perform(operation, on: number)
    }

    func askNext(_ getter: Getter) {
        let channel = getter.channel.number
        guard self.operations[channel] == nil, self.assemblers[channel] == nil, !getter.asked.isEmpty else { return }
        let step = Operation.Step.get(getter.queue) { [unowned self] got in
            if let got {
                self.assemblers[channel] = FrameAssembler(got)
            } else {
                getter.asked.popFirst()?(.success(nil))
            }
        }
        let operation = Operation([step]) { [unowned self] result in
            if case .success = result { self.askNext(getter) }
        }
        self.perform(operation, on: channel)
    }

    /// Writes acks and nacks. Those of a channel that is gone are dropped, because the broker delivers anew; so are those of
    /// another connection, and those that come twice: the first one stands.
    func settle(_ settlements: [Settlement]) {
        var acks: [UInt16: [UInt64]] = [:]
        var touched: [UInt16: ChannelReference] = [:]
        for settlement in settlements {
            let channel = settlement.channel.number
            guard self.isCurrent(settlement.channel) else { continue }
            touched[channel] = settlement.channel
            if settlement.kind == .ack {
                acks[channel, default: []].append(settlement.tag)
            } else if acks[channel]?.contains(settlement.tag) != true {
                self.nack(settlement)
            }
        }
        for (channel, tags) in acks {
            let (multiple, single) = self.changeUnacked(of: channel) { $0.settle(tags) } ?? (nil, [])
            if let multiple { self.ack(multiple, multiple: true, on: channel) }
            for tag in single { self.ack(tag, multiple: false, on: channel) }
        }
        for channel in touched.values { self.closeIfSettled(channel) }
    }

    private func ack(_ tag: UInt64, multiple: Bool, on channel: UInt16) {
        guard self.failure == nil else { return }
        self.check(amqp_basic_ack(self.connection, channel, tag, multiple ? 1 : 0), "acking deliveries")
    }

    private func nack(_ settlement: Settlement) {
        let channel = settlement.channel.number
        guard self.changeUnacked(of: channel, { $0.settle(settlement.tag) }) == true, self.failure == nil else {
            return
        }
        let requeue: amqp_boolean_t = settlement.kind == .requeue ? 1 : 0
        self.check(amqp_basic_nack(self.connection, channel, settlement.tag, 0, requeue), "refusing a delivery")
    }

    private func isCurrent(_ reference: ChannelReference) -> Bool {
        switch self.channels[reference.number] {
        case .consuming(let source)?: source.channel === reference
        case .getting(let getter)?: getter.channel === reference
        case nil, .call?, .publishing?, .closing?: false
        }
    }

    private func changeUnacked<Value>(of channel: UInt16, _ change: (inout UnackedTags) -> Value) -> Value? {
        switch self.channels[channel] {
        case .consuming(let source)?: change(&source.unacked)
        case .getting(let getter)?: change(&getter.unacked)
        case nil, .call?, .publishing?, .closing?: nil
        }
    }

    /// A cancelled consumer's channel is of no use once everything is settled.
    private func closeIfSettled(_ reference: ChannelReference) {
        guard case .consuming(let source)? = self.channels[reference.number], source.channel === reference,
            source.isEnding, source.unacked.count == 0, self.operations[reference.number] == nil
        else { return }
        reference.invalidate()
        self.close(reference.number)
    }
}
