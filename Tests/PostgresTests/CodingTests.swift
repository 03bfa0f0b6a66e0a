// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Postgres
import Testing

@Suite("values", .timeLimit(.minutes(20)))
struct CodingTests {
    private func roundTrip<T: PostgresEncodable & PostgresDecodable & Equatable>(
        _ values: [T],
        as type: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        try await withClient { client in
            for value in values {
                let result = try await client.execute(PostgresStatement("select $1::\(type) as v"), [value])
                let back = try result.first?.decode(T.self, named: "v")
                #expect(back == value, sourceLocation: sourceLocation)
            }
        }
    }

    @Test("scalars survive the round trip")
    func scalars() async throws {
        try await self.roundTrip([true, false], as: "bool")
        try await self.roundTrip([Int16.min, 0, .max], as: "int2")
        try await self.roundTrip([Int32.min, -1, .max], as: "int4")
        try await self.roundTrip([Int64.min, -1, .max], as: "int8")
        try await self.roundTrip([Int.min, 0, 1, .max], as: "int8")
        try await self.roundTrip([0.1, -.infinity, .greatestFiniteMagnitude, .leastNonzeroMagnitude], as: "float8")
        try await self.roundTrip([UUID(), UUID()], as: "uuid")
        try await self.roundTrip([[UInt8](), [0, 255, 10], Array(0...255)], as: "bytea")
        try await self.roundTrip([PostgresJSON(bytes: Array(#"{"a": [1, null]}"#.utf8))], as: "jsonb")
    }

    @Test("text survives the round trip, empty, in any script and of a megabyte")
    func text() async throws {
        let samples = ["", "a'b\"c\\d\n\t", "Zażółć gęślą jaźń — 日本語 — 👩‍👩‍👧", String(repeating: "ü", count: 1 << 19)]
        try await self.roundTrip(samples, as: "text")
    }

    @Test("dates survive the round trip to the microsecond, to the ends of time")
    func dates() async throws {
        let dates = [
            Date(timeIntervalSince1970: 0), Date(timeIntervalSince1970: -0.25), .distantPast, .distantFuture,
            Date(timeIntervalSince1970: 4_102_444_800), Date(timeIntervalSinceReferenceDate: -60_000_000_000),
        ]
        try await self.roundTrip(dates, as: "timestamptz")
        let now = Date()
        try await withClient { client in
            let back = try await client.execute("select $1::timestamptz", [now]).first?.decode(Date.self, at: 0)
            #expect(abs(try #require(back).timeIntervalSince(now)) < 2e-6)
            let text = try await client.execute(
                "select ($1::timestamptz at time zone 'utc')::text",
                [Date(timeIntervalSince1970: 1_700_000_000.123456)]
            )
            #expect(try text.first?.decode(String.self, at: 0) == "2023-11-14 22:13:20.123456")
        }
    }

    @Test(
        "dates far out are stored, or refused with a word",
        arguments: [
            (9_223_371_331_199.0, true), (9_223_371_331_200, false), (9_224_318_000_000, false), (9.9e12, false),
            (1e13, false), (-211_813_488_000, true), (-211_813_488_001, false), (-9.9e12, false),
            (.greatestFiniteMagnitude, false), (.infinity, false), (-.infinity, false), (.nan, false),
        ]
    )
    func farDates(secondsFrom2000: Double, isStored: Bool) async throws {
        let date = Date(timeIntervalSinceReferenceDate: secondsFrom2000 - 31_622_400)
        guard isStored else {
            try await withClient { client in
                let error = await postgresError { try await client.execute("select $1::timestamptz", [date]) }
                #expect(error?.code == .encoding)
                #expect(await postgresError { try await client.execute("select $1::timestamptz[]", [[date]]) } != nil)
            }
            return
        }
        try await self.roundTrip([date], as: "timestamptz")
    }

    @Test("the ends of the server's time can be read")
    func endsOfTime() async throws {
        try await withClient { client in
            let row = try await client.execute(
                """
                select 'infinity'::timestamptz, '-infinity'::timestamp, '294276-12-31 23:59:59.999999 UTC'::timestamptz,
                    '4714-11-24 00:00 BC'::timestamp
                """
            ).first
            #expect(try row?.decode(Date.self, at: 0) == .distantFuture)
            #expect(try row?.decode(Date.self, at: 1) == .distantPast)
            let last = try #require(try row?.decode(Date.self, at: 2))
            #expect(abs(last.timeIntervalSinceReferenceDate + 31_622_400 - 9_223_371_331_200) < 0.01)
            let first = try #require(try row?.decode(Date.self, at: 3))
            #expect(first.timeIntervalSinceReferenceDate + 31_622_400 == -211_813_488_000)
        }
    }

    @Test("nulls are nil, in every type")
    func nulls() async throws {
        try await self.roundTrip([Int?.none, 7], as: "int8")
        try await self.roundTrip([String?.none, ""], as: "text")
        try await self.roundTrip([UUID?.none], as: "uuid")
        try await self.roundTrip([Date?.none], as: "timestamptz")
        try await self.roundTrip([[Int]?.none, []], as: "int8[]")
        try await self.roundTrip([PostgresJSON?.none], as: "jsonb")
    }

    @Test("arrays survive the round trip, empty and with nulls")
    func arrays() async throws {
        try await self.roundTrip([[Int](), [1, -2, .max]], as: "int8[]")
        try await self.roundTrip([[Int?](), [1, nil, 3], [nil]], as: "int8[]")
        try await self.roundTrip([["", "NULL", "a,b\"{}"]], as: "text[]")
        try await self.roundTrip([[String?.none, "x"]], as: "text[]")
        try await self.roundTrip([[UUID(), UUID()]], as: "uuid[]")
        try await self.roundTrip([[UUID?.none, UUID()]], as: "uuid[]")
        try await self.roundTrip([[true, false]], as: "bool[]")
        try await self.roundTrip([[1.5, -0.0]], as: "float8[]")
        try await self.roundTrip([[Int16(1)]], as: "int2[]")
        try await self.roundTrip([[Int32(1)]], as: "int4[]")
        try await self.roundTrip([[Date(timeIntervalSince1970: 5), .distantFuture]], as: "timestamptz[]")
        try await self.roundTrip([[Date?.none, Date(timeIntervalSince1970: 5)]], as: "timestamptz[]")
        try await self.roundTrip([Array(0..<100_000)], as: "int8[]")
    }

    @Test("a value of another type is an error that names the column")
    func mismatch() async throws {
        try await withClient { client in
            let row = try #require(
                try await client.execute("select 70000 as big, null::text as gone, 'x' as word").first
            )
            for error in [
                await postgresError { _ = try row.decode(Int16.self, named: "big") },
                await postgresError { _ = try row.decode(UUID.self, named: "big") },
            ] {
                #expect(error?.code == .decoding)
                #expect(error?.message.contains("\"big\"") == true)
            }
            #expect(await postgresError { _ = try row.decode(String.self, named: "gone") }?.code == .decoding)
            #expect(await postgresError { _ = try row.decode(String.self, named: "other") }?.code == .decoding)
            #expect(await postgresError { _ = try row.decode(String.self, at: 9) }?.code == .decoding)
        }
    }

    @Test("what Postgres cannot hold is refused before it is sent")
    func unencodable() async throws {
        try await withClient { client in
            #expect(await postgresError { try await client.execute("select $1", ["a\0b"]) }?.code == .encoding)
            let never = Date(timeIntervalSince1970: 1e15)
            #expect(await postgresError { try await client.execute("select $1", [never]) }?.code == .encoding)
        }
    }
}
