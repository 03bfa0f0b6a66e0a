// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import DequeModule

/// Messages that wait to be written, and those whose confirm is waited for.
struct Outbox {
    private let maximumUnconfirmed: Int
    private var unsent: Deque<(batch: PublishBatch, next: Int)> = []
    private var watched: Deque<PublishBatch> = []
    /// At that many, those that are done are looked for behind one that is not.
    private var tidyAt = 1000

    init(maximumUnconfirmed: Int) {
        self.maximumUnconfirmed = maximumUnconfirmed
    }

    /// Whether nobody waits.
    var isIdle: Bool { self.watched.isEmpty && self.unsent.isEmpty }

    /// Whether the broker owes as many confirms as it may.
    func isFull(_ session: Session) -> Bool {
        session.unconfirmed >= self.maximumUnconfirmed
    }

    mutating func append(_ batch: PublishBatch) {
        self.unsent.append((batch, 0))
        self.watched.append(batch)
    }

    /// Writes as many messages as the window holds. Reads come first: a write to a broker that has stopped reading
    /// would block, and only reading finds out that it is dead.
    mutating func write(to session: Session) {
        while session.failure == nil, let (batch, start) = self.unsent.first {
            guard !batch.isDone, !(session.isBlocked && batch.isDisposable) else {
                self.unsent.removeFirst()
                continue
            }
            guard !session.isBlocked else { return }
            let room = self.maximumUnconfirmed - session.unconfirmed
            guard room > 0 else { return }
            let end = min(batch.publications.count, start + min(room, 100))
            for index in start..<end {
                // The first message to an exchange waits until its channel is open.
                guard let publisher = session.publisher(for: batch.publications[index].exchange) else { return }
                session.publish(batch, index, on: publisher)
                self.unsent[0].next = index + 1
            }
            if end == batch.publications.count { self.unsent.removeFirst() }
            session.readFrames()
        }
    }

    /// Fails what has waited too long; the broker may still take what was sent.
    mutating func expire(now: ContinuousClock.Instant, isBlocked: Bool) {
        if self.watched.count >= self.tidyAt {
            self.watched.removeAll(where: \.isDone)
            self.tidyAt = max(1000, 2 * self.watched.count)
        }
        while let batch = self.watched.first, batch.isDone || batch.deadline <= now {
            self.watched.removeFirst()
            batch.settleAll(
                AMQPError(
                    code: .timeout,
                    message: isBlocked ? "the broker takes no messages now" : "no confirm in time",
                    isOutcomeUnknown: true
                )
            )
        }
    }

    /// The connection is gone.
    mutating func failAll(_ error: AMQPError) {
        let unknown = AMQPError(
            code: error.code,
            replyCode: error.replyCode,
            message: error.message,
            isOutcomeUnknown: true
        )
        for batch in self.watched { batch.settleAll(unknown) }
        self.watched.removeAll()
        self.unsent.removeAll()
    }
}
