// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(20)))
struct ForecastFactsTests {
    @Test("contacts are told in groups by zone, attempts and due time; those whose story is over are not")
    func groups() async throws {
        try await Scratch.run { scratch in
            let id = try await Fixtures.runningCampaign(in: scratch.store, contacts: 10) {
                $0.timeZone = "Europe/Berlin"
                $0.week = try? CallingWeek(windows: ["1-5 10:00-13:00", "1-5 14:00-20:00"], weekdays: [])
            }
            try await scratch.execute(
                """
                update contacts set time_zone = 'Asia/Tokyo' where phone_number in ('+19990000000', '+19990000001')
                """
            )
            try await scratch.execute(
                """
                update contacts set state = 'not_reached', attempts_count = 2, next_attempt_at = now() + interval '3 hours'
                where phone_number in ('+19990000002', '+19990000003')
                """
            )
            try await scratch.execute(
                "update contacts set state = 'completed', next_attempt_at = null where phone_number = '+19990000004'"
            )
            try await scratch.execute(
                """
                update contacts set state = 'not_reached', attempts_count = 3, next_attempt_at = null
                where phone_number = '+19990000005'
                """
            )
            // One that is queued and one that is being called.
            try await scratch.execute(
                """
                update contacts set state = 'in_progress', call_id = uuid_v7(), lease_until = now(),
                    prior_state = case when phone_number = '+19990000006' then 'pending' end,
                    attempts_count = case when phone_number = '+19990000006' then 0 else 1 end
                where phone_number in ('+19990000006', '+19990000007')
                """
            )
            let today = try await scratch.value("select current_date::text", as: String.self)
            let later = try await scratch.value("select (current_date + 30)::text", as: String.self)
            try await scratch.store.setBlocked(true, dates: ["2020-01-01", today, later], campaign: "test")
            let clock = { try await scratch.value("select clock_timestamp()", as: Date.self) }
            let before = try await clock()
            let facts = try await scratch.store.forecastFacts(campaign: "test")
            let after = try await clock()
            let shown = facts.groups.map { "\($0.zones) \($0.attempts) \($0.count) \($0.due == nil)" }.sorted()
            #expect(shown == ["Asia/Tokyo 0 2 true", "Europe/Berlin 0 4 true", "Europe/Berlin 2 2 false"])
            let due = try #require(facts.groups.compactMap(\.due).first)
            let last =
                try await scratch.value("select max(next_attempt_at) from contacts where campaign_id = $1", [id])
                as Date
            #expect(abs(due.timeIntervalSince(last)) < 0.001)
            #expect(facts.week.description == "Mon-Fri 10:00-13:00, 14:00-20:00")
            #expect(facts.blockedDates == [today, later])
            #expect(before <= facts.now && facts.now <= after)
            #expect(facts.ownOutcomes.isEmpty && facts.allOutcomes.isEmpty)
        }
    }

    @Test("outcomes and lengths are learned from attempts that were charged and are over")
    func outcomes() async throws {
        try await Scratch.run { scratch in
            let first = try await Fixtures.runningCampaign(in: scratch.store, name: "first", contacts: 1)
            let second = try await Fixtures.runningCampaign(in: scratch.store, name: "second", contacts: 1)
            // Ten busy after 4 s, and five interviews that rang 10 s and lasted 100 s; one open and one not charged.
            for campaign in [first, second] {
                try await scratch.execute(
                    """
                    insert into call_attempts (call_id, contact_id, campaign_id, attempt_number, phone_number, dialer_id,
                        status, placed_at, answered_at, ended_at, deadline_at, outcome, counted)
                    select uuid_v7(), uuid_v7(), $1, 1, '+1999000' || (1000 + n), 'd',
                        case when n = 16 then 'ringing' else 'ended' end, now(),
                        case when n between 11 and 15 then now() + interval '10 s' end,
                        case
                            when n <= 10 then now() + interval '4 s'
                            when n <= 15 then now() + interval '110 s'
                            when n = 17 then now() + interval '1 s'
                        end,
                        now(),
                        case when n <= 10 then 'busy' when n <= 15 then 'completed' when n = 17 then 'failed' end,
                        n <> 17
                    from generate_series(1, 17) as n
                    where $1 = $2 or n <> 16
                    """,
                    [campaign, first]
                )
            }
            let facts = try await scratch.store.forecastFacts(campaign: "second")
            #expect(facts.ownOutcomes.map(\.outcome) == [.busy, .completed])
            #expect(facts.ownOutcomes.map(\.count) == [10, 5])
            #expect(facts.ownOutcomes.map(\.ringSeconds) == [4, 10])
            #expect(facts.ownOutcomes.map(\.talkSeconds) == [nil, 100])
            #expect(facts.allOutcomes.map(\.count) == [20, 10])
        }
    }

    @Test("a campaign that does not exist is named")
    func missing() async throws {
        try await Scratch.run { scratch in
            let error = await #expect(throws: StoreError.self) { () async throws -> Void in
                _ = try await scratch.store.forecastFacts(campaign: "nowhere")
            }
            #expect(error?.code == .notFound)
        }
    }

    @Test("blocked dates are read as they are, whatever the database takes dates to look like")
    func dateStyle() async throws {
        try await Scratch.run { scratch in
            _ = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1)
            let day = try await scratch.value("select (current_date + 7)::text", as: String.self)
            try await scratch.store.setBlocked(true, dates: [day], campaign: "test")
            let name = try await scratch.value("select current_database()::text", as: String.self)
            try await scratch.execute("alter database \(name) set DateStyle = 'German'")
            let client = PostgresClient(
                configuration: try PostgresConfiguration(uri: scratch.databaseURL),
                logger: scratch.logger
            )
            let store = CallStore(client: client, logger: scratch.logger)
            #expect(try await store.blockedDates(campaign: "test") == [day])
            #expect(try await store.forecastFacts(campaign: "test").blockedDates == [day])
            await client.close()
        }
    }
}
