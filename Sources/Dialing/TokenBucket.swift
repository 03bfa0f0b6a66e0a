// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// Paces placements to the provider's calls per second: each caller gets the next free moment, in the order of asking.
final class TokenBucket: Sendable {
    private struct State {
        var next: ContinuousClock.Instant
    }

    private let spacing: Duration
    private let state: NIOLockedValueBox<State>

    /// - Parameter rate: Tokens per second, above 0.
    init(rate: Double) {
        self.spacing = .nanoseconds(Int64(1e9 / rate))
        self.state = NIOLockedValueBox(State(next: .now))
    }

    /// Reserves the next token.
    /// - Returns: When it may be used.
    func reserve(now: ContinuousClock.Instant = .now) -> ContinuousClock.Instant {
        self.state.withLockedValue { state in
            let slot = max(state.next, now)
            state.next = slot + self.spacing
            return slot
        }
    }

    /// Gives a token back of which no call came.
    func giveBack() {
        self.state.withLockedValue { $0.next = $0.next - self.spacing }
    }

    /// Hands out nothing before that moment: the provider asked for a pause.
    func pause(for duration: Duration, now: ContinuousClock.Instant = .now) {
        self.state.withLockedValue { $0.next = max($0.next, now + duration) }
    }
}
