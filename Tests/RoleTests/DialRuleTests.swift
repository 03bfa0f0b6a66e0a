// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Dialing
import Foundation
import NIOConcurrencyHelpers
import Selection
import Telephony
import TestBasics
import TestSupport
import Testing

/// Rules that come into force while requests wait in the queue.
@Suite(.timeLimit(.minutes(20)))
struct DialRuleTests {
    /// The most calls that were open at once.
    private static func most(_ house: House) async throws -> Int {
        try await house.scratch.value(
            """
            select coalesce(max((
                select count(*) from call_attempts b
                where b.started_at <= a.started_at and (b.ended_at is null or b.ended_at > a.started_at))), 0)
            from call_attempts a
            """,
            as: Int.self
        )
    }

    @Test("a cap that is set while a hundred requests wait holds for dialers with lines for all, who call them later")
    func capWhileQueued() async throws {
        try await House.run { house in
            let store = house.scratch.store
            _ = try await Fixtures.runningCampaign(in: store, contacts: 100) { $0.maximumAttempts = 1 }
            #expect(try await house.selector().pass().published == 100)
            var changes = CallStore.CampaignChanges()
            changes.maximumConcurrentCalls = 5
            try await store.change(campaign: "test", changes)
            let provider = ScriptedProvider(remembers: true)
            try await house.withRecorder {
                try await house.withDialer("d1", provider: provider, { $0.maximumConcurrentCalls = 100 }) { _ in
                    try await house.withDialer("d2", provider: provider, { $0.maximumConcurrentCalls = 100 }) { _ in
                        try await Self.live(house, provider)
                    }
                }
            }
            #expect(try await Self.most(house) == 5)
            #expect(try await house.count("counted", in: "call_attempts") == 100)
            #expect(try await store.campaign(named: "test").status == .completed)
        }
    }

    private static func live(_ house: House, _ provider: ScriptedProvider) async throws {
        try await eventually("what is over the cap is given back, uncharged") {
            try await house.count("state = 'pending' and call_id is null and attempts_count = 0") == 95
        }
        #expect(provider.placements.count == 5)
        let selector = house.selector()
        let ended = NIOLockedValueBox(0)
        try await eventually("all are called", progress: { provider.placements.count }) {
            let placed = provider.placements
            for request in placed.dropFirst(ended.withLockedValue(\.self)) {
                try await house.report(.completed, request.callID)
            }
            ended.withLockedValue { $0 = placed.count }
            return try await selector.pass().completedCampaigns == 1
        }
    }
}
