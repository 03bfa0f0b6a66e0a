// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation
import Postgres
import TestSupport
import Testing

/// Every zone that the database and Foundation both know, around every clock change of two years: the one SQL function
/// against a plain second telling by Foundation.
@Suite(.timeLimit(.minutes(20)))
struct WindowZoneTests {
    /// A week of windows, and which local date is blocked: days after the one on which the clocks change.
    struct Kind: Sendable, CustomTestStringConvertible {
        let windows: [String]
        var blocked: Int?

        var testDescription: String {
            self.windows.joined(separator: ", ") + (self.blocked.map { ", blocked on day \($0)" } ?? "")
        }
    }

    private static let kinds = [
        Kind(windows: ["00:00-12:00", "12:00-00:00"]),
        Kind(windows: ["00:00-12:00", "12:00-00:00"], blocked: 0),
        Kind(windows: ["00:00-12:00", "12:00-00:00"], blocked: 1),
        Kind(windows: ["09:00-20:00"]),
        Kind(windows: ["22:00-04:00"]),
        Kind(windows: ["10:00-13:00", "14:00-20:00"], blocked: 1),
        Kind(windows: ["1-5 09:00-20:00", "6,7 23:00-01:00"]),
        // Edges inside the hours that are skipped or come twice.
        Kind(windows: ["02:30-09:00"]),
        Kind(windows: ["20:00-02:30"]),
        Kind(windows: ["02:10-02:50", "01:10-01:50", "00:10-00:50", "23:10-23:50"]),
        Kind(windows: ["01:30-03:00"], blocked: 1),
    ]

    private struct Place {
        let zone: String
        let change: ClockChange
    }

    private static let from = 1_767_225_600
    private static let years = 2 * 365 * 86_400
    private static let hour = 3600

