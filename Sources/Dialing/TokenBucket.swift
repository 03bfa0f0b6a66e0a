// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import DequeModule
import NIOConcurrencyHelpers

/// The line before the provider: each caller gets the next turn, in the order of asking, at the pace of ``Pace``.
///
/// Those in line hold nothing that a pause could not take from them.
final class TokenBucket: Sendable {
    private typealias Waiter = CheckedContinuation<Pace.Turn?, Never>

    private struct State {
        var pace: Pace
        var line: Deque<Waiter> = []
        /// Wakes the first in line.
        var timer: Task<Void, Never>?
        var isDraining = false
    }

    private let clock: DialerClock
    private let state: NIOLockedValueBox<State>

    /// - Parameters:
    ///   - rate: Calls per second, above 0.
    ///   - clock: The time.
    init(rate: Double, clock: DialerClock = .continuous) {
        self.clock = clock
        self.state = NIOLockedValueBox(State(pace: Pace(rate: rate, now: clock.now())))
    }

    /// Waits for a turn.
    /// - Returns: Nil when the process drains.
    func turn() async -> Pace.Turn? {
        await withCheckedContinuation { continuation in
            let isFirst = self.state.withLockedValue { state -> Bool? in
                guard !state.isDraining else { return nil }
                state.line.append(continuation)
                return state.line.count == 1
            }
            switch isFirst {
            case nil: continuation.resume(returning: nil)
            case true?: self.advance()
            case false?: break
            }
        }
    }

    /// Gives a turn back of which no call comes, for the next in line.
    func giveBack(_ turn: Pace.Turn) {
        self.state.withLockedValue { $0.pace.giveBack(turn) }
        self.advance()
    }

    /// Waits for the moment at which a call with a turn may leave.
    /// - Returns: False when there is none before the deadline, or a pause has begun: the call must not be placed.
    func mayLeave(before deadline: ContinuousClock.Instant) async -> Bool {
        let moment = self.state.withLockedValue { $0.pace.depart(now: self.clock.now(), before: deadline) }
        guard let moment else { return false }
        if moment > self.clock.now() {
            guard (try? await self.clock.sleep(moment)) != nil else { return false }
        }
        return self.state.withLockedValue { !$0.pace.isPaused(now: self.clock.now()) }
    }

    /// Hands out nothing for this long: the provider asked for a pause. Those in line wait too.
    func pause(for duration: Duration) {
        self.state.withLockedValue { $0.pace.pause(for: duration, now: self.clock.now()) }
    }

    /// Sends everybody in line away, now and from now on.
    func drain() {
        let line = self.state.withLockedValue { state in
            state.isDraining = true
            state.timer?.cancel()
            defer { state.line.removeAll() }
            return state.line
        }
        for waiter in line { waiter.resume(returning: nil) }
    }

    /// Gives turns to those in line whose time has come, and sets the timer for the next.
    private func advance() {
        let granted = self.state.withLockedValue { state in
            state.timer?.cancel()
            state.timer = nil
            var granted: [(waiter: Waiter, turn: Pace.Turn)] = []
            while !state.line.isEmpty {
                switch state.pace.take(now: self.clock.now()) {
                case .granted(let turn):
                    granted.append((state.line.removeFirst(), turn))
                case .wait(let until):
                    state.timer = Task {
                        guard (try? await self.clock.sleep(until)) != nil else { return }
                        self.advance()
                    }
                    return granted
                }
            }
            return granted
        }
        for (waiter, turn) in granted { waiter.resume(returning: turn) }
    }
}
