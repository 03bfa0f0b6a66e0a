// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallStore
import Foundation
import Postgres
import TestBasics
import TestSupport
import Testing

/// The one SQL function against a second, plain telling of the rule, at random and around clock changes.
@Suite(.timeLimit(.minutes(20)))
struct WindowPropertyTests {
    private struct Case {
        let start: Int?
        let end: Int?
        let days: Set<Int>
        let zone: String
        let instant: Int
    }

    private static let zones = [
        "UTC", "Europe/Berlin", "Europe/London", "America/New_York", "America/St_Johns", "America/Sao_Paulo",
        "Asia/Kolkata", "Asia/Kathmandu", "Asia/Tokyo", "Australia/Sydney", "Australia/Lord_Howe", "Pacific/Auckland",
        "Pacific/Apia", "Africa/Cairo", "America/Phoenix",
    ]
    /// Clock changes in 2026 and 2027, in Europe, America and Australia.
    private static let changes = [
        1_774_746_000, 1_792_890_000, 1_772_953_200, 1_793_512_800, 1_775_318_400, 1_791_043_200,
    ]

    private static func cases(seed: UInt64) -> [Case] {
        var random = SeededRandom(seed: seed)
        return (0..<1000).map { index in
            let start = Int.random(in: 0..<1440, using: &random)
            var end = Int.random(in: 0..<1440, using: &random)
            if end == start { end = (end + 1) % 1440 }
            let isAnyTime = Int.random(in: 0..<10, using: &random) == 0
            let days = Set((1...7).filter { _ in Int.random(in: 0..<3, using: &random) > 0 })
            let around = Self.changes.randomElement(using: &random) ?? 0
            return Case(
                start: isAnyTime ? nil : start,
                end: isAnyTime ? nil : end,
                days: days.isEmpty ? [1] : days,
                zone: Self.zones.randomElement(using: &random) ?? "UTC",
                instant: index.isMultiple(of: 2)
                    ? around + Int.random(in: -90_000...90_000, using: &random)
                    : 1_760_000_000 + Int.random(in: 0...80_000_000, using: &random)
            )
        }
    }

    /// The rule in words: on one of the days, at or after the start and before the end; past midnight it is still the
    /// window of the day before.
    private static func isOpen(_ one: Case) throws -> Bool {
        let zone = try #require(TimeZone(identifier: one.zone))
        let instant = Date(timeIntervalSince1970: Double(one.instant))
        let local = one.instant + zone.secondsFromGMT(for: instant)
        let second = ((local % 86_400) + 86_400) % 86_400
        // The first of January 1970 was a Thursday.
        let day = ((local - second) / 86_400 + 3) % 7 + 1
        let dayBefore = (day + 5) % 7 + 1
        guard let start = one.start, let end = one.end else { return one.days.contains(day) }
        if start < end { return one.days.contains(day) && second >= start * 60 && second < end * 60 }
        return one.days.contains(day) && second >= start * 60 || one.days.contains(dayBefore) && second < end * 60
    }

    @Test("the window is open exactly when the rule says so, and closes later than now", arguments: 0..<5)
    func agreement(seed: Int) async throws {
        try await Scratch.run { scratch in
            let cases = Self.cases(seed: UInt64(seed))
            func time(_ minutes: Int?) -> String? { minutes.map { "\($0 / 60):\($0 % 60)" } }
            let result = try await scratch.client.execute(
                PostgresStatement(
                    """
                    select closes_at is not null, coalesce(closes_at > to_timestamp(c.instant), true),
                        weekly_closes_at is not null, coalesce(weekly_closes_at > to_timestamp(c.instant), true)
                    from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
                        with ordinality as c (opens, closes, days, zone, instant, position),
                    call_window_closes_at(c.opens::time, c.closes::time,
                        string_to_array(c.days, ',')::smallint[], c.zone, to_timestamp(c.instant)) as closes_at,
                    call_window_closes_at(
                        week_of(c.opens::time, c.closes::time, string_to_array(c.days, ',')::smallint[]),
                        '{}', c.zone, to_timestamp(c.instant)) as weekly_closes_at
                    order by c.position
                    """,
                    prepared: false
                ),
                [
                    cases.map { time($0.start) }, cases.map { time($0.end) },
                    cases.map { $0.days.map(String.init).joined(separator: ",") }, cases.map(\.zone),
                    cases.map(\.instant),
                ]
            )
            for (index, one) in cases.enumerated() {
                let isOpen = try result[index].decode(Bool.self, at: 0)
                #expect(isOpen == (try Self.isOpen(one)), "seed \(seed), case \(index): \(one)")
                for column in [1, 3] {
                    #expect(try result[index].decode(Bool.self, at: column), "seed \(seed), case \(index): \(one)")
                }
                let isOpenWeekly = try result[index].decode(Bool.self, at: 2)
                #expect(isOpenWeekly == isOpen, "seed \(seed), case \(index), as a week: \(one)")
            }
        }
    }

    @Test(
        "several windows a day, blocked dates and the night from Sunday to Monday close when they should",
        arguments: [
            // France: a pause at noon.
            ("{[600,780),[840,1200)}", "{}", "2026-11-23 11:59+01", "2026-11-23 12:00:00"),
            ("{[600,780),[840,1200)}", "{}", "2026-11-23 13:00+01", "-"),
            ("{[600,780),[840,1200)}", "{}", "2026-11-23 14:00+01", "2026-11-23 19:00:00"),
            // A blocked date, the evening before, and the morning after.
            ("{[0,10080)}", "{[2026-12-25,2026-12-27)}", "2026-12-25 12:00+01", "-"),
            ("{[0,10080)}", "{[2026-12-25,2026-12-27)}", "2026-12-24 12:00+01", "2026-12-24 23:00:00"),
            ("{[0,10080)}", "{[2026-12-25,2026-12-27)}", "2026-12-27 00:00+01", "infinity"),
            ("{[0,10080)}", "{}", "2026-12-25 12:00+01", "infinity"),
            // 22:00 on Sunday to 02:00 on Monday.
            ("{[0,120),[9960,10080)}", "{}", "2026-11-22 23:30+01", "2026-11-23 01:00:00"),
            ("{[0,120),[9960,10080)}", "{}", "2026-11-23 01:59+01", "2026-11-23 01:00:00"),
            ("{[0,120),[9960,10080)}", "{}", "2026-11-23 02:00+01", "-"),
        ]
    )
    func weeks(week: String, blocked: String, instant: String, closes: String) async throws {
        try await Scratch.run { scratch in
            let answer = try await scratch.value(
                """
                select coalesce(case when c = 'infinity' then 'infinity'
                    else to_char(c at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') end, '-')
                from call_window_closes_at(
                    $1::text::int4multirange, $2::text::datemultirange, 'Europe/Paris', $3::text::timestamptz) as c
                """,
                [week, blocked, instant],
                as: String.self
            )
            #expect(answer == closes)
        }
    }
}
