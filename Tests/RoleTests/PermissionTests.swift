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

/// What stands between a row and a ringing phone: the row is committed first, and what it permits is used at once or not
/// at all.
@Suite(.timeLimit(.minutes(20)))
struct PermissionTests {
    @Test("the row is committed before the provider is asked, as another connection sees it at that very moment")
    func rowBeforeCall() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 20)
            _ = try await house.selector().pass()
            let elsewhere = PostgresClient(
                configuration: try PostgresConfiguration(uri: house.scratch.databaseURL),
                logger: house.scratch.logger
            )
            let witness = CallStore(client: elsewhere, logger: house.scratch.logger)
            let seen = NIOLockedValueBox<[UUID: String]>([:])
            let provider = ScriptedProvider(whenAsked: { request in
                let row = try? await witness.seeAttempt(callID: request.callID)
                seen.withLockedValue { $0[request.callID] = row?.number ?? "nothing" }
            })
            try await house.withDialer(provider: provider) {
                $0.maximumConcurrentCalls = 20
            } _: { _ in
                try await eventually("the placements") { provider.placements.count == 20 }
            }
            await elsewhere.close()
            let wanted = Dictionary(uniqueKeysWithValues: provider.placements.map { ($0.callID, $0.to.e164) })
            #expect(seen.withLockedValue(\.self) == wanted)
        }
    }

    @Test("well-formed requests that nobody has claimed for place nothing and change nothing")
    func forged() async throws {
        try await House.run { house in
            let store = house.scratch.store
            let campaign = try await Fixtures.runningCampaign(in: store, contacts: 3)
            let claims = try await store.claim(campaign: campaign, limit: 2, leaseDuration: .seconds(60)).requests
            let waiting = try await house.scratch.value(
                "select id from contacts where state = 'pending'",
                as: UUID.self
            )
            var forged: [DialRequest] = []
            for (callID, contactID) in [
                (UUID(), UUID()), (UUID(), waiting), (UUID(), claims[0].contactID), (claims[0].callID, waiting),
                (claims[0].callID, claims[1].contactID),
            ] {
                var request = claims[0]
                request.callID = callID
                request.contactID = contactID
                forged.append(request)
            }
            // One that is good comes last, and one at a time is dialed.
            for request in forged + [claims[1]] {
                let publication = CallMessages.publication(of: request, trunk: "default")
                try await house.publisher.publish(
                    publication.message,
                    exchange: publication.exchange,
                    routingKey: publication.routingKey
                )
            }
            let provider = ScriptedProvider()
            try await house.withDialer(provider: provider) {
                $0.maximumConcurrentCalls = 1
            } _: { _ in
                try await eventually("the good one is placed") { !provider.placements.isEmpty }
            }
            #expect(provider.placements.map(\.callID) == [claims[1].callID])
            #expect(try await house.count("true", in: "call_attempts") == 1)
            #expect(try await house.count("state = 'pending' and attempts_count = 0") == 1)
            #expect(try await house.count("call_id = '\(claims[0].callID)' and prior_state = 'pending'") == 1)
        }
    }

    @Test("what was permitted more than a second ago is not used: nobody is called, and the contact is not charged")
    func outdated() async throws {
        #expect(DialerConfiguration(id: "d1").permissionLifetime == .seconds(1))
        try await House.run { house in
            let campaign = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1)
            _ = try await house.selector().pass()
            let provider = ScriptedProvider()
            let waiting =
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
            let isLocked = NIOLockedValueBox(false)
            let clock = DialerTestClock()
            try await withThrowingTaskGroup(of: Void.self) { group in
                // Whoever locks the contact's row makes the database's answer late, and what it permits old.
                group.addTask {
                    try await house.scratch.client.withTransaction { connection in
                        try await connection.execute(
                            PostgresStatement(
                                "select from contacts where campaign_id = $1 for update",
                                prepared: false
                            ),
                            [campaign]
                        )
                        isLocked.withLockedValue { $0 = true }
                        try await eventually("the dialer waits") {
                            try await house.scratch.value(
                                waiting + " and datname = current_database()",
                                as: Int.self
                            ) == 1
                        }
                        clock.advance(by: .milliseconds(1100))
                    }
                }
                try await eventually("the row is locked") { isLocked.withLockedValue(\.self) }
                try await house.withDialer(provider: provider, clock: clock) {
                    $0.permissionLifetime = DialerConfiguration(id: "d1").permissionLifetime
                } _: { dialer in
                    try await eventually("the claim is given back") {
                        try await house.count("error_code = 'permission_outdated' and not counted", in: "call_attempts")
                            == 1
                    }
                    try await eventually("the slot is free") { dialer.heldCalls == 0 }
                    #expect(provider.placements.isEmpty)
                    #expect(try await house.count("state = 'pending' and attempts_count = 0 and call_id is null") == 1)
                }
                try await group.waitForAll()
            }
            #expect(provider.placements.isEmpty)
        }
    }
}
