// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import Postgres
import TestBasics
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(20)))
struct QuotaTests {
    static func contact(_ index: Int, cell: String?) throws -> CallStore.NewContact {
        CallStore.NewContact(
            externalID: nil,
            phoneNumber: try Fixtures.number(index),
            email: nil,
            language: nil,
            hasPriorConsent: true,
            doNotCall: false,
            timeZone: nil,
            cell: cell
        )
    }

    static func addCell(_ scratch: Scratch, _ campaign: UUID, _ cell: String, _ numbers: Range<Int>) async throws {
        let rows = try numbers.map { try Self.contact($0, cell: cell) }
        _ = try await scratch.store.addContacts(rows, campaign: campaign)
    }

    /// Two selectors and three dialers at once, for as long as anything can be called; each call ends as `fate` says.
    private static func rush(
        _ scratch: Scratch,
        _ campaign: UUID,
        seed: UInt64,
        watch: @escaping @Sendable () async throws -> Void,
        fate: @escaping @Sendable (inout SeededRandom) -> CallStatus
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<5 {
                group.addTask {
                    var random = SeededRandom(seed: seed &* 31 &+ UInt64(worker))
                    var idle = 0
                    while idle < 20 {
                        let requests = try await Calls.claim(scratch, campaign, Int.random(in: 1...9, using: &random))
                        let callIDs = try await Calls.begin(scratch, requests)
                        idle = callIDs.isEmpty ? idle + 1 : 0
                        try await watch()
                        for callID in callIDs { try await Calls.end(scratch, [callID], fate(&random)) }
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    @Test("several selectors never exceed a campaign's cap together", arguments: 0..<3)
    func cap(seed: Int) async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 120) {
                $0.maximumConcurrentCalls = 7
                $0.maximumAttempts = 1
            }
            try await Self.rush(
                scratch,
                campaign,
                seed: UInt64(seed),
                watch: {
                    let live = try await scratch.value(
                        "select count(*) from contacts where state = 'in_progress'",
                        as: Int.self
                    )
                    #expect(live <= 7)
                },
                fate: { _ in .noAnswer }
            )
            let calls = try await scratch.value("select count(*) from call_attempts", as: Int.self)
            #expect(calls == 120)
        }
    }

    @Test("a call to somebody who is excluded while it lasts still counts against its campaign's cap")
    func excludedDuringCall() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 3) {
                $0.maximumConcurrentCalls = 1
            }
            let callIDs = try await Calls.begin(scratch, try await Calls.claim(scratch, campaign, 3))
            #expect(callIDs.count == 1)
            let number = try await scratch.value("select phone_number from call_attempts", as: String.self)
            try await scratch.store.addExclusions([try PhoneNumber(number)], reason: nil, source: "manual")
            let state = try await scratch.value(
                "select state from contacts where call_id is not null",
                as: String.self
            )
            #expect(state == "excluded")
            #expect(try await Calls.claim(scratch, campaign, 3).isEmpty)
            try await Calls.end(scratch, callIDs, .completed)
            #expect(try await Calls.claim(scratch, campaign, 3).count == 1)
        }
    }

    @Test("targets, of the campaign and by cell, are met and never exceeded under concurrency", arguments: 0..<3)
    func targets(seed: Int) async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 40) {
                $0.maximumAttempts = 1
                $0.targetCompletes = 30
                $0.cellTargets = ["north": 5, "south": 9]
            }
            try await Self.addCell(scratch, campaign, "north", 100..<160)
            try await Self.addCell(scratch, campaign, "south", 200..<260)
            try await Self.rush(scratch, campaign, seed: UInt64(seed), watch: {}) { random in
                Int.random(in: 0..<2, using: &random) == 0 ? .completed : .busy
            }
            let completes = try await scratch.value(
                """
                select array_agg(n order by cell) from (
                    select s.cell, count(*) filter (where c.state = 'completed') as n
                    from contacts c join campaign_strata s on s.id = c.stratum_id group by s.cell) x
                """,
                as: [Int].self
            )
            #expect(completes[1] <= 5 && completes[2] <= 9 && completes.reduce(0, +) <= 30, "\(completes)")
            // With so many contacts and an even chance, only a target can have ended it.
            if completes.reduce(0, +) < 30 {
                #expect(completes[1] == 5 && completes[2] == 9, "\(completes)")
            } else {
                #expect(try await scratch.store.completeExhausted().map(\.name) == ["test"])
                let reason = try await scratch.value("select status_reason from campaigns", as: String.self)
                #expect(reason == "the target of 30 completes is reached")
            }
        }
    }

    @Test("a campaign whose cells are full is complete, though contacts are left")
    func fullCells() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1) {
                $0.cellTargets = ["north": 1]
            }
            try await Self.addCell(scratch, campaign, "north", 100..<110)
            #expect(try await Calls.claim(scratch, campaign).count == 2)
            #expect(try await Calls.claim(scratch, campaign).isEmpty)
            let callIDs = try await scratch.value(
                "select array_agg(call_id) from contacts where call_id is not null",
                as: [UUID].self
            )
            let requests = try await scratch.client.execute(
                PostgresStatement("select call_id, id from contacts where call_id is not null", prepared: false)
            ).map { row in
                CallStore.AttemptRequest(
                    callID: try row.decode(UUID.self, at: 0),
                    contactID: try row.decode(UUID.self, at: 1),
                    expiresAt: .distantFuture
                )
            }
            _ = try await scratch.store.beginAttempts(requests, dialerID: "d", trunk: "default", margin: .seconds(9))
            #expect(try await scratch.store.completeExhausted().isEmpty)
            try await Calls.end(scratch, callIDs, .completed)
            #expect(try await scratch.store.completeExhausted().map(\.name) == ["test"])
            let reason = try await scratch.value("select status_reason from campaigns", as: String.self)
            #expect(reason.contains("quotas reached"))
        }
    }

    @Test("calls per hour are spread: no more than a minute's share at once, nor an hour's in an hour")
    func rate() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 50) {
                $0.callsPerHour = 120
                $0.maximumAttempts = 1
            }
            #expect(try await Calls.callAll(scratch, campaign, .busy) == 2)
            #expect(try await Calls.callAll(scratch, campaign, .busy) == 0)
            try await scratch.execute("update call_attempts set started_at = now() - interval '61 seconds'")
            #expect(try await Calls.callAll(scratch, campaign, .busy) == 2)
            try await scratch.store.change(campaign: "test", Self.rate(3))
            try await scratch.execute("update call_attempts set started_at = now() - interval '21 minutes'")
            #expect(try await Calls.callAll(scratch, campaign, .busy) == 0)
            try await scratch.execute(
                "update call_attempts set started_at = now() - interval '61 minutes' where id < 4"
            )
            #expect(try await Calls.callAll(scratch, campaign, .busy) == 1)
        }
    }

    private static func rate(_ calls: Int) -> CallStore.CampaignChanges {
        var changes = CallStore.CampaignChanges()
        changes.callsPerHour = calls
        return changes
    }

    @Test("what changes while a campaign runs acts at once, and a limit can be lifted")
    func changes() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 20) {
                $0.maximumConcurrentCalls = 2
            }
            #expect(try await Calls.claim(scratch, campaign).count == 2)
            var changes = CallStore.CampaignChanges()
            changes.cleared = [.maximumConcurrentCalls]
            changes.targetCompletes = 5
            changes.weight = 3
            try await scratch.store.change(campaign: "test", changes)
            #expect(try await Calls.claim(scratch, campaign).count == 3)
            let stored = try await scratch.store.campaign(named: "test").settings
            #expect(stored.maximumConcurrentCalls == nil && stored.targetCompletes == 5 && stored.weight == 3)
            #expect(changes.faults().isEmpty)
            changes.weight = 0
            #expect(changes.faults().contains { $0.hasPrefix("weight:") })
        }
    }
}
