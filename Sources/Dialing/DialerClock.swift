// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// The time by which a dialer and its parts wait; a test moves its own.
struct DialerClock: Sendable {
    /// The time.
    var now: @Sendable () -> ContinuousClock.Instant
    /// Waits until then, or throws when the task is cancelled.
    var sleep: @Sendable (_ until: ContinuousClock.Instant) async throws -> Void

    static let continuous = DialerClock(
        now: { ContinuousClock.now },
        sleep: { try await Task.sleep(until: $0) }
    )

    /// Waits for this long, or throws when the task is cancelled.
    func sleep(for duration: Duration) async throws { try await self.sleep(self.now() + duration) }
}
