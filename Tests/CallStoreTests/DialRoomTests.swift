// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import TestBasics
import TestSupport
import Testing

/// Caps, rates and quotas in the statement that makes the attempt, whatever the claim had allowed.
@Suite(.timeLimit(.minutes(20)))
struct DialRoomTests {
    private typealias Change = @Sendable (inout CallStore.CampaignChanges) -> Void

    private static func change(_ scratch: Scratch, _ change: Change) async throws {
        var changes = CallStore.CampaignChanges()
        change(&changes)
        try await scratch.store.change(campaign: "test", changes)
    }

    private static func reasons(_ verdicts: [CallStore.AttemptVerdict]) -> [String: Int] {
        verdicts.reduce(into: [:]) { counts, verdict in
            switch verdict {
            case .created: counts["created", default: 0] += 1
            case .notAllowed(let reason): counts[reason, default: 0] += 1
            default: counts["\(verdict)", default: 0] += 1
            }
        }
    }

    private static func count(_ scratch: Scratch, _ condition: String) async throws -> Int {
        try await scratch.value("select count(*) from contacts where \(condition)", as: Int.self)
    }

    private static let narrowings: [(name: String, change: Change, reason: String)] = [
        ("calls at once", { $0.maximumConcurrentCalls = 5 }, "calls_at_once"),
        ("calls per hour", { $0.callsPerHour = 300 }, "calls_per_hour"),
        ("completes", { $0.targetCompletes = 5 }, "quota_reached"),
    ]

