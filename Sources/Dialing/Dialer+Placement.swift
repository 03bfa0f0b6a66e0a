// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Foundation
import Logging
import Metrics
import NIOConcurrencyHelpers
import Observability
import Telephony
import Tracing

extension Dialer {
    /// Takes one request from its delivery to a held call, or settles it.
    func handle(_ delivery: AMQPDelivery) async {
        let request: DialRequest
        do {
            request = try CallMessages.decode(DialRequest.self, from: delivery, as: DialRequest.messageType)
        } catch {
            self.metrics.poison.increment()
            self.logger.warning(
                "A request cannot be read and was dead-lettered",
                metadata: .keys([.reason: error.reason])
            )
            self.reject(delivery)
            return
        }
        var logger = self.logger
        logger[.callID] = request.callID.lowercased
        logger[.campaign] = request.campaignID.lowercased
        guard let reservation = await self.reserve(request, delivery) else { return }
        FailPoint.dialerDelivered.reach()
        let wish = Self.wish(request)
        let verdict = await self.untilDone("An attempt waits for the database") {
            let verdict = try await self.attempts.submit(wish)
            if case .undecided = verdict { throw Undecided() }
            return verdict
        }
        guard let verdict else { return }
        await self.act(on: verdict, reservation, logger: logger)
    }

    static func wish(_ request: DialRequest) -> CallStore.AttemptRequest {
        CallStore.AttemptRequest(
            callID: request.callID,
            contactID: request.contactID,
            expiresAt: request.expiresAt
        )
    }

    private func act(
        on verdict: CallStore.AttemptVerdict,
        _ reservation: consuming Reservation,
        logger: Logger
    ) async {
        switch verdict {
        case .created(let details):
            FailPoint.dialerCommitted.reach()
            await self.place(details, reservation, logger: logger)
        case .exists(let attempt):
            self.metrics.adopted.increment()
            logger.info("Adopts a call", metadata: .keys([.reason: attempt.status]))
            self.hold(adopted: attempt, delivery: reservation.adopt())
        case .stale, .undecided:
            self.metrics.stale.increment()
            reservation.end(.ack)
        case .notAllowed(let reason):
            self.metrics.notAllowed(reason)
            logger.info("Does not call", metadata: .keys([.reason: reason]))
            reservation.end(.ack)
        case .failed(let reason, let isOfItsValues):
            await self.putAside(reservation, reason: reason, isOfItsValues: isOfItsValues, logger: logger)
        }
    }

    private struct Undecided: Error, CustomStringConvertible {
        let description = "an attempt exists and could not be taken over"
    }

    /// The row is committed; nothing but the pace comes between that and this.
    private func place(
        _ details: CallStore.AttemptDetails,
        _ reservation: consuming Reservation,
        logger: Logger
    ) async {
        if let refusal = await self.refusalToLeave(details, logger: logger) {
            await self.giveBack(reservation, refusal)
            return
        }
        let request = reservation.request
        let delivery = reservation.place()
        let start = self.clock.now()
        let limit = details.ringTimeout + details.maximumCallDuration + self.configuration.margin
        var call = HeldCall(
            callID: request.callID,
            campaignID: request.campaignID,
            phoneNumber: details.phoneNumber,
            callerID: details.callerID,
            ringTimeout: details.ringTimeout,
            startedAt: details.deadline.addingTimeInterval(-limit.inSeconds),
            startedInstant: start,
            deadline: start + limit,
            placement: .unknown,
            delivery: delivery.withHeadersOnly,
            nextCheck: start + details.ringTimeout + self.configuration.margin
        )
        // Held from before the request is sent: the call may end before the answer is read.
        self.held.insert(call)
        let span = startSpan(
            "place call",
            context: CallMessages.context(of: delivery).rooted(at: request.callID),
            ofKind: .client
        )
        defer { span.end() }
        do {
            let placed = try await self.provider.place(
                CallRequest(
                    callID: request.callID,
                    to: details.phoneNumber,
                    from: details.callerID,
                    answerURL: details.answerURL,
                    ringTimeout: details.ringTimeout,
                    maximumCallDuration: details.maximumCallDuration,
                    detectsMachines: details.detectsMachines,
                    callbackParameters: Self.callbackParameters(request, span.context),
                    leaveBefore: details.askedAt + self.configuration.permissionLifetime
                )
            )
            FailPoint.dialerAnswered.reach()
            self.metrics.placeDuration.record(duration: self.clock.now() - start)
            self.metrics.accepted()
            // By two clocks, which may differ a little.
            self.metrics.claimToPlaced.recordSeconds(max(0, Date().timeIntervalSince(request.claimedAt)))
            if let dueAt = request.dueAt {
                self.metrics.dueToPlaced.recordSeconds(max(0, Date().timeIntervalSince(dueAt)))
            }
            self.breaker.withLockedValue { $0.succeeded() }
            self.refusals.withLockedValue { $0.accepted(campaign: request.campaignID) }
            call.placement = .known(placed.providerCallID)
            self.held.update(call.callID) { $0.placement = call.placement }
            logger.debug("The provider took the call", metadata: .keys([.providerCallID: placed.providerCallID]))
            _ = await self.untilDone("A placed call waits to be noted") {
                try await self.placements.submit(PlacedAttempt(callID: call.callID, call: placed))
            }
            FailPoint.dialerNoted.reach()
        } catch {
            self.metrics.failed(error.code)
            await self.placementFailed(error, request: request, delivery: delivery, logger: logger)
        }
    }

    /// What the provider gives back with every callback: the trace goes on there, and log lines name the campaign.
    private static func callbackParameters(
        _ request: DialRequest,
        _ context: InstrumentationContext
    ) -> [String: String] {
        var parameters: [String: String] = [:]
        InstrumentationSystem.instrument.inject(context, into: &parameters, using: TextCarrier())
        parameters = parameters.filter { ["traceparent", "tracestate"].contains($0.key) }
        parameters["campaign_id"] = request.campaignID.lowercased
        return parameters
    }

    func ack(_ delivery: AMQPDelivery) {
        do {
            try delivery.ack()
        } catch {
            self.logger.debug("The delivery is gone and will come again", metadata: .keys([.error: "\(error)"]))
        }
    }

    func reject(_ delivery: AMQPDelivery) {
        do {
            try delivery.nack(requeue: false)
        } catch {
            self.logger.debug("The delivery is gone and will come again", metadata: .keys([.error: "\(error)"]))
        }
    }
}

extension Duration {
    var inSeconds: Double {
        let parts = self.components
        return Double(parts.seconds) + Double(parts.attoseconds) / 1e18
    }
}
