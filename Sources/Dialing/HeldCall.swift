// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallStore
import Foundation

/// A call that this dialer watches until it has ended. Its delivery is acked then, not before.
struct HeldCall: Sendable {
    /// What is known of the call's place at the provider.
    enum Placement: Sendable {
        /// The provider gave this id.
        case known(String)
        /// Nobody knows whether the provider took it.
        case unknown
    }

    let callID: UUID
    let campaignID: UUID
    let phoneNumber: PhoneNumber
    let callerID: PhoneNumber
    let ringTimeout: Duration
    /// By the database's clock.
    let startedAt: Date
    /// By this process's clock, so that hosts whose clocks differ agree on how long is left.
    let startedInstant: ContinuousClock.Instant
    let deadline: ContinuousClock.Instant
    var placement: Placement
    var delivery: AMQPDelivery?
    /// When the provider is asked next.
    var nextCheck: ContinuousClock.Instant
    var checks = 0
    /// Since when questions about the call have failed.
    var unansweredSince: ContinuousClock.Instant?
    /// Before that, the provider is not asked again to cancel it.
    var nextCancel: ContinuousClock.Instant?
    /// The report that ends this call. A broker that has confirmed it may still lose it: it is sent again until the call's row
    /// has ended, which takes the call out of what is held.
    private(set) var report: CallEvent?
    private(set) var timesReported = 0

    /// Whether it rings or is answered, as far as is known: the provider has it, and has not told of its end.
    var isLive: Bool { if case .known = self.placement { self.report == nil } else { false } }

    /// The report goes to the broker, and goes again after a pause that doubles up to five minutes.
    mutating func isReported(_ event: CallEvent, now: ContinuousClock.Instant) {
        self.report = event
        self.nextCheck = now + .seconds(10 * (1 << min(self.timesReported, 5)))
        self.timesReported += 1
    }

    /// Somebody asks for the call anew, so that its row has not ended: what is known of its end is said at once.
    mutating func isAskedFor(now: ContinuousClock.Instant) {
        if self.report != nil { self.nextCheck = now }
    }

    /// When the provider is asked after this check: the pause doubles, and the deadline is never overslept.
    mutating func scheduleNextCheck(now: ContinuousClock.Instant) {
        guard self.report == nil else { return }
        self.checks += 1
        let pause = Duration.seconds(5 * (1 << min(self.checks, 6)))
        let next = now + pause
        self.nextCheck = now < self.deadline ? min(next, self.deadline) : now + min(pause, .seconds(15))
    }
}
