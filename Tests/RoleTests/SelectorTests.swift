// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Foundation
import Selection
import TestBasics
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(20)))
struct SelectorTests {
    private static let queue = CallTopology.dialQueue(trunk: "default")

    @Test("a pass claims no more than the queue has room for, and the next one only what fits then")
    func queueDepth() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 100)
            let selector = house.selector {
                $0.batchSize = 20
                $0.queueDepth = 50
            }
            let first = try await selector.pass()
            #expect(first.published == 50)
            #expect(first.wasLimitedByQueue)
            #expect(try await selector.pass().published == 0)
            #expect(try await house.publisher.queueStatus(Self.queue).messagesReady == 50)
            #expect(try await house.count("state = 'in_progress'") == 50)
        }
    }

    @Test("campaigns of one priority take turns; a higher priority goes first")
    func fairness() async throws {
        try await House.run { house in
            let store = house.scratch.store
            let big = try await Fixtures.runningCampaign(in: store, name: "big", contacts: 200)
            let small = try await Fixtures.runningCampaign(in: store, name: "small", contacts: 10, first: 1000)
            let urgent = try await Fixtures.runningCampaign(in: store, name: "urgent", contacts: 15, first: 2000) {
                $0.priority = 5
            }
            let selector = house.selector {
                $0.batchSize = 10
                $0.queueDepth = 45
            }
            _ = try await selector.pass()
            for (campaign, expected) in [(urgent, 15), (small, 10), (big, 20)] {
                let claimed = try await house.scratch.value(
                    "select count(*) from contacts where campaign_id = $1 and state = 'in_progress'",
                    [campaign],
                    as: Int.self
                )
                #expect(claimed == expected)
            }
        }
    }

    @Test("a campaign's own cap counts what is in progress")
    func campaignCap() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 30) {
                $0.maximumConcurrentCalls = 7
            }
            let selector = house.selector()
            #expect(try await selector.pass().published == 7)
            #expect(try await selector.pass().published == 0)
        }
    }

    @Test("claims that the broker does not take are given back at once")
    func unpublished() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 5)
            let selector = house.selector()
            try await house.scratch.execute("update contacts set next_attempt_at = now() + interval '1 hour'")
            // The trunk's queue is declared, and nobody is due.
            _ = try await selector.pass()
            try await house.scratch.execute("update contacts set next_attempt_at = now()")
            // A queue that takes nothing: every request is refused.
            try await house.publisher.deleteQueue(Self.queue)
            var deaf = AMQPTopology()
            let arguments: AMQPTable = ["x-max-length": .int64(0), "x-overflow": .string("reject-publish")]
            deaf.queue(Self.queue, kind: .classic, arguments: arguments)
            try await house.publisher.declare(deaf)
            let summary = try await selector.pass()
            #expect(summary.unpublished == 5 && summary.published == 0 && summary.putAside == 1)
            #expect(try await house.count("state = 'pending' and call_id is null") == 5)
            #expect(try await house.scratch.store.faults().map(\.name) == ["default"])
            // The next try declares the queue and what leads to it, and all is well.
            try await house.publisher.deleteQueue(Self.queue)
            try await house.scratch.execute("update trunks set retry_at = now()")
            #expect(try await selector.pass().published == 5)
            #expect(try await house.scratch.store.faults().isEmpty)
        }
    }

    @Test("a campaign that has nothing left to call is completed, one with open retries is not")
    func completion() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 2)
            try await house.scratch.execute(
                "update contacts set state = 'not_reached', next_attempt_at = now() + interval '1 hour'"
            )
            let selector = house.selector()
            #expect(try await selector.pass().completedCampaigns == 0)
            try await house.scratch.execute("update contacts set next_attempt_at = null")
            #expect(try await selector.pass().completedCampaigns == 1)
            #expect(try await house.scratch.store.campaign(named: "test").status == .completed)
        }
    }

    @Test("passes come after the interval, and at once when half of a full queue is gone")
    func pauses() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 25)
            let clock = ManualClock()
            let selector = house.selector(clock: clock) {
                $0.queueDepth = 10
                $0.interval = .seconds(60_000)
                $0.intervalWhenLimited = .seconds(30_000)
            }
            try await House.serving(selector) {
                // The merging of counters and the look at the queues sleep on the same clock.
                try await eventually("the first pass is made") {
                    try await house.count("state = 'in_progress'") == 10 && clock.sleepers == 3
                }
                for claimed in [20, 25] {
                    _ = try await house.publisher.purge(Self.queue)
                    try await eventually("the next pass does not wait for its interval") {
                        clock.advance(by: .milliseconds(100))
                        return try await house.count("state = 'in_progress'") == claimed
                    }
                    try await eventually("it rests") { clock.sleepers == 3 }
                }
                try await house.scratch.execute(
                    """
                    update contacts set state = 'pending', prior_state = null, call_id = null, lease_until = null
                    where external_contact_id = 'x3'
                    """
                )
                // Nothing was left to be done: the full interval.
                clock.advance(by: .seconds(59_000))
                try await eventually("it rests") { clock.sleepers == 3 }
                #expect(try await house.count("state = 'in_progress'") == 24)
                clock.advance(by: .seconds(1000))
                try await eventually("it is claimed") { try await house.count("state = 'in_progress'") == 25 }
            }
        }
    }

    @Test("a scheduled campaign starts at its time")
    func schedule() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1) {
                $0.startsAt = Date(timeIntervalSinceNow: 3600)
            }
            #expect(try await house.scratch.store.campaign(named: "test").status == .scheduled)
            #expect(try await house.selector().pass().published == 0)
            try await house.scratch.execute("update campaigns set starts_at = now() - interval '1 second'")
            #expect(try await house.selector().pass().published == 1)
        }
    }
}
