// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Postgres
import Testing

/// A database or a role may have settings of its own, by which text and casts mean something else.
@Suite("session settings", .timeLimit(.minutes(20)))
struct SessionSettingTests {
    @Test("text and casts mean the same whatever the database is set to")
    func meaning() async throws {
        let database = uniqueName("german")
        try await withClient { client in
            try await client.executeOnce("create database \(database)")
            for setting in [
                "DateStyle = 'German'", "TimeZone = 'Asia/Kolkata'", "IntervalStyle = 'sql_standard'",
                "extra_float_digits = -15", "bytea_output = 'escape'", "standard_conforming_strings = off",
                "transform_null_equals = on", "array_nulls = off", "timezone_abbreviations = 'India'",
                "default_transaction_isolation = 'serializable'",
            ] {
                try await client.executeOnce("alter database \(database) set \(setting)")
            }
            var components = try #require(URLComponents(string: testURI()))
            components.path = "/" + database
            try await withClient(uri: components.string) { german in
                let row = try await german.execute(
                    #"""
                    select date '2026-12-24'::text, '01/02/2026'::date::text, timestamptz '2026-12-24 23:30+00'::date::text,
                        interval '1 day 2 hours'::text, 0.1::float8::text, '\x41'::bytea::text, 'a\b'::text,
                        (null = null)::text, ('{NULL}'::text[])[1], current_setting('transaction_isolation'),
                        timestamptz '2026-12-24 12:00 IST'::text
                    """#
                ).first
                let expected: [String?] = [
                    "2026-12-24", "2026-01-02", "2026-12-24", "1 day 02:00:00", "0.1", #"\x41"#, #"a\b"#, nil, nil,
                    "read committed", "2026-12-24 10:00:00+00",
                ]
                for (column, text) in expected.enumerated() {
                    #expect(try row?.decode(String?.self, at: column) == text)
                }
            }
            try await client.executeOnce("drop database \(database)")
        }
    }

    @Test("settings of one's own hold, also those of several words; one that does not exist is told at once")
    func own() async throws {
        let shown = { (client: PostgresClient, name: String) in
            try await client.execute("select current_setting($1)", [name]).first?.decode(String.self, at: 0)
        }
        try await withClient {
            $0.statementTimeout = .seconds(7)
            $0.sessionSettings = ["jit": "off", "search_path": "public, pg_temp", "TimeZone": "Europe/Berlin"]
        } _: { client async throws in
            #expect(try await shown(client, "statement_timeout") == "7s")
            #expect(try await shown(client, "search_path") == "public, pg_temp")
            #expect(try await shown(client, "jit") == "off")
            #expect(try await shown(client, "TimeZone") == "Europe/Berlin")
        }
        for (name, value, state) in [("no_such_thing", "1", "42704"), ("statement_timeout", "soon", "22023")] {
            try await withClient({ $0.sessionSettings = [name: value] }) { client in
                let error = await postgresError { try await client.execute("select 1") }
                #expect(error?.code == .connectionFailed)
                #expect(error?.sqlState == state)
            }
        }
    }
}
