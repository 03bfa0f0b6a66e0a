// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Decides whether the provider may be asked: closed while it works, open after repeated failures, half-open to probe.
///
/// A pure state machine; the caller brings the time.
struct CircuitBreaker: Sendable {
    /// Where the breaker stands.
    enum State: Sendable, Equatable {
        case closed(failures: Int)
        case open(until: ContinuousClock.Instant)
        case probing
    }

    /// What a caller may do.
    enum Permission: Sendable, Equatable {
        case granted
        case wait(until: ContinuousClock.Instant?)
    }

    private(set) var state: State = .closed(failures: 0)
    private let threshold: Int
    private let pause: Duration

    init(threshold: Int, pause: Duration) {
        self.threshold = threshold
        self.pause = pause
    }

    /// Asks to place a call. While probing, one call at a time decides for all.
    mutating func ask(now: ContinuousClock.Instant) -> Permission {
        switch self.state {
        case .closed:
            return .granted
        case .open(let until) where now >= until:
            self.state = .probing
            return .granted
        case .open(let until):
            return .wait(until: until)
        case .probing:
            return .wait(until: nil)
        }
    }

    /// The provider took or refused a call in good order.
    mutating func succeeded() {
        self.state = .closed(failures: 0)
    }

    /// The provider failed.
    mutating func failed(now: ContinuousClock.Instant) {
        switch self.state {
        case .closed(let failures) where failures + 1 < self.threshold:
            self.state = .closed(failures: failures + 1)
        case .closed, .probing:
            self.state = .open(until: now + self.pause)
        case .open:
            break
        }
    }

    /// The permission was not used: no call came of it.
    mutating func unused(now: ContinuousClock.Instant) {
        if self.state == .probing { self.state = .open(until: now) }
    }
}
