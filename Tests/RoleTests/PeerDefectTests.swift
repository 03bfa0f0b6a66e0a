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

/// Eighteen defects that open-source dialers had, each in the situation in which it showed: none of them is ours.
@Suite(.timeLimit(.minutes(20)))
struct PeerDefectTests {
    private static let ambiguous = ScriptedProvider { _ throws(TelephonyError) in
        throw TelephonyError(code: .unknown, message: "timed out")
    }

    private static func begin(
        _ house: House,
        _ requests: [DialRequest],
        dialer: String = "dead"
    ) async throws -> [CallStore.AttemptVerdict] {
        try await house.scratch.store.beginAttempts(
            requests.map { .init(callID: $0.callID, contactID: $0.contactID, expiresAt: $0.expiresAt) },
            dialerID: dialer,
            trunk: "default",
            margin: .seconds(60)
        )
    }

    private static func claim(_ house: House, _ campaign: UUID, _ limit: Int) async throws -> [DialRequest] {
        try await house.scratch.store.claim(campaign: campaign, limit: limit, leaseDuration: .seconds(60)).requests
    }

    private static func publish(_ house: House, _ request: DialRequest) async throws {
        let publication = CallMessages.publication(of: request, trunk: "default")
        try await house.publisher.publish(
            publication.message,
            exchange: publication.exchange,
            routingKey: publication.routingKey
        )
    }