    @Test(
        "what a campaign may no longer do when it is dialed is given back uncharged, due as it was",
        arguments: 0..<3
    )
    func narrowed(index: Int) async throws {
        let (_, change, reason) = Self.narrowings[index]
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 100)
            let requests = try await Calls.claim(scratch, campaign, 100)
            #expect(requests.count == 100)
            try await Self.change(scratch, change)
            // In several batches, as they come.
            let first = try await Calls.verdicts(scratch, Array(requests[..<3]))
            #expect(Self.reasons(first) == ["created": 3])
            let second = try await Calls.verdicts(scratch, Array(requests[3..<60]))
            #expect(Self.reasons(second) == ["created": 2, reason: 55])
            // The head of the queue goes first.
            if case .created = second[0], case .created = second[1] {} else { Issue.record("\(second.prefix(2))") }
            #expect(Self.reasons(try await Calls.verdicts(scratch, Array(requests[60...]))) == [reason: 40])
            let asBefore = "state = 'pending' and attempts_count = 0 and call_id is null and next_attempt_at <= now()"
            #expect(try await Self.count(scratch, asBefore) == 95)
            #expect(try await Calls.claim(scratch, campaign).isEmpty)
            // What stood in the way goes away: they are called later.
            try await Self.change(scratch) {
                $0.cleared = [.maximumConcurrentCalls, .callsPerHour, .targetCompletes]
            }
            #expect(try await Calls.begin(scratch, try await Calls.claim(scratch, campaign, 100)).count == 95)
        }
    }

    @Test("a cell's quota holds when it is dialed, and others' requests pass it")
    func cell() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 4)
            try await QuotaTests.addCell(scratch, campaign, "north", 100..<110)
            let requests = try await Calls.claim(scratch, campaign)
            #expect(requests.count == 14)
            try await Self.change(scratch) { $0.cellTargets = ["north": 3] }
            let verdicts = Self.reasons(try await Calls.verdicts(scratch, requests))
            #expect(verdicts == ["created": 7, "cell_quota_reached": 7])
        }
    }

    @Test("several dialers at once never exceed a cap together", arguments: 0..<3)
    func race(seed: Int) async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 120) {
                $0.maximumAttempts = 1
                $0.retryIntervalMinutes = 0
            }
            let requests = try await Calls.claim(scratch, campaign, 120)
            try await Self.change(scratch) {
                $0.maximumConcurrentCalls = 7
                $0.targetCompletes = 11
            }
            let made = try await withThrowingTaskGroup(of: Int.self) { group in
                for start in stride(from: 0, to: 120, by: 10) {
                    group.addTask {
                        try await Calls.begin(scratch, Array(requests[start..<(start + 10)])).count
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(made == 7)
            // They are ended while others begin: completes and open calls together stay within the target.
            for round in 1...20 {
                let open = try await scratch.value(
                    "select coalesce(array_agg(call_id), '{}') from call_attempts where ended_at is null",
                    as: [UUID].self
                )
                async let ended: Void = Calls.end(scratch, open, round == 1 ? .busy : .completed)
                let more = try await Calls.claim(scratch, campaign, 9)
                async let left = Calls.begin(scratch, Array(more.prefix(4)))
                async let right = Calls.begin(scratch, Array(more.dropFirst(4)))
                _ = try await (ended, left, right)
                let counts = try await scratch.value(
                    """
                    select array[count(*) filter (where ended_at is null), count(*) filter (where outcome = 'completed')]
                    from call_attempts
                    """,
                    as: [Int].self
                )
                #expect(counts[0] <= 7 && counts[0] + counts[1] <= 11, "\(counts)")
            }
            #expect(try await Self.count(scratch, "state = 'completed'") == 11)
        }
    }

    @Test("a call keeps its place in the quota until it ends, and an interview its own, whoever is excluded meanwhile")
    func excludedDuringCall() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1) {
                $0.targetCompletes = 3
                $0.cellTargets = ["north": 1]
            }
            try await scratch.execute("delete from contacts")
            try await QuotaTests.addCell(scratch, campaign, "north", 100..<110)
            let callIDs = try await Calls.begin(scratch, try await Calls.claim(scratch, campaign))
            #expect(callIDs.count == 1)
            let number = try await scratch.value("select phone_number from call_attempts", as: String.self)
            try await scratch.store.addExclusions([try PhoneNumber(number)], reason: nil, source: "manual")
            #expect(try await Calls.claim(scratch, campaign).isEmpty)
            try await Calls.end(scratch, callIDs, .completed)
            #expect(try await Calls.claim(scratch, campaign).isEmpty)
            #expect(try await Self.count(scratch, "state = 'excluded'") == 1)
            try await Self.change(scratch) { $0.cellTargets = ["north": 2] }
            let second = try await Calls.begin(scratch, try await Calls.claim(scratch, campaign))
            #expect(second.count == 1)
            // Without an interview the place is free again.
            try await Calls.end(scratch, second, .busy)
            try await scratch.execute("update contacts set next_attempt_at = null where state = 'not_reached'")
            #expect(try await Calls.claim(scratch, campaign).count == 1)
        }
    }

    @Test("an interview that is told of late leaves the open call of its contact its place in the quota")
    func lateCompleted() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1) {
                $0.targetCompletes = 2
                $0.retryIntervalMinutes = 0
            }
            let first = try await Calls.begin(scratch, try await Calls.claim(scratch, campaign))
            try await Calls.end(scratch, first, .noAnswer)
            let second = try await Calls.begin(scratch, try await Calls.claim(scratch, campaign))
            #expect(second.count == 1)
            _ = try await scratch.store.addContacts([try QuotaTests.contact(50, cell: nil)], campaign: campaign)
            _ = try await scratch.store.record(
                SurveyOutcomeReport.merge([
                    SurveyOutcomeReport(callID: first[0], outcome: .completed, occurredAt: Date())
                ])
            )
            #expect(try await Self.count(scratch, "state = 'completed'") == 1)
            // One interview, and one call that may bring another.
            #expect(try await Calls.claim(scratch, campaign).isEmpty)
            try await Calls.end(scratch, second, .busy)
            #expect(try await Calls.claim(scratch, campaign).count == 1)
        }
    }

    @Test("a contact that is found at dial to be out of attempts has its story's end told, once")
    func usedUp() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 2) {
                $0.maximumAttempts = 3
                $0.retryIntervalMinutes = 0
            }
            let calls = try await Calls.begin(scratch, try await Calls.claim(scratch, campaign))
            try await Calls.end(scratch, calls, .busy)
            let requests = try await Calls.claim(scratch, campaign)
            try await scratch.execute("update campaigns set max_attempts = 1")
            #expect(Self.reasons(try await Calls.verdicts(scratch, requests)) == ["attempts_used_up": 2])
            let events = try await scratch.store.unpublishedSurveyEvents(olderThan: .zero)
            #expect(events.map(\.kind) == [.notReached, .notReached])
            #expect(Set(events.map(\.callID)) == Set(calls))
            #expect(events.allSatisfy { $0.attempts == 1 && $0.campaignID == campaign })
            #expect(Self.reasons(try await Calls.verdicts(scratch, requests)) == ["stale": 2])
            #expect(try await scratch.value("select count(*) from survey_events", as: Int.self) == 2)
        }
    }

    @Test("a contact whose day parts are used up has its story's end told, at the claim and at the dial alike")
    func dayPartsUsedUp() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 2)
            let requests = try await Calls.claim(scratch, campaign, 1)
            try await scratch.execute(
                """
                update campaigns set day_parts = '[{"name": "always", "week": "{[0,10080)}", "attempts": 1}]';
                """
            )
            try await scratch.execute("update contacts set day_part_attempts = '{1}', attempts_count = 1")
            #expect(Self.reasons(try await Calls.verdicts(scratch, requests)) == ["not_its_day_part": 1])
            #expect(try await Calls.claim(scratch, campaign).isEmpty)
            #expect(try await Self.count(scratch, "state = 'not_reached' and next_attempt_at is null") == 2)
            #expect(try await scratch.store.unpublishedSurveyEvents(olderThan: .zero).count == 2)
        }
    }
}
