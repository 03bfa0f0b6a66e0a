// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// When the next call may be placed, at the provider's calls per second.
///
/// A call passes twice. It takes a *turn* before the database is asked whether it may be made; a turn of which no call
/// comes is given back. With the answer in hand it gets the moment at which it *leaves*: answers come in bunches, and
/// what left together would be more than the provider takes. A pause that the provider asks for stops both, whoever
/// stands in line already, and nothing but time ends it.
///
/// A pure state machine; the caller brings the time.
struct Pace: Sendable {
    /// The permission to ask for one call.
    struct Turn: Sendable, Equatable {
        fileprivate let at: ContinuousClock.Instant
    }

    /// What comes of asking for a turn.
    enum Answer: Sendable, Equatable {
        case granted(Turn)
        case wait(until: ContinuousClock.Instant)
    }

    private let spacing: Duration
    /// How much may be caught up after a timer that fired late or an answer that took long. Only for rates at which
    /// timers are too coarse: below them, no two calls are ever nearer than the spacing.
    private let slack: Duration
    private var nextTurn: ContinuousClock.Instant
    private var nextDeparture: ContinuousClock.Instant
    private var pausedUntil: ContinuousClock.Instant

    /// - Parameters:
    ///   - rate: Calls per second, above 0.
    ///   - now: The time.
    init(rate: Double, now: ContinuousClock.Instant) {
        self.spacing = .nanoseconds(Int64(1e9 / rate))
        self.slack = self.spacing < .milliseconds(50) ? .milliseconds(50) : .zero
        (self.nextTurn, self.nextDeparture, self.pausedUntil) = (now, now, now)
    }

    /// Asks for a turn.
    mutating func take(now: ContinuousClock.Instant) -> Answer {
        let earliest = max(self.nextTurn, self.pausedUntil)
        guard earliest <= now else { return .wait(until: earliest) }
        let turn = Turn(at: max(earliest, now - self.slack))
        self.nextTurn = turn.at + self.spacing
        return .granted(turn)
    }

    /// No call comes of a turn. If it was the last one, the next may have its moment; an earlier one has passed.
    mutating func giveBack(_ turn: Turn) {
        if self.nextTurn == turn.at + self.spacing { self.nextTurn = turn.at }
    }

    /// Asks when a call may leave, which may be a moment ago.
    /// - Returns: Nil when that is not before the deadline; nothing has changed then.
    mutating func depart(
        now: ContinuousClock.Instant,
        before deadline: ContinuousClock.Instant
    ) -> ContinuousClock.Instant? {
        let moment = max(self.nextDeparture, self.pausedUntil, now - self.slack)
        guard max(moment, now) < deadline else { return nil }
        self.nextDeparture = moment + self.spacing
        self.nextTurn = max(self.nextTurn, self.nextDeparture)
        return moment
    }

    /// Whether a pause runs.
    func isPaused(now: ContinuousClock.Instant) -> Bool { self.pausedUntil > now }

    /// Grants nothing for this long, and never shortens a pause that runs.
    mutating func pause(for duration: Duration, now: ContinuousClock.Instant) {
        self.pausedUntil = max(self.pausedUntil, now + duration)
    }
}
