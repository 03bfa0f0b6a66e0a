// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Dialing
import Foundation
import NIOConcurrencyHelpers
import Postgres
import Selection
import Telephony
import TestBasics
import TestSupport
import Testing
import Tracing

/// What comes between the database's permission and the ring.
@Suite(.timeLimit(.minutes(20)))
struct LeavingTests {
    @Test("requests that have become stale do not bring the good ones closer together than the provider takes them")
    func staleRequests() async throws {
        try await House.run { house in
            let campaign = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 20)
            let first = try await house.scratch.store.claim(campaign: campaign, limit: 10, leaseDuration: .seconds(600))
            for request in first.requests {
                let publication = CallMessages.publication(of: request, trunk: "default", context: .topLevel)
                try await house.publisher.publish(
                    publication.message,
                    exchange: publication.exchange,
                    routingKey: publication.routingKey
                )
            }
            // These ten are stale from here on.
            try await house.scratch.store.revertClaims(
                first.requests.map(\.callID),
                contacts: first.requests.map(\.contactID)
            )
            _ = try await house.selector { $0.queueDepth = 20 }.pass()
            let clock = DialerTestClock()
            let moments = NIOLockedValueBox<[ContinuousClock.Instant]>([])
            let provider = ScriptedProvider { request throws(TelephonyError) in
                moments.withLockedValue { $0.append(clock.now) }
                return PlacedCall(providerCallID: "CA" + request.callID.lowercased, rawStatus: "queued")
            }
            let start = clock.now
            try await house.withDialer(provider: provider, clock: clock) {
                $0.callsPerSecond = 2
                $0.maximumConcurrentCalls = 10
            } _: { _ in
                // While a call is on its way the time stands: it is seen one step after it has left at the latest.
                try await eventually("the good ones are placed") {
                    let placed = provider.placements.count
                    if try await house.count("true", in: "call_attempts") == placed {
                        clock.advance(by: .milliseconds(50))
                    }
                    return placed == 10
                }
            }
            let placed = moments.withLockedValue(\.self)
            for (index, moment) in placed.enumerated() {
                #expect(moment >= start + .milliseconds(500 * index), "call \(index)")
            }
            for (index, (earlier, later)) in zip(placed, placed.dropFirst()).enumerated() {
                #expect(later - earlier >= .milliseconds(450), "calls \(index) and \(index + 1)")
            }
        }
    }

    @Test("a pause that the provider asks for holds back those who stand in line already")
    func retryAfter() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 10)
            _ = try await house.selector().pass()
            let clock = DialerTestClock()
            let moments = NIOLockedValueBox<[ContinuousClock.Instant]>([])
            let provider = ScriptedProvider { _ throws(TelephonyError) in
                moments.withLockedValue { $0.append(clock.now) }
                throw TelephonyError(code: .refusedForNow(retryAfter: .seconds(600)), httpStatus: 429, message: "no")
            }
            let start = try await house.time()
            try await house.withDialer(provider: provider, clock: clock) {
                $0.callsPerSecond = 5
                $0.maximumConcurrentCalls = 10
            } _: { _ in
                try await eventually("the first is refused") { provider.placements.count == 1 }
                try await eventually("its contact is back") {
                    try await house.count("attempts_count = 0 and next_attempt_at >= \(start) + interval '600 seconds'")
                        == 1
                }
                try await eventually("the next is asked for") {
                    clock.advance(by: .seconds(5))
                    return provider.placements.count > 1
                }
            }
            let asked = moments.withLockedValue(\.self)
            #expect(asked[1] >= asked[0] + .seconds(600))
        }
    }

    @Test("a request that could not leave in time was not placed: the contact goes back, uncharged, for a while")
    func tooLate() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1)
            _ = try await house.selector().pass()
            let provider = ScriptedProvider { request throws(TelephonyError) in
                #expect(request.leaveBefore != nil)
                throw TelephonyError(code: .tooLate, message: "no connection was ready")
            }
            let start = try await house.time()
            try await house.withDialer(provider: provider) { dialer in
                try await eventually("the contact is back") {
                    try await house.count(
                        "state = 'pending' and attempts_count = 0 and next_attempt_at >= \(start) + interval '60 seconds'"
                    ) == 1
                }
                try await eventually("its slot is free") { dialer.heldCalls == 0 }
            }
            #expect(try await house.count("not counted and error_code = 'too_late'", in: "call_attempts") == 1)
            #expect(try await house.publisher.queueStatus(CallTopology.dead).messagesReady == 0)
            let queue = CallTopology.dialQueue(trunk: "default")
            #expect(try await house.publisher.queueStatus(queue).messagesReady == 0)
        }
    }

    @Test("permissions that come too late are not used: contacts rest, it is said, and calls go on when they are quick")
    func slowDatabase() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 6)
            // One alone: others that are asked for later, and get their answer in time, end what is said at once.
            #expect(try await house.selector { $0.queueDepth = 1 }.pass().published == 1)
            let provider = ScriptedProvider()
            let clock = DialerTestClock()
            let isLocked = NIOLockedValueBox(false)
            let start = try await house.time()
            try await withThrowingTaskGroup(of: Void.self) { group in
                // Whoever asks waits for this table, and gets its permission when it is worth nothing any more.
                group.addTask {
                    try await house.scratch.client.withTransaction { connection in
                        try await connection.execute(
                            PostgresStatement("lock table call_attempts in share mode", prepared: false)
                        )
                        isLocked.withLockedValue { $0 = true }
                        try await eventually("the dialer waits for it") {
                            try await house.count(
                                """
                                not granted and locktype = 'relation'
                                    and database = (select oid from pg_database where datname = current_database())
                                """,
                                in: "pg_locks"
                            ) > 0
                        }
                        clock.advance(by: .seconds(2))
                    }
                }
                try await eventually("the table is locked") { isLocked.withLockedValue(\.self) }
                try await house.withDialer(provider: provider, clock: clock) {
                    $0.permissionLifetime = .milliseconds(400)
                    $0.outdatedPause = .milliseconds(200)
                    $0.failureBackOff = .seconds(30)
                } _: { dialer in
                    try await eventually("it is said") { dialer.currentFault?.contains("permission to call") == true }
                    try await eventually("the contacts are back, for a while") {
                        try await house.count(
                            "state = 'pending' and attempts_count = 0 and next_attempt_at >= \(start) + interval '30 seconds'"
                        ) > 0
                    }
                    #expect(try await house.count("error_code = 'permission_outdated'", in: "call_attempts") > 0)
                    try await eventually("the others are called") {
                        clock.advance(by: .milliseconds(50))
                        try await house.scratch.execute(
                            "update contacts set next_attempt_at = now() where state = 'pending'"
                        )
                        _ = try await house.selector().pass()
                        return try await house.count("status = 'placed'", in: "call_attempts") == 6
                    }
                    #expect(dialer.currentFault == nil)
                }
                try await group.waitForAll()
            }
            #expect(provider.placements.count == 6)
        }
    }
}
