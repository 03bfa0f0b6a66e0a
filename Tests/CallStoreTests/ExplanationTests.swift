// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(20)))
struct ExplanationTests {
    private static func explain(_ scratch: Scratch) async throws -> CallStore.ContactExplanation {
        let number = try Fixtures.number(0)
        return try #require(
            try await scratch.store.explainContacts(phoneNumber: number, id: nil, campaign: nil).first
        )
    }

    private static func failed(_ explanation: CallStore.ContactExplanation) -> [String] {
        explanation.rules.filter { !$0.passed }.map(\.rule)
    }

    @Test("a contact that may be called passes every rule, and a claim agrees")
    func callable() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1)
            let explanation = try await Self.explain(scratch)
            #expect(Self.failed(explanation).isEmpty)
            #expect(explanation.blocker == nil)
            #expect(explanation.nextPossible.map { $0 <= Date().addingTimeInterval(1) } == true)
            let claim = try await scratch.store.claim(campaign: campaign, limit: 1, leaseDuration: .seconds(60))
            #expect(claim.requests.map(\.contactID) == [explanation.contactID])
            let claimed = try await Self.explain(scratch)
            #expect(Self.failed(claimed) == ["no call under way"])
        }
    }

    /// What is done to a callable contact, the rules that it fails then, and whether it is for good.
    struct Obstacle: Sendable, CustomTestStringConvertible {
        let sql: String
        let rules: [String]
        let isForGood: Bool
        var testDescription: String { self.rules.joined(separator: ", ") }
    }

    @Test(
        "each obstacle is named, nothing is claimed while it stands, and what is final is said to be so",
        arguments: [
            Obstacle(
                sql: "update campaigns set status = 'paused', status_reason = 'lunch'",
                rules: ["campaign runs"],
                isForGood: false
            ),
            // When it could be called cannot be told.
            Obstacle(
                sql: """
                    update campaigns
                    set time_zone = 'US/Nowhere', day_parts = '[{"name": "d", "week": "{[0,9)}"}]'
                    """,
                rules: ["window open"],
                isForGood: true
            ),
            Obstacle(
                sql: "insert into trunks values ('default', now(), 'no money')",
                rules: ["trunk open"],
                isForGood: false
            ),
            Obstacle(
                sql: "update campaigns set ends_at = now()",
                rules: ["before the end date"],
                isForGood: true
            ),
            Obstacle(
                sql: "update contacts set state = 'refused', next_attempt_at = null",
                rules: ["story not over", "due"],
                isForGood: true
            ),
            Obstacle(
                sql: "insert into exclusion_list_entries (phone_number) select phone_number from contacts",
                rules: ["not excluded"],
                isForGood: true
            ),
            Obstacle(
                sql: "update contacts set state = 'not_reached', attempts_count = 3, next_attempt_at = null",
                rules: ["attempts left", "due"],
                isForGood: true
            ),
            Obstacle(
                sql: "update contacts set next_attempt_at = now() + interval '1 hour'",
                rules: ["due"],
                isForGood: false
            ),
            Obstacle(
                sql: """
                    update campaigns set
                        allowed_call_start_local = (now() at time zone 'utc' + interval '2 hours')::time(0),
                        allowed_call_end_local = (now() at time zone 'utc' + interval '3 hours')::time(0)
                    """,
                rules: ["window open"],
                isForGood: false
            ),
        ]
    )
    func obstacles(obstacle: Obstacle) async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1)
            try await scratch.execute(obstacle.sql)
            let explanation = try await Self.explain(scratch)
            #expect(Self.failed(explanation) == obstacle.rules)
            #expect((explanation.nextPossible == nil) == obstacle.isForGood)
            let isPaused = obstacle.rules == ["trunk open"]
            #expect(try await scratch.store.campaignsWithWork().allSatisfy { !$0.hasWork || !isPaused })
            if !isPaused {
                let claim = try await scratch.store.claim(campaign: campaign, limit: 1, leaseDuration: .seconds(60))
                #expect(claim.requests.isEmpty)
            }
        }
    }

    @Test(
        "a story that ended before its attempts were used up is said to be over, with the values",
        arguments: [
            ("outcome_maximums = '{\"busy\": 1}'", nil, "1 of 3 are used; busy 1 of 1; none is to follow"),
            (
                "day_parts = '[{\"name\": \"always\", \"week\": \"{[0,10080)}\", \"attempts\": 1}]'", nil,
                "1 of 3 are used; none is to follow the last, which was busy"
            ),
            ("max_attempts = 3", "21211", "1 of 3 are used; none is to follow the last, which was busy"),
        ]
    )
    func over(change: String, errorCode: String?, detail: String) async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1) {
                $0.retryIntervalMinutes = 0
            }
            try await scratch.execute("update campaigns set " + change)
            let callIDs = try await Calls.begin(scratch, try await Calls.claim(scratch, campaign))
            _ = try await scratch.store.record([
                CallReport(
                    CallEvent(callID: callIDs[0], status: .busy, occurredAt: Date(), errorCode: errorCode)
                )
            ])
            let explanation = try await Self.explain(scratch)
            #expect(Self.failed(explanation) == ["attempts left", "due"])
            #expect(explanation.nextPossible == nil)
            #expect(explanation.blocker?.hasPrefix("attempts left: " + detail) == true, "\(explanation.blocker ?? "–")")
            #expect(try await Calls.claim(scratch, campaign).isEmpty)
        }
    }

    @Test("the next possible instant is the first at which the contact is due and its window open")
    func nextPossible() async throws {
        try await Scratch.run { scratch in
            _ = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1, timeZone: "Asia/Tokyo") {
                $0.window = LocalTimeWindow.standard
                $0.callDays = [1, 2, 3, 4, 5]
            }
            // A Friday after closing time in Tokyo: the next opening is on Monday, 09:00 there.
            try await scratch.execute("update contacts set next_attempt_at = '2099-01-02 21:30+09'")
            let explanation = try await Self.explain(scratch)
            #expect(explanation.nextPossible == (try Date("2099-01-05T00:00:00Z", strategy: .iso8601)))
            #expect(Self.failed(explanation).contains("due"))
        }
    }

    @Test("the funnel counts every contact once and names the first obstacle")
    func funnel() async throws {
        try await Scratch.run { scratch in
            let store = scratch.store
            let campaign = try await Fixtures.runningCampaign(in: store, contacts: 12) {
                $0.window = LocalTimeWindow.standard
                $0.timeZone = "UTC"
            }
            try await scratch.execute(
                """
                update campaigns set
                    allowed_call_start_local = (now() at time zone 'utc' - interval '1 hour')::time(0),
                    allowed_call_end_local = (now() at time zone 'utc' + interval '1 hour')::time(0)
                """
            )
            let requests = try await store.claim(campaign: campaign, limit: 3, leaseDuration: .seconds(60)).requests
            _ = try await store.beginAttempts(
                requests.prefix(1).map {
                    .init(callID: $0.callID, contactID: $0.contactID, expiresAt: $0.expiresAt)
                },
                dialerID: "d1",
                trunk: "default",
                margin: .seconds(10)
            )
            try await scratch.execute(
                """
                with n as (select id, row_number() over (order by id) as i from contacts where state = 'pending')
                update contacts c set
                    state = case when i = 1 then 'completed' when i = 2 then 'excluded' else c.state end,
                    next_attempt_at = case when i <= 2 then null when i <= 4 then now() + interval '1 hour'
                        else c.next_attempt_at end
                from n where n.id = c.id
                """
            )
            let funnel = try await store.explainCampaign(named: "test")
            #expect(funnel.all == 12)
            #expect(funnel.over == 1)
            #expect(funnel.excluded == 1)
            #expect(funnel.dialing == 1)
            #expect(funnel.queued == 2)
            #expect(funnel.resting == 2)
            #expect(funnel.callable == 5)
            #expect(funnel.windowClosed == 0)
            #expect(funnel.obstacle == nil)
            _ = try await store.pauseAllCampaigns(reason: "lunch", actor: "test")
            #expect(try await store.explainCampaign(named: "test").obstacle == "the campaign is paused: lunch")
        }
    }
}