    /// The clock changes of two years; in a zone without any, one instant in each half-year.
    private static func changes(_ zone: TimeZone) -> [ClockChange] {
        func offset(_ instant: Int) -> Int {
            zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(instant)))
        }
        var changes: [ClockChange] = []
        var now = Date(timeIntervalSince1970: Double(Self.from))
        while let next = zone.nextDaylightSavingTimeTransition(after: now),
            next.timeIntervalSince1970 < Double(Self.from + Self.years)
        {
            let at = Int(next.timeIntervalSince1970)
            changes.append(ClockChange(at: at, before: offset(at - 1), after: offset(at)))
            now = next
        }
        guard changes.isEmpty else { return changes }
        return (0..<2).map { index in
            let at = Self.from + index * Self.years / 4 + index * 7 * Self.hour
            return ClockChange(at: at, before: offset(at - 1), after: offset(at))
        }
    }

    /// Seconds, minutes, hours and days from the change.
    private static let distances: [Int] = {
        var distances: [Int] = []
        for base in [-24, -3, -2, -1, 0, 1, 2, 24] {
            distances += [-1800, -1, 0, 59].map { base * Self.hour + $0 }
        }
        return Set(distances).sorted()
    }()

    /// Those, and the seconds around each window's edges, on either side of the change.
    private static func probes(_ change: ClockChange, _ week: CallingWeek) -> [Int] {
        var probes = Set(Self.distances.map { change.at + $0 })
        let midnight = change.at - (change.at + change.before) % 86_400
        for edge in Set(week.ranges.flatMap { [$0.lowerBound % 1440, $0.upperBound % 1440] }) {
            for offset in [0, change.before - change.after] {
                for second in [-1, 0, 1] { probes.insert(midnight + edge * 60 + offset + second) }
            }
        }
        return probes.sorted()
    }

    private static func date(_ days: Int) -> String {
        Date(timeIntervalSince1970: Double(days) * 86_400).formatted(.iso8601.year().month().day())
    }

    /// The places whose clock the database tells like Foundation; the two may hold different editions of the zones' rules.
    private static func places(_ scratch: Scratch) async throws -> [Place] {
        let names = try await scratch.client.execute(
            PostgresStatement(
                "select name from pg_timezone_names where name !~ '^(posix|right)/' order by name",
                prepared: false
            )
        ).map { try $0.decode(String.self, at: 0) }
        var places: [Place] = []
        for name in names {
            guard let zone = TimeZone(identifier: name) else { continue }
            places += Self.changes(zone).map { Place(zone: name, change: $0) }
        }
        let agreeing = try await scratch.client.execute(
            PostgresStatement(
                """
                select bool_and(extract(epoch from
                    (to_timestamp(o.instant) at time zone c.zone) - (to_timestamp(o.instant) at time zone 'UTC')) = o.seconds)
                from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
                    with ordinality as c (zone, instant, before, after, position),
                    lateral (values (c.instant - 288000, c.before), (c.instant - 1, c.before), (c.instant, c.after),
                        (c.instant + 288000, c.after)) as o (instant, seconds)
                group by c.position
                order by c.position
                """,
                prepared: false
            ),
            [places.map(\.zone), places.map(\.change.at), places.map(\.change.before), places.map(\.change.after)]
        ).map { try $0.decode(Bool.self, at: 0) }
        let differing = Set(zip(places, agreeing).filter { !$0.1 }.map(\.0.zone))
        return places.filter { !differing.contains($0.zone) }
    }

    @Test("in every zone the window is open, and closes, as Foundation's clock says", arguments: Self.kinds)
    func everyZone(kind: Kind) async throws {
        let week = try CallingWeek(windows: kind.windows, weekdays: Array(1...7))
        try await Scratch.run { scratch in
            let places = try await Self.places(scratch)
            let zones = Set(places.map(\.zone))
            #expect(zones.count > 500, "\(zones.count)")
            var tellings: [ClockChange: WindowTelling] = [:]
            for first in stride(from: 0, to: places.count, by: 500) {
                let some = Array(places[first..<min(first + 500, places.count)])
                let probes = some.map { Self.probes($0.change, week) }
                let answers = try await Self.ask(scratch, some, probes, week, kind.blocked)
                for (index, place) in some.enumerated() {
                    let telling = tellings[place.change] ?? WindowTelling(place.change, week, blocked: kind.blocked)
                    tellings[place.change] = telling
                    let expected = probes[index].map { telling.closesAt($0) }
                    guard answers[index] != expected else { continue }
                    let faults = zip(probes[index], zip(expected, answers[index])).filter { $0.1.0 != $0.1.1 }
                    let sample = faults.first.map { "at \($0.0): \($0.1.1 ?? 0) and not \($0.1.0 ?? 0)" } ?? ""
                    #expect(faults.isEmpty, "\(place.zone), \(place.change): \(faults.count), the first \(sample)")
                }
            }
        }
    }

    /// When the window closes; nil where it is closed, `Int.max` where it never closes or later than is looked at.
    private static func ask(
        _ scratch: Scratch,
        _ places: [Place],
        _ probes: [[Int]],
        _ week: CallingWeek,
        _ blocked: Int?
    ) async throws -> [[Int?]] {
        let rows = zip(places, probes).flatMap { place, probes in probes.map { (place, $0) } }
        let blockedDates = places.map { place in
            blocked.map {
                "{[\(Self.date((place.change.at + place.change.before) / 86_400 + $0)),"
                    + "\(Self.date((place.change.at + place.change.before) / 86_400 + $0 + 1)))}"
            } ?? "{}"
        }
        let result = try await scratch.client.execute(
            PostgresStatement(
                """
                select array_agg(case
                    when w.closes_at is null then -1
                    when w.closes_at > to_timestamp(c.instant) + interval '70 hours' then -2
                    else extract(epoch from w.closes_at)::bigint
                end order by c.position)
                from unnest($1::bigint[], $2::bigint[]) with ordinality as c (place, instant, position),
                    call_window_closes_at($5::text::int4multirange, ($4::text[])[c.place + 1]::datemultirange,
                        ($3::text[])[c.place + 1], to_timestamp(c.instant)) as w (closes_at)
                group by c.place
                order by c.place
                """,
                prepared: false
            ),
            [
                zip(places.indices, probes).flatMap { index, probes in probes.map { _ in index } }, rows.map(\.1),
                places.map(\.zone), blockedDates, week.multirange,
            ]
        )
        return try result.map { row in
            try row.decode([Int].self, at: 0).map { $0 == -1 ? nil : $0 == -2 ? Int.max : $0 }
        }
    }
}
