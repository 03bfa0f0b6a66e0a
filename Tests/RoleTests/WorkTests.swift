// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Foundation
import Postgres
import Selection
import TestBasics
import TestSupport
import Testing

/// Whoever has work and room gets calls, and nobody else costs anything.
@Suite(.timeLimit(.minutes(20)))
struct WorkTests {
    private static func claimed(_ house: House, _ condition: String) async throws -> Int {
        try await house.scratch.value(
            """
            select count(*) from contacts c join campaigns k on k.id = c.campaign_id
            join campaign_strata s on s.id = c.stratum_id where c.state = 'in_progress' and \(condition)
            """,
            as: Int.self
        )
    }

    @Test("contacts beyond a cell's room, however overdue, do not take the places of others", arguments: [false, true])
    func cells(mayRest: Bool) async throws {
        try await House.run { house in
            let store = house.scratch.store
            let limit = try NumberLimit(attemptsPer: "3/24h")
            let campaign = try await Fixtures.runningCampaign(in: store, contacts: 1) {
                $0.cellTargets = ["a": 3, "b": 100]
                if mayRest { $0.numberLimits = [limit] }
            }
            try await house.scratch.execute("delete from contacts")
            for (cell, first) in [("a", 1000), ("b", 3000)] {
                let contacts = try (first..<(first + 1000)).map { index in
                    CallStore.NewContact(
                        externalID: nil,
                        phoneNumber: try Fixtures.number(index),
                        email: nil,
                        language: nil,
                        hasPriorConsent: true,
                        doNotCall: false,
                        // In several places each.
                        timeZone: ["UTC", "Etc/GMT", "Africa/Abidjan"][index % 3],
                        cell: cell
                    )
                }
                _ = try await store.addContacts(contacts, campaign: campaign)
            }
            try await house.scratch.execute(
                """
                update contacts c set next_attempt_at = now() - interval '1 day'
                from campaign_strata s where s.id = c.stratum_id and s.cell = 'a'
                """
            )
            #expect(try await house.selector { $0.queueDepth = 50 }.pass().published == 50)
            #expect(try await Self.claimed(house, "s.cell = 'a'") == 3)
            #expect(try await Self.claimed(house, "s.cell = 'b'") == 47)
        }
    }

    /// Why a running campaign has nobody to call now.
    private static let idle: [(name: String, sql: String)] = [
        (
            "nothing is due",
            "update contacts set next_attempt_at = now() + interval '1 day' where campaign_id = any ($1)"
        ),
        (
            "windows are closed",
            """
            update campaigns set weekly_windows = (
                select case when d = 1 then '{[8640,10080)}' else '{[0,1440)}' end::int4multirange
                from extract(isodow from now() at time zone 'UTC') as d)
            where id = any ($1)
            """
        ),
        ("caps are reached", "update campaigns set max_concurrent_calls = 1 where id = any ($1)"),
        (
            "quotas of cells are reached",
            "insert into campaign_cells (campaign_id, cell, target_completes) select c, 'x', 0 from unnest($1) c"
        ),
        ("their zone is unknown", "update campaigns set time_zone = 'US/Nowhere' where id = any ($1)"),
    ]

