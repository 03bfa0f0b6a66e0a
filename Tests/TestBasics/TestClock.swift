// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A clock that stands still until a test moves it, or lets it run.
public final class TestClock: Sendable {
    private struct Sleeper {
        let id: Int
        let until: ContinuousClock.Instant
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var now = ContinuousClock.now
        var nextID = 0
        var sleepers: [Sleeper] = []
        var cancelled: Set<Int> = []
        var isRunning = false
    }

    private let state = Mutex(State())

    /// Creates one that stands.
    public init() {}

    /// The time that it shows.
    public var now: ContinuousClock.Instant { self.state.withLock { $0.now } }

    /// When the first of those that sleep would wake; nil when nobody sleeps.
    public var nextWake: ContinuousClock.Instant? { self.state.withLock { $0.sleepers.map(\.until).min() } }

    /// How many sleep.
    public var sleepers: Int { self.state.withLock(\.sleepers.count) }

    /// Moves the time on, never back, and wakes those whose time has come.
    public func advance(to instant: ContinuousClock.Instant) {
        let woken = self.state.withLock { state in
            state.now = max(state.now, instant)
            let woken = state.sleepers.filter { $0.until <= state.now }
            state.sleepers.removeAll { $0.until <= state.now }
            return woken
        }
        for sleeper in woken { sleeper.continuation.resume() }
    }

    /// Moves the time on by this long.
    public func advance(by duration: Duration) { self.advance(to: self.now + duration) }

    /// From now on whoever sleeps wakes at once, and it is as late as they wished.
    public func letRun() {
        self.state.withLock { $0.isRunning = true }
        while let wake = self.nextWake { self.advance(to: wake) }
    }

    /// Waits until somebody has moved the time on so far, or throws when the task is cancelled.
    public func sleep(until instant: ContinuousClock.Instant) async throws {
        if (self.state.withLock { $0.isRunning }) {
            try await Task.sleep(for: .milliseconds(1))
            self.advance(to: instant)
            return
        }
        let id = self.state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let outcome = self.state.withLock { state -> Result<Void, any Error>? in
                    if state.cancelled.remove(id) != nil { return .failure(CancellationError()) }
                    if state.isRunning { state.now = max(state.now, instant) }
                    if instant <= state.now { return .success(()) }
                    state.sleepers.append(Sleeper(id: id, until: instant, continuation: continuation))
                    return nil
                }
                if let outcome { continuation.resume(with: outcome) }
            }
        } onCancel: {
            let sleeper = self.state.withLock { state -> Sleeper? in
                guard let index = state.sleepers.firstIndex(where: { $0.id == id }) else {
                    state.cancelled.insert(id)
                    return nil
                }
                return state.sleepers.remove(at: index)
            }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }
}
