// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Dialing
import Foundation
import Selection
import Telephony
import TestBasics
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(20)))
struct DialerTests {
    private static let queue = CallTopology.dialQueue(trunk: "default")

    @Test("live calls never exceed the cap, and a slot frees with the recorded end of its call")
    func cap() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 12)
            _ = try await house.selector().pass()
            let provider = ScriptedProvider()
            try await house.withRecorder {
                try await house.withDialer(provider: provider) {
                    $0.maximumConcurrentCalls = 4
                } _: { dialer in
                    for done in stride(from: 4, through: 12, by: 4) {
                        try await eventually("\(done) placements") { provider.placements.count == done }
                        #expect(dialer.heldCalls == 4)
                        for request in provider.placements.suffix(4) {
                            try await house.report(.completed, request.callID)
                        }
                    }
                    try await eventually("all slots are free") { dialer.heldCalls == 0 }
                }
            }
            #expect(Set(provider.placements.map(\.callID)).count == 12)
            #expect(try await house.count("state = 'completed'") == 12)
            let status = try await house.publisher.queueStatus(Self.queue)
            #expect(status.messagesReady == 0)
        }
    }

    @Test(
        "a definite failure puts the request where it goes by itself, and leaves the contact as it was",
        arguments: [TelephonyError.Code.providerDown, .refusedForNow(retryAfter: nil)]
    )
    func definiteFailure(code: TelephonyError.Code) async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1)
            _ = try await house.selector().pass()
            let provider = ScriptedProvider { _ throws(TelephonyError) in
                throw TelephonyError(code: code, providerCode: "20429", httpStatus: 429, message: "no")
            }
            let start = try await house.time()
            try await house.withDialer(provider: provider) { dialer in
                try await eventually("the letter") {
                    try await house.publisher.queueStatus(CallTopology.unplaced).messagesReady == 1
                }
                #expect(dialer.heldCalls == 0)
            }
            #expect(try await house.count("state = 'pending' and attempts_count = 0 and call_id is null") == 1)
            let dead = try await house.publisher.get(CallTopology.unplaced)
            #expect(dead.map { DeadLetter($0).kind } == .notPlaced)
            #expect(try await house.publisher.queueStatus(CallTopology.dead).messagesReady == 0)
            #expect(dead?.message.messageID == provider.placements[0].callID.lowercased)
            #expect(try await house.count("next_attempt_at >= \(start) + interval '60 seconds'") == 1)
            try await house.scratch.execute("update contacts set next_attempt_at = now()")
            #expect(try await house.selector().pass().published == 1)
        }
    }

    @Test("what an outage of the provider leaves behind goes by itself")
    func outageLeavesNothing() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 4)
            _ = try await house.selector().pass()
            let provider = ScriptedProvider { _ throws(TelephonyError) in
                throw TelephonyError(code: .providerDown, httpStatus: 503, message: "down")
            }
            try await house.withDialer(provider: provider) {
                $0.failureBackOff = .seconds(3600)
                $0.unplacedLifetime = .milliseconds(500)
            } _: { _ in
                try await eventually("all have been tried") { provider.placements.count == 4 }
                try await eventually("all are given back") { try await house.count("state = 'pending'") == 4 }
                for queue in CallTopology.deadLetterQueues {
                    try await eventually("\(queue) is empty") {
                        try await house.publisher.queueStatus(queue).messagesReady == 0
                    }
                }
            }
        }
    }

    @Test("a faulty configuration pauses the campaign or the trunk with the reason, and burns nothing")
    func misconfigured() async throws {
        for scope in [TelephonyError.Scope.campaign, .trunk] {
            try await House.run { house in
                _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1)
                _ = try await house.selector().pass()
                let provider = ScriptedProvider { _ throws(TelephonyError) in
                    throw TelephonyError(code: .misconfigured(scope), providerCode: "21212", message: "bad caller ID")
                }
                try await house.withDialer(provider: provider) { _ in
                    try await eventually("the contact is back") {
                        try await house.count("state = 'pending' and attempts_count = 0") == 1
                    }
                }
                let campaign = try await house.scratch.store.campaign(named: "test")
                switch scope {
                case .campaign:
                    #expect(campaign.status == .paused && campaign.statusReason?.contains("21212") == true)
                    #expect(campaign.trunkPausedReason == nil)
                case .trunk:
                    #expect(campaign.status == .running)
                    #expect(campaign.trunkPausedReason?.contains("21212") == true)
                }
            }
        }
    }

    @Test("a number that the provider rejects for good is recorded as failed and never tried again")
    func rejected() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1)
            _ = try await house.selector().pass()
            let provider = ScriptedProvider { _ throws(TelephonyError) in
                throw TelephonyError(code: .rejected, providerCode: "21211", httpStatus: 400, message: "invalid")
            }
            try await house.withRecorder {
                try await house.withDialer(provider: provider) { dialer in
                    try await eventually("the end") {
                        try await house.count("state = 'not_reached' and next_attempt_at is null") == 1
                    }
                    try await eventually("the slot is free") { dialer.heldCalls == 0 }
                }
            }
            #expect(try await house.count("error_code = '21211' and outcome = 'failed'", in: "call_attempts") == 1)
        }
    }

    @Test("an ambiguous placement is never repeated; the call is found at the provider")
    func ambiguousFound() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1)
            _ = try await house.selector().pass()
            let provider = ScriptedProvider.silent(knowing: "CAfound")
            let clock = DialerTestClock()
            try await house.withRecorder {
                try await house.withDialer(provider: provider, clock: clock) { dialer in
                    try await eventually("the attempt is unknown") {
                        try await house.count("status = 'unknown'", in: "call_attempts") == 1
                    }
                    #expect(dialer.heldCalls == 1)
                    try await eventually("it is found") {
                        clock.advance(by: .milliseconds(500))
                        return try await house.count(
                            "provider_call_id = 'CAfound' and outcome = 'completed'",
                            in: "call_attempts"
                        ) == 1
                    }
                }
            }
            #expect(provider.placements.count == 1)
        }
    }

    @Test("an ambiguous placement whose first callback came is found as its own, when the last callback is lost")
    func ambiguousBound() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1)
            _ = try await house.selector().pass()
            let provider = ScriptedProvider { _ throws(TelephonyError) in
                throw TelephonyError(code: .unknown, message: "timed out")
            }
            let clock = DialerTestClock()
            try await house.withRecorder {
                try await house.withDialer(provider: provider, clock: clock) { dialer in
                    try await eventually("the attempt is unknown") {
                        try await house.count("status = 'unknown'", in: "call_attempts") == 1
                    }
                    let callID = provider.placements[0].callID
                    let event = CallEvent(
                        callID: callID,
                        providerCallID: "CAown",
                        status: .answered,
                        occurredAt: Date()
                    )
                    let publication = CallMessages.publication(of: event)
                    try await house.publisher.publish(
                        publication.message,
                        exchange: publication.exchange,
                        routingKey: publication.routingKey
                    )
                    try await eventually("it is bound") {
                        try await house.count("provider_call_id = 'CAown'", in: "call_attempts") == 1
                    }
                    provider.know(ProviderCall(providerCallID: "CAown", status: .completed, rawStatus: "completed"))
                    try await eventually("the slot is free") {
                        clock.advance(by: .milliseconds(500))
                        return dialer.heldCalls == 0
                    }
                }
            }
            #expect(try await house.count("outcome = 'completed' and error_code is null", in: "call_attempts") == 1)
        }
    }

    @Test("an ambiguous placement that nobody can find ends as lost, and is counted")
    func ambiguousLost() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1)
            _ = try await house.selector().pass()
            let provider = ScriptedProvider { _ throws(TelephonyError) in
                throw TelephonyError(code: .unknown, message: "timed out")
            }
            let clock = DialerTestClock()
            try await house.withRecorder {
                try await house.withDialer(provider: provider, clock: clock) { dialer in
                    try await eventually("it is lost") {
                        clock.advance(by: .milliseconds(500))
                        return try await house.count("error_code = 'lost' and counted", in: "call_attempts") == 1
                    }
                    try await eventually("the slot is free") {
                        clock.advance(by: .milliseconds(500))
                        return dialer.heldCalls == 0
                    }
                }
            }
            #expect(provider.placements.count == 1)
            #expect(try await house.count("attempts_count = 1 and state = 'not_reached'") == 1)
        }
    }

    @Test("calls of a dialer that drains are adopted by another, never placed again, and end once")
    func handOver() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 20)
            _ = try await house.selector().pass()
            let first = ScriptedProvider()
            let second = ScriptedProvider()
            try await house.withDialer("d1", provider: first) {
                $0.maximumConcurrentCalls = 20
            } _: { _ in
                try await eventually("all are placed") {
                    try await house.count("status = 'placed'", in: "call_attempts") == 20
                }
            }
            for request in first.placements {
                second.know(
                    ProviderCall(
                        providerCallID: "CA" + request.callID.lowercased,
                        status: .answered,
                        rawStatus: "in-progress"
                    )
                )
            }
            try await house.withRecorder {
                try await house.withDialer("d2", provider: second) {
                    $0.maximumConcurrentCalls = 20
                } _: { dialer in
                    try await eventually("all are adopted") {
                        try await house.count("dialer_id = 'd2'", in: "call_attempts") == 20
                    }
                    #expect(dialer.heldCalls == 20)
                    for request in first.placements { try await house.report(.completed, request.callID) }
                    try await eventually("all are over") { dialer.heldCalls == 0 }
                }
            }
            #expect(second.placements.isEmpty)
            #expect(try await house.count("state = 'completed' and attempts_count = 1") == 20)
        }
    }

    @Test(
        "queued and ringing calls that have become forbidden are canceled at the provider",
        arguments: ["paused", "trunk paused", "excluded", "window closed"]
    )
    func cancelForbidden(change: String) async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 3)
            _ = try await house.selector().pass()
            let provider = ScriptedProvider()
            try await house.withDialer(provider: provider) { _ in
                try await eventually("all are placed") {
                    try await house.count("status = 'placed'", in: "call_attempts") == 3
                }
                let store = house.scratch.store
                switch change {
                case "paused": _ = try await store.pauseAllCampaigns(reason: "stop", actor: "test")
                case "trunk paused": _ = try await store.pauseTrunk("default", reason: "stop")
                case "excluded":
                    let numbers = try (0..<3).map { try Fixtures.number($0) }
                    try await store.addExclusions(numbers, reason: nil, source: "api")
                default:
                    try await house.scratch.execute(
                        """
                        update campaigns set
                            allowed_call_start_local = (now() at time zone 'utc' + interval '2 hours')::time,
                            allowed_call_end_local = (now() at time zone 'utc' + interval '3 hours')::time
                        """
                    )
                }
                try await eventually("all are canceled") { Set(provider.hangUps).count == 3 }
            }
        }
    }

    @Test(
        "poison is dead-lettered and stops nobody",
        arguments: ["", "{", "[]", "{\"call_id\": 7}", String(repeating: "x", count: 40_000)]
    )
    func poison(body: String) async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1)
            for type in [DialRequest.messageType, "dial-request.v9", nil] {
                var message = AMQPMessage(body: Array(body.utf8))
                message.type = type
                try await house.publisher.publish(
                    message,
                    exchange: CallTopology.dialExchange,
                    routingKey: "default"
                )
            }
            _ = try await house.selector().pass()
            let provider = ScriptedProvider()
            try await house.withDialer(provider: provider) { _ in
                try await eventually("the good one is placed") { provider.placements.count == 1 }
                try await eventually("the others are dead") {
                    try await house.publisher.queueStatus(CallTopology.dead).messagesReady == 3
                }
            }
        }
    }
}