    @Test("a thousand running campaigns without anybody to call cost a pass no statement each", arguments: 0..<5)
    func idleCampaigns(reason: Int) async throws {
        try await House.run { house in
            let scratch = house.scratch
            let selector = house.selector { $0.queueDepth = 100 }
            _ = try await Fixtures.runningCampaign(in: scratch.store, name: "busy", contacts: 400)
            let before = scratch.client.statistics.executed
            #expect(try await selector.pass().published == 100)
            let alone = scratch.client.statistics.executed - before
            try await scratch.execute(
                """
                with made as (
                    insert into campaigns (name, status, priority, time_zone, caller_id, answer_url,
                        allowed_call_start_local, allowed_call_end_local)
                    select 'idle ' || n, 'running', 9, 'UTC', '+15005550006', 'http://127.0.0.1:9/', null, null
                    from generate_series(1, 1000) n
                    returning id)
                , strata as (
                    insert into campaign_strata (campaign_id, cell) select id, 'x' from made returning id, campaign_id)
                insert into contacts (campaign_id, stratum_id, phone_number, next_attempt_at)
                select campaign_id, id, '+1999555' || to_char(n, 'FM0000'), now()
                from strata, generate_series(1, 2) n
                """
            )
            let ids = try await scratch.value(
                "select array_agg(id) from campaigns where name like 'idle%'",
                as: [UUID].self
            )
            if reason == 2 {
                try await scratch.execute(
                    """
                    update contacts set state = 'in_progress', prior_state = 'pending', call_id = uuid_v7(),
                        lease_until = now() + interval '1 hour'
                    where campaign_id = any ($1) and phone_number like '%1'
                    """,
                    [ids]
                )
            }
            try await scratch.execute(Self.idle[reason].sql, [ids])
            _ = try await house.publisher.purge(CallTopology.dialQueue(trunk: "default"))
            let start = scratch.client.statistics.executed
            #expect(try await selector.pass().published == 100)
            // What is wrong with them is noted for all at once.
            let noted = reason == 4 ? 1 : 0
            #expect(scratch.client.statistics.executed - start == alone + noted, "\(Self.idle[reason].name)")
            #expect(try await Self.claimed(house, "k.name = 'busy'") == 200)
        }
    }

    @Test("many campaigns that have nothing left to call are completed in one statement")
    func completion() async throws {
        try await House.run { house in
            let scratch = house.scratch
            for index in 0..<5 {
                _ = try await Fixtures.runningCampaign(
                    in: scratch.store,
                    name: "c\(index)",
                    contacts: 2,
                    first: index * 10
                )
            }
            try await scratch.execute(
                "update contacts set next_attempt_at = now() + interval '1 day', state = 'not_reached'"
            )
            func statements(_ ids: String, completing count: Int) async throws -> Int {
                try await scratch.execute(
                    "update contacts set next_attempt_at = null where external_contact_id in (\(ids))"
                )
                let before = scratch.client.statistics.executed
                #expect(try await house.selector().pass().completedCampaigns == count)
                return scratch.client.statistics.executed - before
            }
            let one = try await statements("'x0', 'x1'", completing: 1)
            // Of the third campaign one is left.
            let three = try await statements("'x10', 'x11', 'x20', 'x30', 'x31', 'x40', 'x41'", completing: 3)
            #expect(three <= one)
            #expect(try await scratch.store.campaign(named: "c2").status == .running)
        }
    }

    @Test("of more campaigns than there is room for, whose calls are over before the next pass, each has its turn")
    func turns() async throws {
        try await House.run { house in
            let scratch = house.scratch
            for index in 0..<12 {
                _ = try await Fixtures.runningCampaign(
                    in: scratch.store,
                    name: "c\(index)",
                    contacts: 20,
                    first: index * 100
                )
            }
            let selector = house.selector { $0.queueDepth = 4 }
            var served: [String: Int] = [:]
            for _ in 0..<6 {
                #expect(try await selector.pass().published == 4)
                let names = try await scratch.value(
                    """
                    select array_agg(k.name) from contacts c join campaigns k on k.id = c.campaign_id
                    where c.state = 'in_progress'
                    """,
                    as: [String].self
                )
                for name in names { served[name, default: 0] += 1 }
                // They are called, and over, before the next pass.
                try await scratch.execute(
                    """
                    update contacts set state = 'completed', prior_state = null, call_id = null, lease_until = null,
                        next_attempt_at = null
                    where state = 'in_progress'
                    """
                )
                _ = try await house.publisher.purge(CallTopology.dialQueue(trunk: "default"))
            }
            #expect(served.count == 12 && served.values.allSatisfy { $0 == 2 }, "\(served)")
        }
    }

