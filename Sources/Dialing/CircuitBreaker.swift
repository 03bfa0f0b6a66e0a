// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Decides whether the provider may be asked: closed while it works, open when too many of the last answers were
/// failures, half-open to probe.
///
/// A pure state machine; the caller brings the time.
struct CircuitBreaker: Sendable {
    /// Where the breaker stands.
    enum State: Sendable, Equatable {
        case closed
        case open(until: ContinuousClock.Instant)
        case probing
    }

    /// What a caller may do.
    enum Permission: Sendable, Equatable {
        case granted
        case wait(until: ContinuousClock.Instant?)
    }

    private(set) var state: State = .closed
    /// The last answers while closed, the newest in the lowest bit; a failure is 1.
    private var recent: UInt32 = 0
    private var recentCount = 0
    /// How many answers the mix is taken over.
    static let window = 20
    private let threshold: Int
    private let pause: Duration
    private let longestPause: Duration
    /// How long it stays open the next time.
    private var nextPause: Duration

    /// - Parameters:
    ///   - threshold: How many failures among the last answers open it, if they are half of them.
    ///   - pause: How long it is open before it probes.
    ///   - longestPause: The pause doubles with each probe that fails, up to this; nil leaves it as it is.
    init(threshold: Int, pause: Duration, longestPause: Duration? = nil) {
        self.threshold = threshold
        self.pause = pause
        self.longestPause = longestPause ?? pause
        self.nextPause = pause
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
        if self.state == .closed {
            self.note(0)
        } else {
            self.state = .closed
            (self.recent, self.recentCount) = (0, 0)
            self.nextPause = self.pause
        }
    }

    /// The provider failed.
    mutating func failed(now: ContinuousClock.Instant) {
        switch self.state {
        case .closed:
            self.note(1)
            let failures = self.recent.nonzeroBitCount
            if failures >= self.threshold, failures * 2 >= self.recentCount {
                self.open(now: now)
            }
        case .probing:
            self.open(now: now)
        case .open:
            break
        }
    }

    private mutating func open(now: ContinuousClock.Instant) {
        self.state = .open(until: now + self.nextPause)
        self.nextPause = min(self.nextPause * 2, self.longestPause)
    }

    private mutating func note(_ bit: UInt32) {
        self.recent = (self.recent << 1 | bit) & (1 << UInt32(Self.window) - 1)
        self.recentCount = min(self.recentCount + 1, Self.window)
    }

    /// The permission was not used: no call came of it.
    mutating func unused(now: ContinuousClock.Instant) {
        if self.state == .probing { self.state = .open(until: now) }
    }
}
