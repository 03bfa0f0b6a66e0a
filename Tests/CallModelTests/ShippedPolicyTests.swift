// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation
import Schemas
import Testing

/// The policies that come with the program.
@Suite(.timeLimit(.minutes(20)))
struct ShippedPolicyTests {
    private static var names: [String] { Schemas.policies.keys.sorted() }

    private static func policy(_ name: String) throws -> Policy {
        try Policy.parse(try #require(Schemas.policies[name]))
    }

    @Test("a shipped policy says that it is no legal advice, and names source and date of each rule", arguments: names)
    func evidence(name: String) throws {
        let policy = try Self.policy(name)
        #expect(policy.name == name)
        #expect(policy.notice.contains("no legal advice"))
        var evidence = policy.windows.map(\.evidence) + policy.limitRules.map(\.evidence)
        evidence += [policy.consentRule.evidence, policy.attemptsRule.evidence]
        evidence += [policy.ringTimeoutRule?.evidence, policy.holidays?.evidence].compactMap(\.self)
        evidence += [policy.callerIDRule?.evidence, policy.consentExpiryRule?.evidence].compactMap(\.self)
        evidence += [policy.disclosureRule?.evidence].compactMap(\.self)
        #expect(try #require(policy.reviewBy) > policy.version)
        for one in evidence {
            #expect(one.source.count > 10)
            #expect(one.asOf <= policy.version)
        }
        #expect(policy.notes.contains { $0.contains("not enforced here") || $0.contains("Not enforced here") })
    }

    @Test("the cautious policy allows nothing that another one forbids", arguments: names)
    func cautious(name: String) throws {
        let cautious = try Self.policy("cautious")
        let other = try Self.policy(name)
        #expect(cautious.week.intersection(other.week) == cautious.week)
        #expect(Set(other.blockedDates).isSubset(of: Set(cautious.blockedDates)))
        #expect((cautious.ringTimeoutMinimum ?? 0) >= (other.ringTimeoutMinimum ?? 0))
        #expect(cautious.maximumAttempts <= other.maximumAttempts)
        #expect(cautious.requiresConsent || !other.requiresConsent)
        #expect(other.consentPeriod == nil || cautious.consentPeriod == other.consentPeriod)
        #expect(other.disclosure == nil || cautious.disclosure != nil)
        #expect(try #require(cautious.reviewBy) <= #require(other.reviewBy))
        let countries = other.callerIDRule?.value.countries ?? []
        #expect(countries.allSatisfy { cautious.callerIDRule?.value.countries.contains($0) == true })
        for limit in other.limits {
            let isKept = cautious.limits.contains {
                $0.attempts <= limit.attempts && $0.hours >= limit.hours
                    && ($0.outcomes == nil || Set($0.outcomes ?? []).isSuperset(of: limit.outcomes ?? []))
            }
            #expect(isKept, "\(limit)")
        }
    }

    @Test("the strict policy for the United States allows nothing that the federal one forbids")
    func states() throws {
        let (federal, strict) = (try Self.policy("us"), try Self.policy("us-strict"))
        #expect(strict.week.intersection(federal.week) == strict.week)
        #expect(strict.blockedDates == federal.blockedDates)
    }

    @Test(
        "the caller IDs that the cited texts allow and forbid",
        arguments: [
            ("fr", ["+33162000000", "+33948123456", "+339475123456", "+33800123456", "+493023125140"]),
            ("fr-research", ["+33270123456", "+33569123456"]), ("it", ["+390844123456", "+390612345678"]),
            ("it-research", ["+390844123456"]), ("es", ["+34400123456", "+34912345678", "+34900123456"]),
            ("in", ["+911401234567", "+911600123456"]), ("cautious", ["+33162000000", "+12025550199"]),
            ("de", ["+4915112345678"]),
        ]
    )
    func allowedCallerIDs(name: String, numbers: [String]) throws {
        let policy = try Self.policy(name)
        for number in numbers { #expect(policy.fault(ofCallerID: try PhoneNumber(number)) == nil, "\(number)") }
    }

    @Test(
        "a caller ID that the cited text forbids is refused with the reason, and without the number",
        arguments: [
            ("fr", ["+33612345678", "+33712345678", "+33123456789", "+33512345678", "+33912345678", "+339474123456"]),
            ("fr-research", ["+33199005555", "+33612345678"]), ("it", ["+390843123456"]),
            ("it-research", ["+390843123456"]), ("es", ["+34612345678", "+34712345678"]),
            ("in", ["+919812345678", "+916812345678"]),
            ("cautious", ["+33612345678", "+34612345678", "+390843123456"]),
        ]
    )
    func forbiddenCallerIDs(name: String, numbers: [String]) throws {
        let policy = try Self.policy(name)
        for number in numbers {
            let fault = try #require(policy.fault(ofCallerID: try PhoneNumber(number)), "\(number)")
            #expect(fault.contains(policy.label))
            #expect(!fault.contains(number))
        }
    }

    private static let calendar: Calendar = {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        return calendar
    }()

    private static func date(_ year: Int, _ month: Int, _ day: Int) throws -> Date {
        try #require(Self.calendar.date(from: DateComponents(year: year, month: month, day: day)))
    }

    private static func text(_ date: Date) -> String { String(date.formatted(.iso8601).prefix(10)) }

    private static func add(_ days: Int, to date: Date) throws -> Date {
        try #require(Self.calendar.date(byAdding: .day, value: days, to: date))
    }

    /// 1 is Sunday, as Foundation counts.
    private static func weekday(_ date: Date) -> Int { Self.calendar.component(.weekday, from: date) }

    private static func nth(_ number: Int, _ weekday: Int, _ month: Int, _ year: Int) throws -> Date {
        try #require(
            Self.calendar.date(
                from: DateComponents(year: year, month: month, weekday: weekday, weekdayOrdinal: number)
            )
        )
    }

    private static func last(_ weekday: Int, _ month: Int, _ year: Int) throws -> Date {
        let fifth = try Self.nth(5, weekday, month, year)
        return Self.calendar.component(.month, from: fifth) == month ? fifth : try Self.nth(4, weekday, month, year)
    }

    /// Gauss's algorithm for the Gregorian calendar, with Lichtenberg's correction.
    private static func easter(_ year: Int) throws -> Date {
        let century = year / 100
        let moon = 15 + (3 * century + 3) / 4 - (8 * century + 13) / 25
        let sun = 2 - (3 * century + 3) / 4
        let cycle = year % 19
        let seed = (19 * cycle + moon) % 30
        let correction = (seed + cycle / 11) / 29
        let limit = 21 + seed - correction
        let first = 7 - (year + year / 4 + sun) % 7
        return try Self.add(limit + (7 - (limit - first) % 7) - 1, to: Self.date(year, 3, 1))
    }

    /// Fixed dates, days from Easter Sunday, and the rest of one year's holidays.
    private static func expected(
        _ year: Int,
        fixed: [(Int, Int)],
        easter days: [Int],
        _ more: [Date] = []
    ) throws -> [Date] {
        let easter = try Self.easter(year)
        return try fixed.map { try Self.date(year, $0.0, $0.1) } + days.map { try Self.add($0, to: easter) } + more
    }

    /// The next working day that is not taken, for each of these that is on a weekend.
    private static func substitutes(_ dates: [Date]) throws -> [Date] {
        var taken = Set(dates)
        var substitutes: [Date] = []
        for date in dates where [1, 7].contains(Self.weekday(date)) {
            var next = date
            while [1, 7].contains(Self.weekday(next)) || taken.contains(next) { next = try Self.add(1, to: next) }
            taken.insert(next)
            substitutes.append(next)
        }
        return substitutes
    }

    private static func expected(_ policy: String, _ year: Int) throws -> [Date] {
        switch policy.replacing("-research", with: "") {
        case "es":
            let dates = try Self.expected(
                year,
                fixed: [
                    (1, 1), (1, 6), (3, 19), (5, 1), (8, 15), (10, 12), (11, 1), (12, 6), (12, 8), (12, 25),
                ],
                easter: [-3, -2]
            )
            return try dates + dates.filter { Self.weekday($0) == 1 }.map { try Self.add(1, to: $0) }
        case "pt":
            return try Self.expected(
                year,
                fixed: [(1, 1), (4, 25), (5, 1), (6, 10), (8, 15), (10, 5), (11, 1), (12, 1), (12, 8), (12, 25)],
                easter: [-2, 0, 60]
            )
        case "br":
            return try Self.expected(
                year,
                fixed: [(1, 1), (4, 21), (5, 1), (9, 7), (10, 12), (11, 2), (11, 15), (11, 20), (12, 25)],
                easter: [-2]
            )
        case "fr":
            return try Self.expected(
                year,
                fixed: [(1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25)],
                easter: [1, 39, 50]
            )
        case "de":
            return try Self.expected(
                year,
                fixed: [(1, 1), (5, 1), (10, 3), (12, 25), (12, 26)],
                easter: [-2, 1, 39, 50]
            )
        case "it":
            let dates = try Self.expected(
                year,
                fixed: [
                    (1, 1), (1, 6), (4, 25), (5, 1), (6, 2), (8, 15), (10, 4), (11, 1), (12, 8), (12, 25), (12, 26),
                ],
                easter: [0, 1]
            )
            // The days before, where they are working days; and New Year's Eve.
            let before = try (dates + [Self.date(year + 1, 1, 1)]).map { try Self.add(-1, to: $0) }
                .filter { Self.calendar.component(.year, from: $0) == year && ![1, 7].contains(Self.weekday($0)) }
            return dates + before
        case "gb":
            let fixed = try [(1, 1), (12, 25), (12, 26)].map { try Self.date(year, $0.0, $0.1) }
            let mondays = try [Self.nth(1, 2, 5, year), Self.last(2, 5, year), Self.last(2, 8, year)]
            return try Self.expected(year, fixed: [], easter: [-2, 1], fixed + mondays + Self.substitutes(fixed))
        case "au":
            let fixed = try [(1, 1), (1, 26), (4, 25), (12, 25), (12, 26)].map { try Self.date(year, $0.0, $0.1) }
            return try Self.expected(year, fixed: [], easter: [-2, 1], fixed + Self.substitutes(fixed))
        default:
            let fixed = try [(1, 1), (6, 19), (7, 4), (11, 11), (12, 25)].map { try Self.date(year, $0.0, $0.1) }
            // Executive Order 11582: Saturday's on Friday, Sunday's on Monday; also the next New Year's.
            let observed = try (fixed + [Self.date(year + 1, 1, 1)]).compactMap { date -> Date? in
                switch Self.weekday(date) {
                case 7: try Self.add(-1, to: date)
                case 1: try Self.add(1, to: date)
                default: nil
                }
            }.filter { Self.calendar.component(.year, from: $0) == year }
            let mondays = try [
                Self.nth(3, 2, 1, year), Self.nth(3, 2, 2, year), Self.last(2, 5, year), Self.nth(1, 2, 9, year),
                Self.nth(2, 2, 10, year), Self.nth(4, 5, 11, year),
            ]
            return fixed + observed + mondays
        }
    }

    @Test(
        "the holidays of 2026 to 2028 are those that the rules give, substitute days included",
        arguments: [
            "us", "us-strict", "gb", "fr", "fr-research", "it", "it-research", "de", "au", "es", "pt", "br",
        ]
    )
    func holidays(name: String) throws {
        let expected = try Set((2026...2028).flatMap { try Self.expected(name, $0) }.map(Self.text)).sorted()
        #expect(try Self.policy(name).blockedDates == expected)
    }

    @Test(
        "Easter is where almanacs have it",
        arguments: [(2024, "2024-03-31"), (2026, "2026-04-05"), (2027, "2027-03-28"), (2028, "2028-04-16")]
    )
    func easter(year: Int, date: String) throws {
        #expect(try Self.text(Self.easter(year)) == date)
    }
}
