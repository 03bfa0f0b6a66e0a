// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// The bearer tokens with which interviews' outcomes may be reported; they may be renewed while the server runs.
public final class OutcomeTokens: Sendable {
    private struct State {
        var tokens: [String]
        /// Tokens that were taken away a moment ago, and until when they are still accepted.
        var replaced: [(token: String, until: ContinuousClock.Instant)] = []
    }

    /// Whoever reports outcomes may be told of a new token a little later.
    static let overlap = Duration.seconds(300)

    private let state: NIOLockedValueBox<State>

    init(_ tokens: [String]) {
        self.state = NIOLockedValueBox(State(tokens: tokens))
    }

    func accepted(now: ContinuousClock.Instant = .now) -> [String] {
        self.state.withLockedValue { state in
            state.replaced.removeAll { $0.until < now }
            return state.tokens + state.replaced.map(\.token)
        }
    }

    /// Takes a new token in place of another, which is accepted for five more minutes.
    public func renew(_ former: String, by token: String) { self.renew(former, by: token, now: .now) }

    func renew(_ former: String, by token: String, now: ContinuousClock.Instant) {
        self.state.withLockedValue { state in
            state.replaced.append((former, now + Self.overlap))
            state.tokens.removeAll { $0 == former }
            state.tokens.append(token)
        }
    }
}
