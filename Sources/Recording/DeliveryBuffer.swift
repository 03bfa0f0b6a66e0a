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
        var waiters: [CheckedContinuation<Void, Never>] = []
        var isFinished = false
    }

    private let state = NIOLockedValueBox(State())

    func append(_ delivery: AMQPDelivery) {
        let waiter = self.state.withLockedValue { state in
            state.deliveries.append(delivery)
            return state.waiters.popLast()
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
        for waiter in waiters { waiter.resume() }
    }

    /// Waits for deliveries.
    /// - Returns: Up to `limit` of them in order; nil when no more come.
    func take(limit: Int) async -> [AMQPDelivery]? {
        while true {
            let (batch, isFinished) = self.state.withLockedValue { state in
                let batch = Array(state.deliveries.prefix(limit))
                state.deliveries.removeFirst(batch.count)
                return (batch, state.isFinished)
            }
            if !batch.isEmpty { return batch }
            if isFinished { return nil }
            await withCheckedContinuation { continuation in
                let resumesNow = self.state.withLockedValue { state in
                    if state.isFinished || !state.deliveries.isEmpty { return true }
                    state.waiters.append(continuation)
                    return false
                }
                if resumesNow { continuation.resume() }
            }
        }
    }
}
