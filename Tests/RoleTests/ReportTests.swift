// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Foundation
import Selection
import Telephony
import TestBasics
import TestSupport
import Testing

@testable import Dialing

/// A report is done when the row says so, and not when the broker has confirmed it.
@Suite(.timeLimit(.minutes(20)))
struct ReportTests {
    @Test(
        "a report that the broker has confirmed and lost is sent again, and the call ends without a restart",
        arguments: ["purged", "wiped"],
        [true, false]
    )
    func lostReport(how: String, isRejected: Bool) async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1)
            _ = try await house.selector().pass()
            let provider = ScriptedProvider { request throws(TelephonyError) in
                guard !isRejected else {
                    throw TelephonyError(code: .rejected, providerCode: "21211", httpStatus: 400, message: "invalid")
                }
                return PlacedCall(providerCallID: "CA" + request.callID.lowercased, rawStatus: "queued")
            }
            let clock = DialerTestClock()
            try await house.withDialer(provider: provider, clock: clock) { dialer in
                try await eventually("the placement") { provider.placements.count == 1 }
                let id = "CA" + provider.placements[0].callID.lowercased
                if !isRejected {
                    provider.know(ProviderCall(providerCallID: id, status: .busy, rawStatus: "busy"))
                    try await eventually("it is placed") {
                        try await house.count("status = 'placed'", in: "call_attempts") == 1
                    }
                    // Past its longest ringing and the margin, and not so far that a report would be repeated.
                    clock.advance(by: .seconds(8))
                }
                try await eventually("the report is there") {
                    try await house.publisher.queueStatus(CallTopology.callEvents).messagesReady == 1
                }
                let questions = provider.questions
                // Nobody has recorded it.
                if how == "purged" {
                    #expect(try await house.publisher.purge(CallTopology.callEvents) == 1)
                } else {
                    try await house.scratch.emptyBroker()
                }
                try await eventually("it is sent again") {
                    clock.advance(by: .seconds(1))
                    return ((try? await house.publisher.queueStatus(CallTopology.callEvents).messagesReady) ?? 0) > 0
                }
                #expect(provider.questions == questions, "what is known already was asked for")
                #expect(dialer.heldCalls == 1)
                try await house.withRecorder {
                    try await eventually("the slot is free") {
                        clock.advance(by: .seconds(1))
                        return dialer.heldCalls == 0
                    }
                }
            }
            let outcome = try await house.scratch.value("select outcome from call_attempts", as: String.self)
            #expect(outcome == (isRejected ? "failed" : "busy"))
            #expect(try await house.count("call_id is null and state = 'not_reached'") == 1)
            #expect(provider.placements.count == 1)
        }
    }

    @Test("the pause between repeated reports doubles up to five minutes, and who asks for the call ends it")
    func pauses() throws {
        var now = ContinuousClock.now
        let event = CallEvent(callID: CallID.make(), status: .failed, occurredAt: Date())
        var call = HeldCall(
            callID: event.callID,
            campaignID: CallID.make(),
            phoneNumber: try Fixtures.number(1),
            callerID: try Fixtures.number(2),
            ringTimeout: .seconds(5),
            startedAt: Date(),
            startedInstant: now,
            deadline: now + .seconds(30),
            placement: .unknown,
            delivery: nil,
            nextCheck: now + .seconds(20)
        )
        call.isAskedFor(now: now)
        #expect(call.nextCheck == now + .seconds(20), "nothing is known of its end")
        for pause in [10, 20, 40, 80, 160, 320, 320, 320] {
            call.isReported(event, now: now)
            // What the loop does after each check.
            call.scheduleNextCheck(now: now)
            #expect(call.nextCheck == now + .seconds(pause))
            now = call.nextCheck
        }
        call.isAskedFor(now: now - .seconds(300))
        #expect(call.nextCheck == now - .seconds(300))
        #expect(call.report == event)
    }

    @Test("the renewed request of an orphan that its own dialer holds has the report sent at once")
    func renewedRequest() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1)
            let provider = ScriptedProvider { _ throws(TelephonyError) in
                throw TelephonyError(code: .rejected, providerCode: "21211", httpStatus: 400, message: "invalid")
            }
            let requests = try await house.scratch.store
                .claim(
                    campaign: try await house.scratch.value("select id from campaigns", as: UUID.self),
                    limit: 1,
                    leaseDuration: .seconds(60)
                ).requests
            let publication = CallMessages.publication(of: requests[0], trunk: "default")
            @Sendable func publish() async throws {
                try await house.publisher.publish(
                    publication.message,
                    exchange: publication.exchange,
                    routingKey: publication.routingKey
                )
            }
            try await publish()
            try await house.withDialer(provider: provider) { dialer in
                let events = CallTopology.callEvents
                try await eventually("the report is there") {
                    try await house.publisher.queueStatus(events).messagesReady == 1
                }
                // Each renewal brings another report; by themselves they would come after 10, 20, 40 … seconds: 20 of them
                // after more than an hour.
                for count in 2...20 {
                    try await publish()
                    try await eventually("report \(count)") {
                        try await house.publisher.queueStatus(events).messagesReady >= count
                    }
                }
                #expect(dialer.heldCalls == 1)
                try await house.withRecorder {
                    try await eventually("the slot is free") { dialer.heldCalls == 0 }
                }
            }
            #expect(try await house.count("outcome = 'failed'", in: "call_attempts") == 1)
            #expect(try await house.publisher.queueStatus(CallTopology.dead).messagesReady == 0)
        }
    }
}
