// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import TestBasics
import TestSupport
import Testing

@testable import Selection

@Suite(.timeLimit(.minutes(20)))
struct SharingTests {
    @Test("lines are divided so that those in use follow the weights, whoever has how many already")
    func divide() {
        func shares(_ free: Int, _ parts: (inUse: Int, weight: Int)...) -> [Int] {
            LineShares.divide(free, among: parts.map { LineShares.Part(inUse: $0.inUse, weight: $0.weight) })
        }
        #expect(shares(10, (0, 1), (0, 1)) == [5, 5])
        #expect(shares(10, (8, 1), (0, 1)) == [1, 9])
        #expect(shares(12, (0, 3), (0, 1)) == [9, 3])
        #expect(shares(3, (50, 1), (0, 1)) == [0, 3])
        #expect(shares(1, (0, 1), (0, 1), (0, 1)) == [1, 0, 0])
        #expect(shares(0, (0, 1)) == [0])
        #expect(shares(5) == [])
    }

    @Test("whatever is free is given away, and no division that differs by one line would be fairer", arguments: 0..<50)
    func fairest(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let parts = (0..<Int.random(in: 1...6, using: &random)).map { _ in
            LineShares.Part(
                inUse: Int.random(in: 0...30, using: &random),
                weight: Int.random(in: 1...9, using: &random)
            )
        }
        let free = Int.random(in: 0...60, using: &random)
        let given = LineShares.divide(free, among: parts)
        #expect(given.reduce(0, +) == free)
        for (from, index) in zip(parts, parts.indices) where given[index] > 0 {
            for (to, other) in zip(parts, parts.indices) where other != index {
                // The last line that `from` got would leave `to` no lower than `from` was without it.
                let without = (from.inUse + given[index] - 1) * to.weight
                #expect(without <= (to.inUse + given[other]) * from.weight, "seed \(seed)")
            }
        }
    }

    @Test("turns are by who waited longest; who was never asked comes first, in the order given")
    func turnOrder() {
        var order = TurnOrder()
        #expect(order.sorted(["c", "a", "b"]) { $0 } == ["c", "a", "b"])
        for name in ["a", "c", "a"] { order.asked(name) }
        #expect(order.sorted(["a", "b", "c", "d"]) { $0 } == ["b", "d", "c", "a"])
    }

    private static func underWay(_ house: House) async throws -> [String] {
        try await house.scratch.value(
            """
            select array_agg(k.name || ' ' || n order by k.name)
            from campaigns k
            cross join lateral (
                select count(*) as n from contacts c where c.campaign_id = k.id and c.state = 'in_progress') c
            """,
            as: [String].self
        )
    }

    @Test("a campaign with many contacts does not starve one with few, pass after pass with little room")
    func noStarvation() async throws {
        try await House.run { house in
            let store = house.scratch.store
            _ = try await Fixtures.runningCampaign(in: store, name: "big", contacts: 400)
            _ = try await house.selector { $0.queueDepth = 10 }.pass()
            _ = try await Fixtures.runningCampaign(in: store, name: "small", contacts: 5, first: 1000)
            // Room for two at a time.
            for depth in [12, 14, 16] { _ = try await house.selector { $0.queueDepth = depth }.pass() }
            #expect(try await Self.underWay(house) == ["big 11", "small 5"])
        }
    }

    @Test("weights decide how many lines each campaign has")
    func weights() async throws {
        try await House.run { house in
            let store = house.scratch.store
            _ = try await Fixtures.runningCampaign(in: store, name: "heavy", contacts: 100) { $0.weight = 4 }
            _ = try await Fixtures.runningCampaign(in: store, name: "light", contacts: 100, first: 1000)
            let selector = house.selector {
                $0.batchSize = 7
                $0.queueDepth = 50
            }
            #expect(try await selector.pass().published == 50)
            #expect(try await Self.underWay(house) == ["heavy 40", "light 10"])
        }
    }

    @Test("those that rest by a limit are put off, and the few that may be called are found in the same pass")
    func behindManyThatRest() async throws {
        try await House.run { house in
            let store = house.scratch.store
            let limit = try NumberLimit(attemptsPer: "1/24h")
            _ = try await Fixtures.runningCampaign(in: store, contacts: 1000) { $0.numberLimits = [limit] }
            try await house.scratch.execute(
                """
                insert into call_attempts (call_id, contact_id, campaign_id, attempt_number, phone_number, dialer_id, status,
                    started_at, ended_at, deadline_at, outcome)
                select uuid_v7(), id, campaign_id, 1, phone_number, 'd', 'ended', now() - interval '1 hour',
                    now() - interval '59 minutes', now(), 'busy'
                from contacts where external_contact_id not in ('x998', 'x999')
                """
            )
            try await house.scratch.execute(
                "update contacts set next_attempt_at = now() - interval '1 hour' where external_contact_id < 'x998'"
            )
            #expect(try await house.selector().pass().published == 2)
            #expect(try await house.count("next_attempt_at > now() + interval '22 hours'") == 998)
        }
    }
}
