// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import DequeModule

/// Which messages of a confirm channel wait for the broker. Tags count from 1 since `confirm.select`; acks may come out
/// of order and may settle ranges (AMQP 0-9-1 extension, RabbitMQ "Publisher Acknowledgements").
struct ConfirmWindow {
    private struct Entry {
        let batch: PublishBatch
        let index: Int
        var returned: AMQPError?
        var isSettled = false
    }

    private struct Route: Hashable {
        let exchange: String
        let routingKey: String
    }

    private var entries: Deque<Entry> = []
    private var lowestTag: UInt64 = 1
    /// Where every message has been refused, with the time of the first refusal.
    private var refusals: [Route: ContinuousClock.Instant] = [:]

    /// Messages that wait, counting settled ones behind an unsettled one.
    var count: Int { self.entries.count }

    /// Whether messages to some place have all been refused for that long.
    func isRefused(for duration: Duration, now: ContinuousClock.Instant = .now) -> Bool {
        !self.refusals.isEmpty && self.refusals.values.contains { now - $0 >= duration }
    }

    /// The message has been written; its tag is the next one.
    mutating func append(_ batch: PublishBatch, index: Int) {
        self.entries.append(Entry(batch: batch, index: index))
    }

    /// The broker returned a message. A return precedes its ack, and messages with equal routing come back in order.
    mutating func returned(exchange: String, routingKey: String, messageID: String?, error: AMQPError) {
        let position = self.entries.firstIndex { entry in
            guard !entry.isSettled, entry.returned == nil else { return false }
            let publication = entry.batch.publications[entry.index]
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
        while self.entries.first?.isSettled == true {
            self.entries.removeFirst()
            self.lowestTag += 1
        }
        return true
    }

    /// The channel is gone: nobody will learn what became of these.
    mutating func failAll(_ error: AMQPError) {
        for entry in self.entries where !entry.isSettled {
            entry.batch.settle(entry.index, .failure(entry.returned ?? error))
        }
        self.entries.removeAll()
        self.refusals.removeAll()
        self.lowestTag = 1
    }

    private mutating func settle(_ position: Int, nack: Bool) {
        guard !self.entries[position].isSettled else { return }
        self.entries[position].isSettled = true
        let entry = self.entries[position]
        if nack || !self.refusals.isEmpty { self.note(entry.batch.publications[entry.index], isRefused: nack) }
        if let returned = entry.returned {
            entry.batch.settle(entry.index, .failure(returned))
        } else if nack {
            entry.batch.settle(
                entry.index,
                .failure(AMQPError(code: .nacked, message: "the broker did not take the message"))
            )
        } else {
            entry.batch.settle(entry.index, .success(()))
        }
    }

    private mutating func note(_ publication: AMQPPublication, isRefused: Bool) {
        let route = Route(exchange: publication.exchange, routingKey: publication.routingKey)
        self.refusals[route] = isRefused ? self.refusals[route] ?? .now : nil
    }
}
