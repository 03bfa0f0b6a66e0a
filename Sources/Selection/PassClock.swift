// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Time since the Selector was made, by whatever clock it was given.
struct PassClock: Sendable {
    /// The time that has passed.
    let now: @Sendable () -> Duration
    /// Waits.
    let sleep: @Sendable (Duration) async throws -> Void

    init<C: Clock<Duration>>(_ clock: C) {
        let start = clock.now
        self.now = { start.duration(to: clock.now) }
        self.sleep = { try await clock.sleep(for: $0) }
    }
}
