// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Foundation
import Logging
import NIOConcurrencyHelpers
import Observability
import Telephony

extension Dialer {
    /// What a failed placement means: nothing was placed, or nobody knows.
    func placementFailed(
        _ error: TelephonyError,
        request: DialRequest,
        delivery: AMQPDelivery,
        logger: Logger
    ) async {
        logger.warning("The provider did not take the call", metadata: .keys([.error: "\(error)"]))
        let errorCode = error.providerCode ?? error.code.description
        FailPoint.dialerRefused.reach()
        self.breaker.withLockedValue { Self.tell(&$0, of: error.code, now: self.clock.now()) }
        switch error.code {
        case .rejected:
            await self.report(
                CallEvent(callID: request.callID, status: .failed, occurredAt: Date(), errorCode: errorCode)
            )
        case .refusedForNow(let retryAfter):
            if let retryAfter { self.tokens.pause(for: retryAfter) }
            let backOff = max(retryAfter ?? .zero, self.configuration.failureBackOff)
            await self.giveBack(request, delivery, errorCode: errorCode, backOff: backOff)
        case .providerDown:
            await self.giveBack(request, delivery, errorCode: errorCode, backOff: self.configuration.failureBackOff)
        case .tooLate:
            await self.giveBack(
                request,
                delivery,
                errorCode: errorCode,
                backOff: self.configuration.failureBackOff,
                isForPeople: false
            )
        case .refused(let destination):
            await self.park(destination, request: request, delivery: delivery, error: error, logger: logger)
        case .misconfigured(let scope):
            await self.stop(scope, request: request, error: error, logger: logger)
            // Once the cause is removed and all goes on, another number is tried first.
            await self.giveBack(request, delivery, errorCode: errorCode, backOff: self.configuration.failureBackOff)
        case .unknown:
            _ = await self.untilDone("An ambiguous placement waits to be noted") {
                try await self.store.markUnknown(callID: request.callID, errorCode: errorCode)
            }
            // The look-up must not come before the provider can show the call.
            self.held.update(request.callID) { $0.nextCheck = self.clock.now() + .seconds(3) }
        }
    }

    /// What a failed placement says of the provider as a whole.
    private static func tell(
        _ breaker: inout CircuitBreaker,
        of code: TelephonyError.Code,
        now: ContinuousClock.Instant
    ) {
        switch code {
        case .rejected, .refused: breaker.succeeded()
        case .refusedForNow, .providerDown, .tooLate, .unknown: breaker.failed(now: now)
        case .misconfigured: breaker.unused(now: now)
        }
    }

    /// Nothing was placed: the contact goes back uncharged, and what people may want to look at is kept for a while.
    private func giveBack(
        _ request: DialRequest,
        _ delivery: AMQPDelivery,
        errorCode: String,
        backOff: Duration,
        isForPeople: Bool = true
    ) async {
        let done = await self.untilDone("A contact waits to be given back") {
            try await self.store.revertAttempt(callID: request.callID, errorCode: errorCode, backOff: backOff)
        }
        guard done != nil else { return }
        FailPoint.dialerReverted.reach()
        // The message may have been delivered anew meanwhile: settle the one that is held.
        let held = self.letGo(request.callID) ?? delivery
        isForPeople ? await self.keepUnplaced(delivery, held: held) : self.ack(held)
    }

    /// - Parameters:
    ///   - delivery: The request as it came.
    ///   - held: The same, as the broker has handed it out last.
    private func keepUnplaced(_ delivery: AMQPDelivery, held: AMQPDelivery) async {
        let copy = DeadLetter.unplaced(
            delivery,
            trunk: self.configuration.trunk,
            lifetime: self.configuration.unplacedLifetime
        )
        do {
            if case .failure(let error)? = await self.publishing.publish(batch: [copy]).first { throw error }
            self.ack(held)
        } catch {
            self.logger.notice(
                "A request that was not placed becomes a dead letter",
                metadata: .keys([.error: "\(error)"])
            )
            self.reject(held)
        }
    }

    /// The provider does not call this number, or its country: it rests, uncharged, and the others go on. The same refusal
    /// for several numbers and for none otherwise is a fault of the campaign.
    private func park(
        _ destination: TelephonyError.Destination,
        request: DialRequest,
        delivery: AMQPDelivery,
        error: TelephonyError,
        logger: Logger
    ) async {
        let code = error.providerCode ?? error.code.description
        let parked = await self.untilDone("A refused contact waits to be given back") {
            try await self.store.parkRefused(
                callID: request.callID,
                errorCode: code,
                isCountry: destination == .country,
                rest: self.configuration.refusedNumberRest
            )
        }
        guard let parked else { return }
        if let country = parked.country, let until = parked.countryRestsUntil, until > Date() {
            logger.warning(
                "The provider does not call a country; its contacts rest until the next is tried",
                metadata: .keys([.reason: "\(country): \(error)"])
            )
        }
        if destination == .number {
            let count = self.refusals.withLockedValue {
                $0.refused(campaign: request.campaignID, code: code, contact: request.contactID)
            }
            if let count {
                let reason = "the provider refused \(count) different numbers one after the other: \(error)"
                await self.stop(.campaign, request: request, reason: reason, logger: logger)
            }
        }
        guard !parked.isAttempt else {
            await self.report(CallEvent(callID: request.callID, status: .failed, occurredAt: Date(), errorCode: code))
            return
        }
        self.ack(self.letGo(request.callID) ?? delivery)
    }

    /// Every further call would fail alike: stop before more contacts are tried.
    private func stop(
        _ scope: TelephonyError.Scope,
        request: DialRequest,
        error: TelephonyError,
        logger: Logger
    ) async {
        await self.stop(
            scope,
            request: request,
            reason: "the provider refuses its configuration: \(error)",
            logger: logger
        )
    }

    private func stop(_ scope: TelephonyError.Scope, request: DialRequest, reason: String, logger: Logger) async {
        let stopped = await self.untilDone("A pause waits to be noted") {
            switch scope {
            case .campaign:
                try await self.store.pauseCampaign(id: request.campaignID, reason: reason, actor: "dialer")
            case .trunk:
                try await self.store.pauseTrunk(self.configuration.trunk, reason: reason)
            }
        }
        if stopped == true {
            logger.error("Paused because of what the provider refuses", metadata: .keys([.reason: reason]))
        }
    }
}
