// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import DequeModule
import NIOConcurrencyHelpers

/// Collects deliveries while a batch is being recorded, so that the next batch takes all that came meanwhile: an idle
/// system has no added latency and a busy one has large batches. Holds at most the consumer's prefetch.
final class DeliveryBuffer: Sendable {
    private struct State {
        var deliveries: Deque<AMQPDelivery> = []
        var waiters: [(atLeast: Int, continuation: CheckedContinuation<Void, Never>)] = []
        var isFinished = false
    }

    private let state = NIOLockedValueBox(State())

    func append(_ delivery: AMQPDelivery) {
        let waiter = self.state.withLockedValue { state in
            state.deliveries.append(delivery)
            let index = state.waiters.firstIndex { $0.atLeast <= state.deliveries.count }
            return index.map { state.waiters.remove(at: $0).continuation }
        }
        waiter?.resume()
    }

    /// No more deliveries come; what is buffered is still taken.
    func finish() {
        let waiters = self.state.withLockedValue { state in
            state.isFinished = true
            defer { state.waiters.removeAll() }
            return state.waiters
        }
        for waiter in waiters { waiter.continuation.resume() }
    }

    /// Waits for deliveries.
    /// - Parameters:
    ///   - atLeast: Waits for so many, unless no more come; 1 or more.
    ///   - limit: Takes no more than this.
    /// - Returns: The oldest, in order; nil when no more come.
    func take(atLeast: Int, limit: Int) async -> [AMQPDelivery]? {
        while true {
            let (batch, isFinished) = self.state.withLockedValue { state in
                guard state.isFinished || state.deliveries.count >= atLeast else { return ([AMQPDelivery](), false) }
                let batch = Array(state.deliveries.prefix(limit))
                state.deliveries.removeFirst(batch.count)
                return (batch, state.isFinished)
            }
            if !batch.isEmpty { return batch }
            if isFinished { return nil }
            await withCheckedContinuation { continuation in
                let resumesNow = self.state.withLockedValue { state in
                    if state.isFinished || state.deliveries.count >= atLeast { return true }
                    state.waiters.append((atLeast, continuation))
                    return false
                }
                if resumesNow { continuation.resume() }
            }
        }
    }
}
