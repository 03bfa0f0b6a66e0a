// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ThreadEngine

/// A subscription to a queue, as a sequence of deliveries for one task. It survives reconnects: the broker then hands
/// out anew what was held.
///
/// At most `prefetch` deliveries are held per life of the channel; the broker sees to it. When nobody holds the consumer or
/// an iterator of it any more, or the task that waits for a delivery is cancelled, it is given up: what nobody has taken
/// goes back to its queue.
public final class AMQPConsumer: AsyncSequence, Sendable {
    /// A delivery.
    public typealias Element = AMQPDelivery
    /// The sequence ends by ``cancel()`` or with the connection, never by an error.
    public typealias Failure = Never

    /// Takes one delivery after the other.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let lease: Lease

        /// The next delivery; nil when the consumer has ended, or the task was cancelled.
        public mutating func next() async -> AMQPDelivery? {
            await self.lease.next()
        }

        /// The next delivery; nil when the consumer has ended, or the task was cancelled.
        public mutating func next(isolation actor: isolated (any Actor)?) async -> AMQPDelivery? {
            await self.lease.next()
        }
    }

    /// What the consumer and its iterators hold together; the subscription lives as long as it.
    fileprivate final class Lease: Sendable {
        let subscriber: Subscriber
        let inbox: Commands

        init(_ subscriber: Subscriber, inbox: Commands) {
            self.subscriber = subscriber
            self.inbox = inbox
        }

        deinit {
            self.inbox.append(.abandonConsumer(self.subscriber))
        }

        func next() async -> AMQPDelivery? {
            await withTaskCancellationHandler {
                await self.subscriber.deliveries.next()
            } onCancel: {
                // Nobody waits from now on, whether the thread has heard of it or not.
                self.subscriber.deliveries.stopWaiting()
                self.inbox.append(.abandonConsumer(self.subscriber))
            }
        }
    }

    private let lease: Lease

    init(_ subscriber: Subscriber, inbox: Commands) {
        self.lease = Lease(subscriber, inbox: inbox)
    }

    /// The deliveries.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(lease: self.lease)
    }

    /// Asks for no more deliveries. The sequence ends after those that were handed out before; all can still be acked.
    public func cancel() async {
        await withCheckedContinuation { continuation in
            self.lease.inbox.append(.cancelConsumer(self.lease.subscriber, continuation))
        }
    }
}

/// What the connection's thread knows of a consumer.
final class Subscriber: Sendable {
    let queue: String
    let prefetch: Int
    let exclusive: Bool
    let priority: Int?
    /// Unbounded here, bounded by the broker: it hands out no more than `prefetch` before an ack.
    let deliveries = Deliveries()

    init(queue: String, prefetch: Int, exclusive: Bool, priority: Int?) {
        self.queue = queue
        self.prefetch = prefetch
        self.exclusive = exclusive
        self.priority = priority
    }
}