    @Test("a trunk whose dialers take everything at once keeps no other from its requests, and no pass from its end")
    func quickTrunk() async throws {
        try await House.run { house in
            let scratch = house.scratch
            _ = try await Fixtures.runningCampaign(in: scratch.store, name: "quick", contacts: 3000) { $0.trunk = "a" }
            _ = try await Fixtures.runningCampaign(in: scratch.store, name: "slow", contacts: 30, first: 5000) {
                $0.trunk = "b"
            }
            let taking = try scratch.connection(topology: CallTopology.dialRequests(trunk: "a"))
            let consumer = taking.consume(queue: CallTopology.dialQueue(trunk: "a"), prefetch: 100)
            // Whoever is taken may be claimed again, so that there are always some.
            let taker = Task {
                for await delivery in consumer {
                    let request = try CallMessages.decode(DialRequest.self, from: delivery, as: DialRequest.messageType)
                    try await scratch.store.revertClaims([request.callID], contacts: [request.contactID])
                    try delivery.ack()
                }
            }
            defer { taker.cancel() }
            // The pass's clock stands: only the other bounds of a pass end it.
            let clock = ManualClock()
            let selector = house.selector(clock: clock) {
                $0.queueDepth = 10
                $0.passLimit = .seconds(5)
            }
            let pass = Task { try await selector.pass() }
            try await eventually("the slow trunk has its requests") {
                try await Self.claimed(house, "k.name = 'slow'") == 10
            }
            clock.advance(by: .seconds(6))
            let summary = try await pass.value
            #expect(summary.wasCutShort || summary.fullTrunks.contains("a"))
            await consumer.cancel()
            await taking.close()
        }
    }

    @Test("however little time a pass has, all trunks and campaigns have their turn pass by pass")
    func noTime() async throws {
        try await House.run { house in
            let scratch = house.scratch
            for index in 0..<6 {
                _ = try await Fixtures.runningCampaign(
                    in: scratch.store,
                    name: "c\(index)",
                    contacts: 3,
                    first: index * 100
                ) { $0.trunk = index < 3 ? "a" : "b" }
            }
            let selector = house.selector { $0.passLimit = .zero }
            for _ in 0..<6 { #expect(try await selector.pass().wasCutShort) }
            let served = try await scratch.value(
                "select count(distinct campaign_id) from contacts where state = 'in_progress'",
                as: Int.self
            )
            #expect(served == 6)
            // Leases are swept in each.
            try await scratch.execute(
                "update contacts set lease_until = now() - interval '1 second' where call_id is not null"
            )
            #expect(try await selector.pass().expiredLeases == 18)
        }
    }

    @Test("a call that nobody watches is offered to a trunk without dialers once, and not again and again")
    func orphanWithoutDialers() async throws {
        try await House.run { house in
            let scratch = house.scratch
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 3)
            let requests = try await scratch.store.claim(campaign: campaign, limit: 3, leaseDuration: .seconds(60))
                .requests
            _ = try await scratch.store.beginAttempts(
                requests.map { .init(callID: $0.callID, contactID: $0.contactID, expiresAt: $0.expiresAt) },
                dialerID: "dead",
                trunk: "default",
                margin: .seconds(10)
            )
            let selector = house.selector()
            let queue = CallTopology.dialQueue(trunk: "default")
            for offered in [3, 0, 0, 0, 0] {
                try await scratch.execute("update call_attempts set deadline_at = now() - interval '6 minutes'")
                #expect(try await selector.pass().renewedOrphans == offered)
            }
            #expect(try await house.publisher.queueStatus(queue).messagesReady == 3)
            // A dialer comes that takes nothing: it is offered no more than the queue holds.
            let taking = try scratch.connection(topology: CallTopology.dialRequests(trunk: "default"))
            let consumer = taking.consume(queue: queue, prefetch: 1)
            try await eventually("it has one") {
                let status = try await house.publisher.queueStatus(queue)
                return status.messagesReady == 2 && status.consumers == 1
            }
            let small = house.selector { $0.queueDepth = 4 }
            var offered = 0
            for _ in 0..<6 {
                offered += try await small.pass().renewedOrphans
                try await scratch.execute("update call_attempts set deadline_at = now() - interval '6 minutes'")
            }
            #expect(offered == 2)
            #expect(try await house.publisher.queueStatus(queue).messagesReady == 4)
            await consumer.cancel()
            await taking.close()
        }
    }
}