    @Test("D1: a contact that was claimed by a process that died is not in progress for ever")
    func claimedAndForgotten() async throws {
        try await House.run { house in
            let campaign = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 5)
            _ = try await Self.claim(house, campaign, 5)
            try await house.scratch.execute("update contacts set lease_until = now() - interval '1 second'")
            let summary = try await house.selector().pass()
            #expect(summary.expiredLeases == 5)
            #expect(summary.published == 5)
        }
    }

    @Test(
        "D2: a queued request is judged again when it is dialed",
        arguments: ["paused", "excluded", "closed", "ended"]
    )
    func judgedAgain(change: String) async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1)
            _ = try await house.selector().pass()
            let store = house.scratch.store
            switch change {
            case "paused": _ = try await store.pauseAllCampaigns(reason: nil, actor: "test")
            case "excluded": try await store.addExclusions([try Fixtures.number(0)], reason: nil, source: "api")
            case "closed":
                try await house.scratch.execute(
                    """
                    update campaigns set allowed_call_start_local = (now() at time zone 'utc' + interval '2 hours')::time,
                        allowed_call_end_local = (now() at time zone 'utc' + interval '3 hours')::time
                    """
                )
            default: try await house.scratch.execute("update campaigns set ends_at = now()")
            }
            let provider = ScriptedProvider()
            try await house.withDialer(provider: provider) { _ in
                try await eventually("the claim is given back") { try await house.count("state = 'in_progress'") == 0 }
            }
            #expect(provider.placements.isEmpty)
            #expect(try await house.count("true", in: "call_attempts") == 0)
        }
    }

    @Test("D4: the window is that of the contact's zone, on the database's clock")
    func oneClock() async throws {
        try await House.run { house in
            let store = house.scratch.store
            // An hour around now, as it is in Tokyo: closed everywhere else.
            let campaign = try await Fixtures.runningCampaign(in: store, contacts: 1, timeZone: "Asia/Tokyo")
            let row = CallStore.NewContact(
                externalID: "elsewhere",
                phoneNumber: try Fixtures.number(7),
                email: nil,
                language: nil,
                hasPriorConsent: true,
                doNotCall: false,
                timeZone: "America/Los_Angeles"
            )
            _ = try await store.addContacts([row], campaign: campaign)
            try await house.scratch.execute(
                """
                update campaigns set
                    allowed_call_start_local = (now() at time zone 'Asia/Tokyo' - interval '30 minutes')::time,
                    allowed_call_end_local = (now() at time zone 'Asia/Tokyo' + interval '30 minutes')::time
                """
            )
            #expect(try await Self.claim(house, campaign, 10).count == 1)
            #expect(try await house.count("state = 'in_progress' and time_zone = 'Asia/Tokyo'") == 1)
        }
    }

    @Test("D5: a call whose dialer died around its placement is not placed again")
    func diedAroundPlacement() async throws {
        try await House.run { house in
            let campaign = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1)
            let requests = try await Self.claim(house, campaign, 1)
            _ = try await Self.begin(house, requests)
            try await Self.publish(house, requests[0])
            let provider = ScriptedProvider()
            try await house.withDialer("d2", provider: provider) { dialer in
                try await eventually("it is adopted") {
                    try await house.count("dialer_id = 'd2'", in: "call_attempts") == 1
                }
                #expect(dialer.heldCalls == 1)
            }
            #expect(provider.placements.isEmpty)
        }
    }

    @Test("D6: a callback that overtakes the answer to the placement finds the same row")
    func callbackOvertakes() async throws {
        try await House.run { house in
            let campaign = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1)
            let requests = try await Self.claim(house, campaign, 1)
            _ = try await Self.begin(house, requests)
            let callID = requests[0].callID
            let event = CallEvent(callID: callID, providerCallID: "CA1", status: .answered, occurredAt: Date())
            _ = try await house.scratch.store.record([CallReport(event)])
            try await house.scratch.store.markPlaced([(callID, "CA1", "queued")])
            #expect(
                try await house.count("status = 'answered' and provider_call_id = 'CA1'", in: "call_attempts") == 1
            )
            #expect(try await house.count("true", in: "call_attempts") == 1)
        }
    }

    @Test("D7: a cap can be lowered, down to one", arguments: 1...4)
    func capsCanBeLowered(cap: Int) async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 8)
            _ = try await house.selector().pass()
            let provider = ScriptedProvider()
            try await house.withRecorder {
                try await house.withDialer(provider: provider) {
                    $0.maximumConcurrentCalls = cap
                } _: { dialer in
                    try await eventually("the slots are full") { dialer.heldCalls == cap }
                    try await eventually("all are over") {
                        #expect(dialer.heldCalls <= cap)
                        let open = try await house.count("ended_at is null", in: "call_attempts")
                        #expect(open <= cap)
                        for request in provider.placements { try await house.report(.completed, request.callID) }
                        return try await house.count("state = 'completed'") == 8
                    }
                }
            }
            let campaign = try await Fixtures.runningCampaign(
                in: house.scratch.store,
                name: "capped",
                contacts: 8,
                first: 100
            ) { $0.maximumConcurrentCalls = cap }
            _ = try await house.selector().pass()
            #expect(try await house.count("campaign_id = '\(campaign)' and state = 'in_progress'") == cap)
        }
    }

    @Test("D8: a provider's time-out leaves the call open, for its callback to settle")
    func timeoutIsNoFailure() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1)
            _ = try await house.selector().pass()
            try await house.withRecorder {
                try await house.withDialer(provider: Self.ambiguous) {
                    $0.margin = .seconds(60)
                } _: { dialer in
                    try await eventually("it is unknown") {
                        try await house.count("status = 'unknown' and outcome is null", in: "call_attempts") == 1
                    }
                    #expect(try await house.count("state = 'in_progress'") == 1)
                    let callID = try await house.scratch.value("select call_id from call_attempts", as: UUID.self)
                    try await house.report(.completed, callID)
                    try await eventually("the slot is free") { dialer.heldCalls == 0 }
                }
            }
            #expect(try await house.count("state = 'completed' and attempts_count = 1") == 1)
        }
    }

    @Test("D9: a callback that never comes does not eat a line")
    func lostCallback() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1)
            _ = try await house.selector().pass()
            let provider = ScriptedProvider()
            let clock = DialerTestClock()
            try await house.withRecorder {
                try await house.withDialer(provider: provider, clock: clock) { dialer in
                    try await eventually("the placement") { provider.placements.count == 1 }
                    provider.know(
                        ProviderCall(
                            providerCallID: "CA" + provider.placements[0].callID.lowercased,
                            status: .busy,
                            rawStatus: "busy"
                        )
                    )
                    try await eventually("the slot is free") {
                        clock.advance(by: .milliseconds(500))
                        return dialer.heldCalls == 0
                    }
                }
            }
            #expect(try await house.count("outcome = 'busy'", in: "call_attempts") == 1)
        }
    }

    @Test("D10: all retries that are due go out in one pass")
    func retriesAreNotThrottled() async throws {
        try await House.run { house in
            let campaign = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 40) {
                $0.retryIntervalMinutes = 0
            }
            let requests = try await Self.claim(house, campaign, 40)
            _ = try await Self.begin(house, requests)
            let events = requests.map { CallEvent(callID: $0.callID, status: .noAnswer, occurredAt: Date()) }
            _ = try await house.scratch.store.record(CallReport.merge(events))
            #expect(try await house.selector().pass().published == 40)
        }
    }

    @Test("D11: a completed that comes after a no-answer wins")
    func lateCompleted() async throws {
        try await House.run { house in
            let campaign = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1)
            let requests = try await Self.claim(house, campaign, 1)
            _ = try await Self.begin(house, requests)
            for status in [CallStatus.noAnswer, .completed, .noAnswer] {
                let event = CallEvent(callID: requests[0].callID, status: status, occurredAt: Date())
                _ = try await house.scratch.store.record([CallReport(event)])
            }
            #expect(try await house.count("outcome = 'completed'", in: "call_attempts") == 1)
            #expect(try await house.count("state = 'completed' and next_attempt_at is null") == 1)
        }
    }

    @Test("D12: what a dialer knew is in its rows: after a restart it watches its calls at once")
    func sessionsSurvive() async throws {
        try await House.run { house in
            let campaign = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 6)
            let requests = try await Self.claim(house, campaign, 6)
            _ = try await Self.begin(house, requests, dialer: "d1")
            // No message comes: the rows alone must do.
            try await house.withRecorder {
                try await house.withDialer("d1", provider: ScriptedProvider()) { dialer in
                    try await eventually("its calls are back") { dialer.heldCalls == 6 }
                    for request in requests { try await house.report(.noAnswer, request.callID) }
                    try await eventually("all slots are free") { dialer.heldCalls == 0 }
                }
            }
        }
    }

    @Test("D13: an attempt that stayed `placing` after a crash of everything is taken up again and resolved")
    func leftPlacing() async throws {
        try await House.run { house in
            let campaign = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 3)
            let requests = try await Self.claim(house, campaign, 3)
            _ = try await Self.begin(house, requests)
            try await house.scratch.execute(
                """
                update call_attempts set started_at = now() - interval '1 hour', deadline_at = now() - interval '2 minutes'
                """
            )
            _ = try await house.selector().pass()
            let provider = ScriptedProvider()
            let clock = DialerTestClock()
            try await house.withRecorder {
                try await house.withDialer("another", provider: provider, clock: clock) { dialer in
                    try await eventually("all are resolved") {
                        clock.advance(by: .milliseconds(500))
                        return try await house.count("error_code = 'lost' and counted", in: "call_attempts") == 3
                    }
                    try await eventually("all slots are free") {
                        clock.advance(by: .milliseconds(500))
                        return dialer.heldCalls == 0
                    }
                }
            }
            #expect(provider.placements.isEmpty)
            #expect(try await house.count("state = 'not_reached' and next_attempt_at is not null") == 3)
        }
    }

    @Test("D14: an exclusion hits its number, in every campaign, and no other")
    func rightNumber() async throws {
        try await House.run { house in
            let store = house.scratch.store
            for name in ["a", "b"] { _ = try await Fixtures.runningCampaign(in: store, name: name, contacts: 50) }
            let numbers = try [3, 17, 44].map { try Fixtures.number($0) }
            try await store.addExclusions(numbers, reason: "asked for it", source: "api")
            let list = numbers.map { "'\($0.e164)'" }.joined(separator: ",")
            #expect(try await house.count("state = 'excluded' and phone_number in (\(list))") == 6)
            #expect(try await house.count("state = 'pending' and phone_number not in (\(list))") == 94)
        }
    }

    @Test("D15: a long call is not closed for its age: the provider is asked, and it goes on")
    func longCall() async throws {
        try await House.run { house in
            let campaign = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1)
            let requests = try await Self.claim(house, campaign, 1)
            _ = try await Self.begin(house, requests, dialer: "d1")
            try await house.scratch.store.markPlaced([(requests[0].callID, "CAlong", "queued")])
            try await house.scratch.execute(
                "update call_attempts set started_at = now() - interval '1 hour', deadline_at = now() + interval '1 hour'"
            )
            let provider = ScriptedProvider()
            provider.know(ProviderCall(providerCallID: "CAlong", status: .answered, rawStatus: "in-progress"))
            let clock = DialerTestClock()
            try await house.withDialer("d1", provider: provider, clock: clock) { dialer in
                // Nobody is asked about a call that was reported: it goes on after the first answer.
                try await eventually("the provider was asked twice") {
                    clock.advance(by: .milliseconds(500))
                    return provider.questions >= 2
                }
                #expect(dialer.heldCalls == 1)
            }
            #expect(try await house.count("ended_at is null", in: "call_attempts") == 1)
            #expect(try await house.publisher.queueStatus(CallTopology.callEvents).messagesReady == 0)
            #expect(provider.hangUps.isEmpty)
        }
    }

    @Test("D16: a campaign whose end date passes during a call calls nobody again")
    func endDatePasses() async throws {
        try await House.run { house in
            let campaign = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1) {
                $0.retryIntervalMinutes = 0
                $0.maximumAttempts = 15
            }
            let requests = try await Self.claim(house, campaign, 1)
            _ = try await Self.begin(house, requests)
            try await house.scratch.execute("update campaigns set ends_at = now()")
            let event = CallEvent(callID: requests[0].callID, status: .noAnswer, occurredAt: Date())
            _ = try await house.scratch.store.record([CallReport(event)])
            for _ in 0..<5 { #expect(try await house.selector().pass().published == 0) }
            #expect(try await house.count("true", in: "call_attempts") == 1)
            #expect(try await house.scratch.store.campaign(named: "test").status == .completed)
        }
    }

    @Test("D17: passes that overlap claim nobody twice")
    func overlappingPasses() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 200)
            try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        var published = 0
                        // Who finds another at work claims nothing, and comes again.
                        while try await house.count("state = 'pending'") > 0 {
                            published += try await house.selector {
                                $0.queueDepth = 1000
                                $0.batchSize = 20
                            }.pass().published
                        }
                        return published
                    }
                }
                let published = try await group.reduce(0, +)
                #expect(published == 200)
                #expect(try await house.count("state = 'in_progress'") == 200)
                var asked: Set<String> = []
                while let delivery = try await house.publisher.get(CallTopology.dialQueue(trunk: "default")) {
                    try delivery.ack()
                    asked.insert(delivery.message.messageID ?? "")
                }
                #expect(asked.count == 200)
            }
        }
    }

    @Test("D18: requests for one number that race create one attempt")
    func oneAttemptPerNumber() async throws {
        try await House.run { house in
            let store = house.scratch.store
            var requests: [DialRequest] = []
            for index in 0..<20 {
                let campaign = try await Fixtures.runningCampaign(in: store, name: "c\(index)", contacts: 1)
                requests += try await Self.claim(house, campaign, 1)
            }
            let racing = requests
            let created = try await withThrowingTaskGroup(of: Int.self) { group in
                for request in racing {
                    group.addTask {
                        try await Self.begin(house, [request]).count { if case .created = $0 { true } else { false } }
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(created == 1)
            #expect(try await house.count("ended_at is null", in: "call_attempts") == 1)
            #expect(try await house.count("state = 'pending' and next_attempt_at > now()") == 19)
        }
    }
}
