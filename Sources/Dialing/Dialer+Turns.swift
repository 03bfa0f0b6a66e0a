// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallStore
import Foundation
import Logging
import NIOConcurrencyHelpers
import Observability

extension Dialer {
    /// Waits for a turn, and then for the circuit breakers: those who stood in line while one opened do not pass.
    /// - Returns: Nil when the process drains meanwhile.
    func mayAsk() async -> Pace.Turn? {
        while let turn = await self.tokens.turn() {
            let now = self.clock.now()
            switch self.mayPass(now: now) {
            case .granted:
                return turn
            case .wait(let until):
                self.tokens.giveBack(turn)
                guard await self.sleep(until: until ?? now + .milliseconds(200)) else { return nil }
            }
        }
        return nil
    }

    private func mayPass(now: ContinuousClock.Instant) -> CircuitBreaker.Permission {
        let permission = self.permissions.withLockedValue { $0.ask(now: now) }
        guard permission == .granted else { return permission }
        let answer = self.breaker.withLockedValue { $0.ask(now: now) }
        if answer != .granted { self.permissions.withLockedValue { $0.unused(now: now) } }
        return answer
    }

    /// - Returns: False when the process drains meanwhile.
    private func sleep(until instant: ContinuousClock.Instant) async -> Bool {
        while !self.isDraining.withLockedValue(\.self), !Task.isCancelled {
            let now = self.clock.now()
            guard instant > now else { return true }
            // In small steps, so that a drain is noticed.
            try? await self.clock.sleep(min(instant, now + .milliseconds(250)))
        }
        return false
    }

    /// Why a call must not leave that the database has allowed.
    struct LeavingRefusal {
        let reason: DialerMetrics.LeavingRefusal
        /// How long its contact rests.
        let backOff: Duration
    }

    /// Whether a call may leave now. What the database allowed some time ago may be forbidden now, and in a pause that the
    /// provider asked for nothing leaves.
    /// - Returns: Nil when it may.
    func refusalToLeave(_ details: CallStore.AttemptDetails, logger: Logger) async -> LeavingRefusal? {
        let deadline = details.askedAt + self.configuration.permissionLifetime
        var backOff = self.configuration.failureBackOff
        guard self.clock.now() < deadline else {
            self.permissions.withLockedValue { permissions in
                permissions.failed(now: self.clock.now())
                // Not before the database is asked again, lest the contact be claimed in vain.
                if case .open(let until) = permissions.state { backOff = max(backOff, until - self.clock.now()) }
            }
            logger.warning(
                "The database answered too late for a call to be placed",
                metadata: .keys([.reason: DialerMetrics.LeavingRefusal.outdated.rawValue])
            )
            return LeavingRefusal(reason: .outdated, backOff: backOff)
        }
        self.permissions.withLockedValue { $0.succeeded() }
        guard await !self.tokens.mayLeave(before: deadline) else { return nil }
        logger.notice(
            "Does not call",
            metadata: .keys([.reason: DialerMetrics.LeavingRefusal.heldBack.rawValue])
        )
        return LeavingRefusal(reason: .heldBack, backOff: backOff)
    }

    /// Nothing was placed: the contact goes back.
    func giveBack(_ reservation: consuming Reservation, _ refusal: LeavingRefusal) async {
        reservation.returnTurn()
        self.metrics.notAllowed(refusal.reason.rawValue)
        let callID = reservation.request.callID
        let done = await self.untilDone("A contact waits to be given back") {
            try await self.store.revertAttempt(
                callID: callID,
                errorCode: refusal.reason.rawValue,
                backOff: refusal.backOff
            )
        }
        if done != nil { reservation.end(.ack) }
    }
}
