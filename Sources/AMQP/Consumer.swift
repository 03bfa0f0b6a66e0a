// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// A subscription to a queue, as a sequence of deliveries for one task. It survives reconnects: the broker then hands
/// out anew what was held.
///
/// At most `prefetch` deliveries are held per life of the channel; the broker sees to it.
public final class AMQPConsumer: AsyncSequence, Sendable {
    /// A delivery.
    public typealias Element = AMQPDelivery
    /// The sequence ends by ``cancel()`` or with the connection, never by an error.
    public typealias Failure = Never

    let queue: String
    let prefetch: Int
    let exclusive: Bool
    let priority: Int?
    private let inbox: Inbox
    private let stream: AsyncStream<AMQPDelivery>
    private let continuation: AsyncStream<AMQPDelivery>.Continuation

    init(queue: String, prefetch: Int, exclusive: Bool, priority: Int?, inbox: Inbox) {
        self.queue = queue
        self.prefetch = prefetch
        self.exclusive = exclusive
        self.priority = priority
        self.inbox = inbox
        // Unbounded here, bounded by the broker: it hands out no more than `prefetch` before an ack.
        (self.stream, self.continuation) = AsyncStream.makeStream()
    }

    /// The deliveries.
    public func makeAsyncIterator() -> AsyncStream<AMQPDelivery>.Iterator {
        self.stream.makeAsyncIterator()
    }

    /// Asks for no more deliveries. The sequence ends after those that were handed out before; all can still be acked.
    public func cancel() async {
        await withCheckedContinuation { continuation in
            self.inbox.append(.cancelConsumer(self, continuation))
        }
    }

    func yield(_ delivery: AMQPDelivery) {
        self.continuation.yield(delivery)
    }

    func finish() {
        self.continuation.finish()
    }
}
