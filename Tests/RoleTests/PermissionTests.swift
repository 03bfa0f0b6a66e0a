// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
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
                        let old = ContinuousClock.now + .milliseconds(1100)
                        try await eventually("a second has passed") { ContinuousClock.now > old }
                    }
                }
                try await eventually("the row is locked") { isLocked.withLockedValue(\.self) }
                try await house.withDialer(provider: provider) {
                    $0.permissionLifetime = DialerConfiguration(id: "d1").permissionLifetime
                } _: { dialer in
                    try await eventually("the claim is given back") {
                        try await house.count("error_code = 'permission_outdated' and not counted", in: "call_attempts")
                            == 1
                    }
                    try await eventually("the slot is free") { dialer.liveCalls == 0 }
                    #expect(provider.placements.isEmpty)
                    #expect(try await house.count("state = 'pending' and attempts_count = 0 and call_id is null") == 1)
                }
                try await group.waitForAll()
            }
            #expect(provider.placements.isEmpty)
        }
    }
}
