// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

extension Session {
    /// How many times in a row the broker's word may not fit, until a subscription is made anew: one answer may be older than
    /// the subscription, or than a delivery on its way.
    private static let allowedDoubts = 1

    /// Holds what the broker says of a queue against what we believe, that our consumers are there and are served.
    ///
    /// A broker can lose a consumer without a word. When a quorum queue is deleted, RabbitMQ 3.10 subscribes its consumers anew
    /// by itself before it would tell them; where that reaches the old queue's dying leader, the consumer is gone and its
    /// channel does not know (`rabbit_channel:handle_consuming_queue_down_or_eol`).
    func compare(_ status: AMQPQueueStatus, of queue: String) {
        let sources = self.sources(of: queue)
        let areTooFew = status.consumers < sources.count
        for source in sources {
            let hasRoom = source.unacked.count < source.subscriber.prefetch
            let isStarved = status.messagesReady > 0 && hasRoom && !source.wasServed
            source.wasServed = false
            source.doubts = areTooFew || isStarved ? source.doubts + 1 : 0
            if source.doubts > Self.allowedDoubts { self.renew(source) }
        }
    }

    private func sources(of queue: String) -> [Source] {
        self.channels.values.compactMap {
            guard case .consuming(let source) = $0, source.subscriber.queue == queue, source.isSubscribed,
                !source.isEnding
            else { return nil }
            return source
        }
    }

    private func renew(_ source: Source) {
        self.report(.consumerLost("\(source.subscriber.queue): the broker does not serve it, and has not said why"))
        self.end(source)
        self.subscribe(source.subscriber)
    }
}
