// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import DequeModule
import NIOConcurrencyHelpers

/// Deliveries on their way from the connection's thread to the task that takes them. Unlike a stream of the standard library
/// it tells what nobody has taken, which can then be given back.
final class Deliveries: Sendable {
    private struct State {
        var buffer: Deque<AMQPDelivery> = []
        var waiters: Deque<CheckedContinuation<AMQPDelivery?, Never>> = []
        /// Whether nothing more comes.
        var isFinished = false
        /// Whether nobody takes any more.
        var isAbandoned = false
    }

    private let state = NIOLockedValueBox(State())

    /// - Returns: False when nobody will take it.
    func put(_ delivery: AMQPDelivery) -> Bool {
        let (taken, waiter) = self.state.withLockedValue {
            state -> (Bool, CheckedContinuation<AMQPDelivery?, Never>?) in
            guard !state.isFinished, !state.isAbandoned else { return (false, nil) }
            if let waiter = state.waiters.popFirst() { return (true, waiter) }
            state.buffer.append(delivery)
            return (true, nil)
        }
        waiter?.resume(returning: delivery)
        return taken
    }

    /// Waits for a delivery. One whose channel went before anybody took it is left out: it comes again.
    /// - Returns: Nil at the end.
    func next() async -> AMQPDelivery? {
        await withCheckedContinuation { continuation in
            let (isThere, delivery) = self.state.withLockedValue { state -> (Bool, AMQPDelivery?) in
                guard !state.isAbandoned else { return (true, nil) }
                while let delivery = state.buffer.popFirst() {
                    if delivery.isValid { return (true, delivery) }
                }
                guard !state.isFinished else { return (true, nil) }
                state.waiters.append(continuation)
                return (false, nil)
            }
            if isThere { continuation.resume(returning: delivery) }
        }
    }

    /// Ends the sequence after what is there.
    func finish() {
        self.end { $0.isFinished = true }
    }

    /// Ends the sequence at once; what is there stays, to be given back.
    func stopWaiting() {
        self.end { $0.isAbandoned = true }
    }

    /// Ends the sequence at once.
    /// - Returns: What nobody has taken.
    func abandon() -> Deque<AMQPDelivery> {
        self.stopWaiting()
        return self.state.withLockedValue { state in
            defer { state.buffer.removeAll() }
            return state.buffer
        }
    }

    private func end(_ change: (inout State) -> Void) {
        let waiters = self.state.withLockedValue { state in
            change(&state)
            defer { state.waiters.removeAll() }
            return state.waiters
        }
        for waiter in waiters { waiter.resume(returning: nil) }
    }
}
