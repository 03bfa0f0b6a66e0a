// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(20)))
struct ClaimTests {
    @Test("a claim takes the most overdue contacts, each under an id of its own")
    func mostOverdueFirst() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 20)
            try await scratch.execute(
                "update contacts set next_attempt_at = now() - interval '1 hour' where external_contact_id = 'x7'"
            )
            let claim = try await scratch.store.claim(campaign: campaign, limit: 5, leaseDuration: .seconds(60))
            #expect(claim.requests.count == 5)
            #expect(Set(claim.requests.map(\.callID)).count == 5)
            let first = try await scratch.value(
                "select id from contacts where external_contact_id = 'x7'",
                as: UUID.self
            )
            #expect(claim.requests.contains { $0.contactID == first })
            #expect(claim.requests.allSatisfy { $0.attemptNumber == 1 && $0.expiresAt > $0.claimedAt })
            let inProgress = try await scratch.value(
                "select count(*) from contacts where state = 'in_progress' and prior_state = 'pending'",
                as: Int.self
            )
            #expect(inProgress == 5)
        }
    }

    @Test("selectors that claim at once never claim a contact twice")
    func concurrent() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 300)
            let claimed = try await withThrowingTaskGroup(of: [UUID].self) { group in
                for _ in 0..<6 {
                    group.addTask {
                        var mine: [UUID] = []
                        let pending = "select exists (select from contacts where state = 'pending')"
                        // Who finds another at work gets nothing, and comes again.
                        while try await scratch.value(pending, as: Bool.self) {
                            let claim = try await scratch.store.claim(
                                campaign: campaign,
                                limit: 10,
                                leaseDuration: .seconds(60)
                            )
                            mine += claim.requests.map(\.contactID)
                        }
                        return mine
                    }
                }
                var all: [UUID] = []
                for try await mine in group { all += mine }
                return all
            }
            #expect(claimed.count == Set(claimed).count)
            #expect(claimed.count == 300)
            let taken = try await scratch.value(
                "select count(*) from contacts where state = 'in_progress'",
                as: Int.self
            )
            #expect(taken == claimed.count)
        }
    }

    @Test("contacts in a closed time zone are left alone, those in an open one are claimed")
    func zones() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 0 + 3, timeZone: "UTC")
            // A window around this hour in UTC, twelve hours off in Etc/GMT-12.
            try await scratch.execute(
                """
                update campaigns set allowed_call_start_local = ((now() at time zone 'UTC') - interval '2 hours')::time,
                    allowed_call_end_local = ((now() at time zone 'UTC') + interval '2 hours')::time
                """
            )
            let rows = try (100..<104).map { index in
                CallStore.NewContact(
                    externalID: nil,
                    phoneNumber: try Fixtures.number(index),
                    email: nil,
                    language: nil,
                    hasPriorConsent: false,
                    doNotCall: false,
                    timeZone: "Etc/GMT-12"
                )
            }
            _ = try await scratch.store.addContacts(rows, campaign: campaign)
            let claim = try await scratch.store.claim(campaign: campaign, limit: 50, leaseDuration: .seconds(60))
            #expect(claim.requests.count == 3)
            #expect(claim.requests.allSatisfy { $0.expiresAt <= $0.claimedAt.addingTimeInterval(60) })
        }
    }

    @Test("an excluded number is never claimed, even when the exclusion came unnoticed")
    func excluded() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 3)
            try await scratch.execute(
                "insert into exclusion_list_entries (phone_number) values ($1)",
                [try Fixtures.number(1).e164]
            )
            let claim = try await scratch.store.claim(campaign: campaign, limit: 50, leaseDuration: .seconds(60))
            #expect(claim.requests.count == 2)
            let state = try await scratch.value(
                "select state from contacts where external_contact_id = 'x1'",
                as: String.self
            )
            #expect(state == "excluded")
        }
    }

    @Test("a claim whose lease has ended goes back to its former state; one with an attempt stays")
    func sweep() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 2)
            let claim = try await scratch.store.claim(campaign: campaign, limit: 2, leaseDuration: .seconds(60))
            let dialed = claim.requests[0]
            _ = try await scratch.store.beginAttempts(
                [.init(callID: dialed.callID, contactID: dialed.contactID, expiresAt: dialed.expiresAt)],
                dialerID: "d",
                trunk: "default",
                margin: .seconds(10)
            )
            try await scratch.execute("update contacts set lease_until = now() - interval '1 second'")
            #expect(try await scratch.store.sweepExpiredClaims().givenBack == 1)
            let states = try await scratch.value(
                "select array_agg(state order by state) from contacts",
                as: [String].self
            )
            #expect(states == ["in_progress", "pending"])
        }
    }

    @Test("a reverted claim is stale for the message that still arrives")
    func revert() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1)
            let request = try await scratch.store
                .claim(campaign: campaign, limit: 1, leaseDuration: .seconds(60)).requests[0]
            #expect(try await scratch.store.revertClaims([request.callID], contacts: [request.contactID]) == 1)
            let verdicts = try await scratch.store.beginAttempts(
                [.init(callID: request.callID, contactID: request.contactID, expiresAt: request.expiresAt)],
                dialerID: "d",
                trunk: "default",
                margin: .seconds(10)
            )
            guard case .stale = verdicts[0] else {
                Issue.record("expected stale, got \(verdicts[0])")
                return
            }
        }
    }

    @Test("an attempt that nobody watches is offered for adoption, once")
    func orphans() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1)
            let request = try await scratch.store
                .claim(campaign: campaign, limit: 1, leaseDuration: .seconds(60)).requests[0]
            _ = try await scratch.store.beginAttempts(
                [.init(callID: request.callID, contactID: request.contactID, expiresAt: request.expiresAt)],
                dialerID: "dead",
                trunk: "default",
                margin: .seconds(10)
            )
            #expect(try await scratch.store.trunksWithOrphans().isEmpty)
            #expect(try await scratch.store.orphanedAttempts(trunk: "default", limit: 9).isEmpty)
            try await scratch.execute("update call_attempts set deadline_at = now() - interval '2 minutes'")
            #expect(try await scratch.store.trunksWithOrphans().map(\.trunk) == ["default"])
            #expect(try await scratch.store.orphanedAttempts(trunk: "other", limit: 9).isEmpty)
            let orphans = try await scratch.store.orphanedAttempts(trunk: "default", limit: 9)
            #expect(orphans.map(\.callID) == [request.callID])
            #expect(try await scratch.store.orphanedAttempts(trunk: "default", limit: 9).isEmpty)
        }
    }

    @Test("the claim uses its indexes and never scans the contacts")
    func plan() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1)
            try await scratch.execute(
                """
                insert into contacts (campaign_id, phone_number, next_attempt_at)
                select $1, '+1888' || lpad(n::text, 7, '0'), now() + interval '1 day' from generate_series(1, 50000) n
                """,
                [campaign]
            )
            try await scratch.execute("analyze contacts")
            let plan = try await scratch.store.explainClaim(campaign: campaign, limit: 50)
            #expect(plan.contains("contacts_due"))
            #expect(!plan.contains("Seq Scan on contacts"), Comment(rawValue: plan))
        }
    }
}
