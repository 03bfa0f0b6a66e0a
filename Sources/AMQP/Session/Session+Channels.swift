// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CRabbitMQ

extension Session {
    /// Takes a channel number.
    /// - Returns: Nil when all that the broker allows are in use.
    func makeChannel(_ make: (UInt16) -> Channel) -> UInt16? {
        guard let number = self.numbers.take() else { return nil }
        self.channels[number] = make(number)
        return number
    }

    static var noChannel: AMQPError {
        AMQPError(code: .channelClosed, message: "all channels that the broker allows are in use")
    }

    /// Runs an operation on a channel of its own, so that a refusal hurts nobody else.
    func call(_ steps: [Operation.Step], done: @escaping (Result<Void, AMQPError>) -> Void) {
        guard let channel = self.makeChannel({ _ in .call }) else {
            done(.failure(Self.noChannel))
            return
        }
        let operation = Operation([.open] + steps) { [unowned self] result in
            self.close(channel)
            done(result)
        }
        self.perform(operation, on: channel)
    }

    func perform(_ operation: Operation, on channel: UInt16) {
        self.operations[channel] = operation
        self.advance(operation, on: channel)
    }

    private func advance(_ operation: Operation, on channel: UInt16) {
        guard let step = operation.next(deadline: .now + self.configuration.rpcTimeout) else {
            self.operations[channel] = nil
            operation.done(.success(()))
            return
        }
        guard self.failure == nil else { return }
        self.check(step.send(self.connection, channel, self.arena), step.activity)
        self.arena.reset()
    }

    /// - Returns: Whether an operation waited for this.
    func answer(_ method: amqp_method_t, on channel: UInt16) -> Bool {
        guard let operation = self.operations[channel], operation.isAnswered(by: method.id) else { return false }
        operation.current?.receive(method)
        self.advance(operation, on: channel)
        return true
    }

    /// Closes a channel; its number is free once the broker has agreed.
    func close(_ channel: UInt16) {
        switch self.channels[channel] {
        case nil, .closing?: return
        case .call?, .publishing?, .consuming?, .getting?: break
        }
        self.channels[channel] = .closing
        self.assemblers[channel] = nil
        let operation = self.operations.removeValue(forKey: channel)
        operation?.done(.failure(AMQPError(code: .cancelled, message: "the channel is of no use any more")))
        var method = amqp_channel_close_t()
        method.reply_code = UInt16(AMQP_REPLY_SUCCESS)
        self.send(Int(AMQP_CHANNEL_CLOSE_METHOD), method, on: channel, "closing a channel")
    }

    /// The broker has agreed to close a channel.
    func closed(_ channel: UInt16) {
        guard case .closing? = self.channels[channel] else { return }
        self.free(channel)
    }

    private func free(_ channel: UInt16) {
        self.channels[channel] = nil
        self.assemblers[channel] = nil
        self.numbers.giveBack(channel)
    }

    /// The broker closed a channel. Without the close-ok it keeps the channel's deliveries.
    func brokerClosed(_ channel: UInt16, _ close: amqp_channel_close_t) {
        self.send(
            Int(AMQP_CHANNEL_CLOSE_OK_METHOD),
            amqp_channel_close_ok_t(),
            on: channel,
            "closing a channel"
        )
        guard let purpose = self.channels[channel] else { return }
        // Both have closed it at once: the answer to ours is still to come.
        if case .closing = purpose { return }
        let operation = self.operations.removeValue(forKey: channel)
        self.free(channel)
        let activity = operation?.current?.activity ?? "the broker closed a channel"
        let error = Self.channelError(close, activity)
        operation?.done(.failure(error))
        self.lost(purpose, error, isPublish: Int(close.class_id) << 16 | Int(close.method_id) == Self.publishMethod)
    }

    private static let publishMethod = Int(AMQP_BASIC_PUBLISH_METHOD)

    /// Gives up what the broker has not answered in time. The connection stays: whether it is alive, the heartbeat tells.
    func expireOperations(now: ContinuousClock.Instant) {
        for (channel, operation) in self.operations where operation.deadline <= now {
            // The end of one may have ended another.
            guard self.operations[channel] === operation, let purpose = self.channels[channel] else { continue }
            self.operations[channel] = nil
            let activity = operation.current?.activity ?? ""
            let error = AMQPError(
                code: .timeout,
                message: activity + (self.isBlocked ? ": the broker takes nothing now" : ": no answer in time"),
                isOutcomeUnknown: true
            )
            self.close(channel)
            operation.done(.failure(error))
            self.lost(purpose, error, isPublish: false)
        }
    }

    /// Tells those who relied on a channel.
    private func lost(_ purpose: Channel, _ error: AMQPError, isPublish: Bool) {
        switch purpose {
        case .call, .closing:
            break
        case .publishing(let publisher):
            self.forget(publisher)
            if isPublish {
                publisher.window.refuseAll(error)
                self.isMissing(exchange: publisher.exchange, error)
            } else {
                publisher.window.failAll(error)
            }
        case .consuming(let source):
            self.lost(source, error)
        case .getting(let getter):
            if self.getters[getter.queue] === getter { self.getters[getter.queue] = nil }
            getter.end(error)
        }
    }

    /// What a channel's close means: its reply code, and for a clash the method that caused it.
    static func channelError(_ close: amqp_channel_close_t, _ activity: String) -> AMQPError {
        let method = Int(close.class_id) << 16 | Int(close.method_id)
        let declares = [Int(AMQP_EXCHANGE_DECLARE_METHOD), Int(AMQP_QUEUE_DECLARE_METHOD)].contains(method)
        let code: AMQPError.Code =
            switch close.reply_code {
            case 403: .accessRefused
            case 404: .notFound
            case 405: .resourceLocked
            case 406: declares ? .topologyMismatch : .preconditionFailed
            default: .channelClosed
            }
        return AMQPError(
            code: code,
            replyCode: Int(close.reply_code),
            message: "\(activity): \(String(close.reply_text))",
            isOutcomeUnknown: close.reply_code >= 500
        )
    }
}
