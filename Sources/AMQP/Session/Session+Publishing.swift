// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CRabbitMQ

/// A channel that publishes to one exchange: the broker closes a channel over a message that it refuses, and that must not
/// hurt messages to other places.
final class Publisher {
    let exchange: String
    let channel: UInt16
    var window = ConfirmWindow()
    /// Whether it takes messages.
    var isOpen = false
    /// Whether it only waits for the confirms of what it has sent.
    var isRetired = false

    init(exchange: String, channel: UInt16) {
        self.exchange = exchange
        self.channel = channel
    }
}

extension Session {
    /// Messages whose sender waits for their confirm.
    var unconfirmed: Int { self.allPublishers.reduce(0) { $0 + $1.window.waiting } }

    /// The channel for messages to an exchange.
    /// - Returns: Nil while it is being opened.
    func publisher(for exchange: String) -> Publisher? {
        if let publisher = self.publishers[exchange] { return publisher.isOpen ? publisher : nil }
        var made: Publisher?
        let number = self.makeChannel { number in
            let publisher = Publisher(exchange: exchange, channel: number)
            made = publisher
            return .publishing(publisher)
        }
        guard let number, let publisher = made else { return nil }
        self.publishers[exchange] = publisher
        self.allPublishers.append(publisher)
        let operation = Operation([.open, .confirmSelect]) { result in
            if case .success = result { publisher.isOpen = true }
        }
        self.perform(operation, on: number)
        return nil
    }

    /// Writes one message; its confirm is waited for in the window.
    func publish(_ batch: PublishBatch, _ index: Int, on publisher: Publisher) {
        guard self.failure == nil, batch.begins(index) else { return }
        let publication = batch.publications[index]
        defer { self.arena.reset() }
        var properties = publication.message.properties(in: self.arena)
        let status = publication.message.body.withUnsafeBytes { body in
            amqp_basic_publish(
                self.connection,
                publisher.channel,
                self.arena.bytes(publication.exchange),
                self.arena.bytes(publication.routingKey),
                publication.mandatory ? 1 : 0,
                0,
                &properties,
                amqp_bytes_t(len: body.count, bytes: UnsafeMutableRawPointer(mutating: body.baseAddress))
            )
        }
        publisher.window.append(batch, index: index)
        self.check(status, "publishing")
    }

    func forget(_ publisher: Publisher) {
        if self.publishers[publisher.exchange] === publisher { self.publishers[publisher.exchange] = nil }
        self.allPublishers.removeAll { $0 === publisher }
    }

    /// Takes a channel out of use on which messages are refused or not confirmed, so that the next ones get a new one. In a
    /// cluster a channel remembers who leads a queue; one that was opened when the leader's node had just died refuses
    /// everything until that node is back, while a new one asks the new leader. The old one stays for as long as somebody
    /// waits for a confirm on it.
    func tendPublishers(now: ContinuousClock.Instant) {
        // Looking through the windows at each turn would cost more than publishing.
        guard now - self.publishersTendedAt >= .milliseconds(100) else { return }
        self.publishersTendedAt = now
        for publisher in self.allPublishers {
            publisher.window.release(now: now)
            let isDeaf =
                publisher.window.isRefused(for: .seconds(1), now: now)
                || publisher.window.isStuck(for: self.configuration.publishTimeout, now: now)
            if isDeaf, !publisher.isRetired {
                publisher.isRetired = true
                if self.publishers[publisher.exchange] === publisher { self.publishers[publisher.exchange] = nil }
            }
            guard publisher.isRetired, publisher.window.waiting == 0 else { continue }
            self.forget(publisher)
            self.close(publisher.channel)
            publisher.window.failAll(
                AMQPError(code: .timeout, message: "no confirm in time", isOutcomeUnknown: true)
            )
        }
    }
}
