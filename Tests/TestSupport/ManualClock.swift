// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// A clock that runs only when a test lets it, so that no test waits for time.
public final class ManualClock: Clock, Sendable {
    /// A time on it.
    public struct Instant: InstantProtocol {
        let offset: Duration

        /// A later time.
        public func advanced(by duration: Duration) -> Instant { Instant(offset: self.offset + duration) }
        /// How long it is until then.
        public func duration(to other: Instant) -> Duration { other.offset - self.offset }
        /// Whether one comes before the other.
        public static func < (one: Instant, other: Instant) -> Bool { one.offset < other.offset }
    }

    private struct Sleeper {
        let deadline: Instant
        let continuation: CheckedContinuation<Void, Never>
    }

    private struct State {
        var now = Instant(offset: .zero)
        var sleepers: [Int: Sleeper] = [:]
        var cancelled: Set<Int> = []
        var last = 0
    }

    private let state = NIOLockedValueBox(State())

    /// Creates one that stands.
    public init() {}

    /// The time that it shows.
    public var now: Instant { self.state.withLockedValue(\.now) }
    /// It can be set to anything.
    public var minimumResolution: Duration { .nanoseconds(1) }
    /// How many wait.
    public var sleepers: Int { self.state.withLockedValue { $0.sleepers.count } }

    /// Waits until somebody lets that much time pass.
    public func sleep(until deadline: Instant, tolerance: Duration?) async throws {
        let id = self.state.withLockedValue { state in
            state.last += 1
            return state.last
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = self.state.withLockedValue { state in
                    if deadline <= state.now || state.cancelled.remove(id) != nil { return true }
                    state.sleepers[id] = Sleeper(deadline: deadline, continuation: continuation)
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            let sleeper = self.state.withLockedValue { state in
                let sleeper = state.sleepers.removeValue(forKey: id)
                if sleeper == nil { state.cancelled.insert(id) }
                return sleeper
            }
            sleeper?.continuation.resume()
        }
        self.state.withLockedValue { _ = $0.cancelled.remove(id) }
        try Task.checkCancellation()
    }

    /// Lets time pass; whoever's time has come goes on.
    public func advance(by duration: Duration) {
        let due = self.state.withLockedValue { state in
            state.now = state.now.advanced(by: duration)
            let now = state.now
            let due = state.sleepers.filter { $0.value.deadline <= now }
            for id in due.keys { state.sleepers[id] = nil }
            return due.values.map(\.continuation)
        }
        for continuation in due { continuation.resume() }
    }
}
