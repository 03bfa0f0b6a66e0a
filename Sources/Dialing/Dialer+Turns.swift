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

    func returnPermission(_ turn: Pace.Turn) {
        self.tokens.giveBack(turn)
        self.breaker.withLockedValue { $0.unused(now: self.clock.now()) }
        self.permissions.withLockedValue { $0.unused(now: self.clock.now()) }
    }

    func noCall(_ callID: UUID, _ turn: Pace.Turn) {
        self.returnPermission(turn)
        self.slots.release(callID)
    }

    /// Whether a call may leave now. What the database allowed some time ago may be forbidden now, and in a pause that the
    /// provider asked for nothing leaves. Otherwise the contact goes back: nothing was placed.
    func mayLeave(
        _ details: CallStore.AttemptDetails,
        turn: Pace.Turn,
        request: DialRequest,
        delivery: AMQPDelivery,
        logger: Logger
    ) async -> Bool {
        let deadline = details.askedAt + self.configuration.permissionLifetime
        let reason: DialerMetrics.LeavingRefusal
        var backOff = self.configuration.failureBackOff
        if self.clock.now() >= deadline {
            reason = .outdated
            self.permissions.withLockedValue { permissions in
                permissions.failed(now: self.clock.now())
                // Not before the database is asked again, lest the contact be claimed in vain.
                if case .open(let until) = permissions.state { backOff = max(backOff, until - self.clock.now()) }
            }
            logger.warning(
                "The database answered too late for a call to be placed",
                metadata: .keys([.reason: reason.rawValue])
            )
        } else {
            self.permissions.withLockedValue { $0.succeeded() }
            guard await !self.tokens.mayLeave(before: deadline) else { return true }
            reason = .heldBack
            logger.notice("Does not call", metadata: .keys([.reason: reason.rawValue]))
        }
        self.tokens.giveBack(turn)
        self.breaker.withLockedValue { $0.unused(now: self.clock.now()) }
        self.metrics.notAllowed(reason.rawValue)
        let done = await self.untilDone("A contact waits to be given back") { [backOff] in
            try await self.store.revertAttempt(callID: request.callID, errorCode: reason.rawValue, backOff: backOff)
        }
        if done != nil {
            self.slots.release(request.callID)
            self.ack(delivery)
        }
        return false
    }
}
