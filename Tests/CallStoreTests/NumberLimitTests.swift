// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(20)))
struct NumberLimitTests {
    private static func campaign(_ scratch: Scratch, _ name: String, _ contacts: Int, _ limits: [NumberLimit])
        async throws -> UUID
    {
        try await Fixtures.runningCampaign(in: scratch.store, name: name, contacts: contacts) {
            $0.retryIntervalMinutes = 0
            $0.maximumAttempts = 15
            $0.numberLimits = limits
        }
    }

    @Test("a number that was called often enough rests until the period has passed, also for another campaign")
    func rolling() async throws {
        try await Scratch.run { scratch in
            let limits = [try NumberLimit(attemptsPer: "2/24h")]
            let first = try await Self.campaign(scratch, "first", 1, limits)
            let second = try await Self.campaign(scratch, "second", 1, limits)
            for campaign in [first, second] {
                let callIDs = try await Calls.begin(scratch, try await Calls.claim(scratch, campaign))
                #expect(callIDs.count == 1)
                try await Calls.end(scratch, callIDs, .busy)
            }
            for campaign in [first, second] { #expect(try await Calls.claim(scratch, campaign).isEmpty) }
            let isPutOff = try await scratch.value(
                """
                select bool_and(next_attempt_at = (select min(started_at) + interval '24 hours' from call_attempts))
                from contacts
                """,
                as: Bool.self
            )
            #expect(isPutOff)
            // A day later one attempt has left the period: one more call, and the number rests again.
            try await scratch.execute(
                """
                update call_attempts set started_at = started_at - interval '25 hours', ended_at = ended_at - interval '25 hours'
                where id = (select min(id) from call_attempts)
                """
            )
            try await scratch.execute("update contacts set next_attempt_at = now()")
            #expect(try await Calls.begin(scratch, try await Calls.claim(scratch, first)).count == 1)
            #expect(try await Calls.claim(scratch, second).isEmpty)
        }
    }

    @Test("a number rests after an outcome, and why says so")
    func rest() async throws {
        try await Scratch.run { scratch in
            let first = try await Self.campaign(scratch, "first", 1, [])
            let second = try await Self.campaign(scratch, "second", 1, [try NumberLimit(restAfter: "completed=7d")])
            let queued = try await Calls.claim(scratch, second)
            #expect(queued.count == 1)
            let callIDs = try await Calls.begin(scratch, try await Calls.claim(scratch, first))
            try await Calls.end(scratch, callIDs, .completed)
            // It was claimed before: the second check holds it back.
            #expect(try await Calls.begin(scratch, queued).isEmpty)
            #expect(try await Calls.claim(scratch, second).isEmpty)
            let explanation = try #require(
                try await scratch.store.explainContacts(
                    phoneNumber: try Fixtures.number(0),
                    id: nil,
                    campaign: "second"
                ).first
            )
            let failed = explanation.rules.filter { !$0.passed }
            #expect(failed.map(\.rule) == ["due", "within limits"])
            #expect(failed.last?.detail.hasPrefix("rests 7 d after completed") == true)
            let days = (explanation.nextPossible?.timeIntervalSinceNow ?? 0) / 86_400
            #expect(days > 6.9 && days <= 7)
        }
    }

    @Test("campaigns that dial the same numbers at once never exceed the limit together", arguments: 1...3)
    func concurrency(limit: Int) async throws {
        try await Scratch.run { scratch in
            let limits = [try NumberLimit(attemptsPer: "\(limit)/8h")]
            var campaigns: [UUID] = []
            for name in ["a", "b", "c"] { campaigns.append(try await Self.campaign(scratch, name, 15, limits)) }
            let chosen = campaigns
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in 0..<6 {
                    group.addTask {
                        for _ in 0..<6 {
                            let requests = try await Calls.claim(scratch, chosen[worker % 3], 10)
                            let callIDs = try await Calls.begin(scratch, requests)
                            try await Calls.end(scratch, callIDs, .busy)
                            // What was busy with another campaign's call shall come back at once.
                            try await scratch.execute(
                                """
                                update contacts set next_attempt_at = now()
                                where id = any (array(
                                    select id from contacts
                                    where state in ('pending', 'not_reached')
                                        and next_attempt_at between now() and now() + interval '2 minutes'
                                    for no key update skip locked))
                                """
                            )
                        }
                    }
                }
                try await group.waitForAll()
            }
            let most = try await scratch.value(
                "select max(n) from (select count(*) as n from call_attempts where counted group by phone_number) as x",
                as: Int.self
            )
            #expect(most == limit)
        }
    }

    @Test(
        "limits are read and told again",
        arguments: [("3/24h", "3 per 24 h"), ("7/7d", "7 per 7 d"), ("1/8h", "1 per 8 h")]
    )
    func texts(text: String, description: String) throws {
        #expect(try NumberLimit(attemptsPer: text).description == description)
    }

    @Test("what is no limit is refused", arguments: ["", "3", "0/24h", "3/24", "3/0h", "3/400d", "x/24h", "3/24h/2"])
    func faults(text: String) {
        #expect(throws: NumberLimit.Fault.self) { try NumberLimit(attemptsPer: text) }
    }
}
