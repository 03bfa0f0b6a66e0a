// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// The time by which a request leaves or not, and is waited for; a test moves its own.
struct TransportClock: Sendable {
    /// The time.
    var now: @Sendable () -> ContinuousClock.Instant
    /// Waits until then, or throws when the task is cancelled.
    var sleep: @Sendable (_ until: ContinuousClock.Instant) async throws -> Void

    static let continuous = TransportClock(
        now: { ContinuousClock.now },
        sleep: { try await Task.sleep(until: $0) }
    )
}
