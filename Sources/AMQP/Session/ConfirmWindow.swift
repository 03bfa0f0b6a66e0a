// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import DequeModule

/// Which messages of a confirm channel wait for the broker. Tags count from 1 since `confirm.select`; acks may come out
/// of order and may settle ranges (AMQP 0-9-1 extension, RabbitMQ "Publisher Acknowledgements").
struct ConfirmWindow {
    private struct Entry {
        /// Nil once it is settled.
        var batch: PublishBatch?
        let index: Int
        let sentAt: ContinuousClock.Instant
        var returned: AMQPError?
        /// Whether it still takes room: not once nobody waits for it any more.
        var takesRoom = true
    }

    private struct Route: Hashable {
        let exchange: String
        let routingKey: String
    }

    private var entries: Deque<Entry> = []
    private var lowestTag: UInt64 = 1
    /// Where every message has been refused, with the time of the first refusal.
    private var refusals: [Route: ContinuousClock.Instant] = [:]

    /// Messages whose sender waits for the confirm.
    private(set) var waiting = 0

    /// Messages that wait, counting settled ones behind an unsettled one.
    var count: Int { self.entries.count }

    /// Whether messages to some place have all been refused for that long.
    func isRefused(for duration: Duration, now: ContinuousClock.Instant = .now) -> Bool {
        !self.refusals.isEmpty && self.refusals.values.contains { now - $0 >= duration }
    }

    /// Whether a message has waited for that long, as those to a queue without a majority do.
    func isStuck(for duration: Duration, now: ContinuousClock.Instant) -> Bool {
        self.entries.first.map { now - $0.sentAt >= duration } ?? false
    }

    /// The message has been written; its tag is the next one.
    mutating func append(_ batch: PublishBatch, index: Int) {
        self.entries.append(Entry(batch: batch, index: index, sentAt: .now))
        self.waiting += 1
    }

    /// Gives up the room of those for which nobody waits any more; their confirms may still come.
    mutating func release(now: ContinuousClock.Instant) {
        for position in self.entries.indices where self.entries[position].takesRoom {
            guard let batch = self.entries[position].batch, batch.isDone || batch.deadline <= now else { continue }
            self.leave(position)
        }
    }

    /// The broker returned a message. A return precedes its ack, and messages with equal routing come back in order.
    mutating func returned(exchange: String, routingKey: String, messageID: String?, error: AMQPError) {
        let position = self.entries.firstIndex { entry in
            guard let batch = entry.batch, entry.returned == nil else { return false }
            let publication = batch.publications[entry.index]
            return publication.mandatory && publication.exchange == exchange && publication.routingKey == routingKey
                && publication.message.messageID == messageID
        }
        if let position { self.entries[position].returned = error }
    }

    /// The broker took or refused messages.
    /// - Returns: False when the tag was never handed out, which is the broker's fault.
    mutating func confirmed(tag: UInt64, multiple: Bool, nack: Bool) -> Bool {
        guard tag >= self.lowestTag else { return true }
        let offset = tag - self.lowestTag
        guard offset < UInt64(self.entries.count) else { return false }
        let last = Int(offset)
        for position in (multiple ? 0 : last)...last { self.settle(position, nack: nack) }
        while let first = self.entries.first, first.batch == nil {
            self.entries.removeFirst()
            self.lowestTag += 1
        }
        return true
    }

    /// The channel is gone: nobody will learn what became of these.
    mutating func failAll(_ error: AMQPError) {
        for entry in self.entries { entry.batch?.settle(entry.index, .failure(entry.returned ?? error)) }
        self.clear()
    }

    /// The broker closed the channel over one of these. It does not say over which: those before it may have been taken,
    /// those behind it were dropped. So the last one surely was not taken, and nobody knows about the others.
    mutating func refuseAll(_ error: AMQPError) {
        let isShared = self.entries.count { $0.batch != nil } > 1
        for (position, entry) in self.entries.enumerated() {
            let isLast = position == self.entries.count - 1
            // Who publishes where there is nothing, or may not, shares that with the others; a fault of one message is
            // not the others'.
            let isOthers = isShared && error.code == .preconditionFailed
            let own = AMQPError(
                code: isOthers ? .channelClosed : error.code,
                replyCode: error.replyCode,
                message: error.message,
                isOutcomeUnknown: !isLast
            )
            entry.batch?.settle(entry.index, .failure(entry.returned ?? own))
        }
        self.clear()
    }

    private mutating func clear() {
        self.entries.removeAll()
        self.refusals.removeAll()
        self.lowestTag = 1
        self.waiting = 0
    }

    private mutating func leave(_ position: Int) {
        guard self.entries[position].takesRoom else { return }
        self.entries[position].takesRoom = false
        self.waiting -= 1
    }

    private mutating func settle(_ position: Int, nack: Bool) {
        let entry = self.entries[position]
        guard let batch = entry.batch else { return }
        self.leave(position)
        self.entries[position].batch = nil
        if nack || !self.refusals.isEmpty { self.note(batch.publications[entry.index], isRefused: nack) }
        if let returned = entry.returned {
            batch.settle(entry.index, .failure(returned))
        } else if nack {
            batch.settle(
                entry.index,
                .failure(AMQPError(code: .nacked, message: "the broker did not take the message"))
            )
        } else {
            batch.settle(entry.index, .success(()))
        }
    }

    private mutating func note(_ publication: AMQPPublication, isRefused: Bool) {
        let route = Route(exchange: publication.exchange, routingKey: publication.routingKey)
        self.refusals[route] = isRefused ? self.refusals[route] ?? .now : nil
    }
}
