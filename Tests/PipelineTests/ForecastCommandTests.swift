// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation
import TestSupport
import Testing

/// `campaign forecast` as an operator runs it.
@Suite(.timeLimit(.minutes(20)))
struct ForecastCommandTests {
    private struct View: Decodable {
        struct Contacts: Decodable {
            let total: Int
            let completed: Int
            let refused: Int
            let exhausted: Int
        }
        struct Assumption: Decodable {
            let name: String
            let value: String
            let source: String
        }
        let ending: String
        let calls: Int
        let contacts: Contacts
        let binds: String
        let assumptions: [Assumption]
    }

    private static let options = [
        "--rates", "no_answer=0.5,completed=0.3,refused=0.2", "--start", "2026-11-23T08:00:00Z",
    ]

    @Test("it tells what it assumes, when the campaign ends, and shows tables and a chart")
    func people() async throws {
        try await Scratch.run { scratch in
            _ = try await Fixtures.runningCampaign(in: scratch.store, contacts: 100) { $0.maximumConcurrentCalls = 5 }
            let ended = try await Product.run(
                ["campaign", "forecast", "test", "--contacts", "500", "--verbose"] + Self.options,
                ["DATABASE_URL": scratch.databaseURL, "COLUMNS": "60"]
            )
            #expect(ended.exitCode == 0, "\(ended.errors)")
            let parts = [
                "pretended, spread like the present 100", "the campaign's cap on calls at once",
                "every contact's story is over", "exhausted: all attempts used up", "FIRST OPEN DAY", "calls per hour",
                "█",
                "Mon 2026-11-23", "lines",
            ]
            for part in parts { #expect(ended.output.contains(part), "\(part) in: \(ended.output)") }
            #expect(ended.errors.contains("simulated 500 contacts"))
        }
    }

    @Test("machines get the same figures, and rates are learned from enough attempts")
    func machines() async throws {
        try await Scratch.run { scratch in
            let id = try await Fixtures.runningCampaign(in: scratch.store, contacts: 100)
            let arguments = ["campaign", "forecast", "test", "--json", "--lines", "3"]
            let environment = ["DATABASE_URL": scratch.databaseURL]
            func forecast(_ more: [String]) async throws -> View {
                let ended = try await Product.run(arguments + more, environment)
                #expect(ended.exitCode == 0, "\(ended.errors)")
                let decoder = JSONDecoder()
                decoder.keyDecodingStrategy = .convertFromSnakeCase
                return try decoder.decode(View.self, from: Data(ended.output.utf8))
            }
            func source(_ view: View, _ name: String) -> String? {
                view.assumptions.first { $0.name == name }?.source
            }
            let given = try await forecast(Self.options)
            #expect(given.ending == "nothing_left")
            #expect(given.contacts.completed + given.contacts.refused + given.contacts.exhausted == 100)
            #expect(source(given, "outcomes") == "given")
            let slow = try await forecast(Self.options + ["--calls-per-second", "0.01"])
            let quick = try await forecast(Self.options + ["--calls-per-second", "50"])
            #expect(slow.binds == "calls_per_second" && slow.binds != quick.binds, "\(slow.binds), \(quick.binds)")
            let assumed = try await forecast([])
            #expect(source(assumed, "outcomes")?.hasPrefix("assumed") == true)
            try await scratch.execute(
                """
                insert into call_attempts (call_id, contact_id, campaign_id, attempt_number, phone_number, dialer_id,
                    status, placed_at, ended_at, deadline_at, outcome)
                select uuid_v7(), uuid_v7(), $1, 1, '+1999000' || (1000 + n), 'd', 'ended', now(), now() + interval '20 s',
                    now(), 'no_answer'
                from generate_series(1, 60) as n
                """,
                [id]
            )
            let learned = try await forecast([])
            #expect(source(learned, "outcomes") == "learned from 60 attempts of this campaign")
            // Nobody ever answers: three attempts each.
            #expect(learned.contacts.exhausted == 100)
            #expect(learned.calls == 300)
        }
    }

    @Test("options that cannot be used are named with exit code 64")
    func faults() async throws {
        try await Scratch.run { scratch in
            _ = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1)
            let cases = [
                ([], "lines: the campaign has no cap of its own"),
                (["--lines", "0"], "lines: must be"),
                (["--lines", "3", "--rates", "lost=1"], "rates: 'lost' is no outcome"),
                (["--lines", "3", "--rates", "busy=0.4"], "rates: the shares sum to 0.4"),
                (["--lines", "3", "--start", "tomorrow"], "start: 'tomorrow' is not a time"),
                (["--lines", "3", "--horizon-days", "0"], "horizon-days: must be 1…400"),
                (["--lines", "3", "--contacts=-1"], "contacts: must be at least 0"),
            ]
            for (options, message) in cases {
                let ended = try await Product.run(
                    ["campaign", "forecast", "test"] + options,
                    ["DATABASE_URL": scratch.databaseURL]
                )
                #expect(ended.exitCode == 64, "\(options): \(ended.errors)")
                #expect(ended.errors.contains(message), "\(options): \(ended.errors)")
                #expect(ended.output.isEmpty)
            }
        }
    }
}
