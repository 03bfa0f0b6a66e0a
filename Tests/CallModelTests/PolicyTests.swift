// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation
import Schemas
import TestBasics
import Testing

@Suite(.timeLimit(.minutes(20)))
struct PolicyTests {
    private static let evidence = #""source": "s", "as_of": "2026-11-24", "confidence": "primary""#

    private static func document(_ change: (inout [String: String]) -> Void = { _ in }) -> String {
        var fields = [
            "name": #""own""#, "version": #""2026-11-24""#, "title": #""t""#, "notice": #""no legal advice""#,
            "as_of": #""2026-11-24""#, "regions": "[]", "purposes": #"["research"]"#,
            "windows": #"[{"days": "1-5", "from": "09:00", "to": "20:00", \#(Self.evidence)}]"#,
            "holidays": """
            {"region": "X", \(Self.evidence), "blocked": [{"date": "2026-12-25", "name": "n"}],
             "windows_on": [{"date": "2026-12-24", "name": "n", "from": "10:00", "to": "12:00"}]}
            """,
            "limits": #"[{"attempts": 3, "hours": 24, \#(Self.evidence)}]"#,
            "ring_timeout_min_seconds": #"{"value": 15, \#(Self.evidence)}"#,
            "requires_consent": #"{"value": true, \#(Self.evidence)}"#,
            "max_attempts": #"{"value": 8, \#(Self.evidence)}"#, "notes": "[]",
        ]
        change(&fields)
        return "{" + fields.map { "\"\($0.key)\": \($0.value)" }.joined(separator: ",") + "}"
    }

    @Test("a document becomes a week, dates, limits and bounds; a day with a shorter window is blocked wholly")
    func parsing() throws {
        let policy = try Policy.parse(Self.document())
        #expect(policy.label == "own@2026-11-24")
        #expect(policy.week.description == "Mon-Fri 09:00-20:00")
        #expect(policy.blockedDates == ["2026-12-24", "2026-12-25"])
        #expect(policy.limits == [try NumberLimit(attemptsPer: "3/24h")])
        #expect(policy.ringTimeoutMinimum == 15)
        #expect(policy.maximumAttempts == 8)
        #expect(policy.requiresConsent)
    }

    @Test(
        "what is wrong with a document is named by its place",
        arguments: [
            ("title", nil, "$.title: is missing"),
            ("windwos", "[]", "$.windwos: is not a field here"),
            ("name", #""Own Rules""#, "$.name: 'Own Rules'"),
            ("version", #""2026-02-30""#, "$.version: '2026-02-30'"),
            ("version", #""1.0""#, "$.version: '1.0'"),
            ("regions", #"["FR", "France"]"#, "$.regions[1]: 'France'"),
            ("purposes", #"["fun"]"#, "$.purposes[0]: 'fun' is none of"),
            ("windows", "[]", "$.windows: is empty"),
            (
                "windows", #"[{"days": "1-8", "from": "09:00", "to": "20:00", \#(Self.evidence)}]"#,
                "$.windows[0].days: '1-8'"
            ),
            (
                "windows", #"[{"days": "1", "from": "9:00", "to": "20:00", \#(Self.evidence)}]"#,
                "$.windows[0].from: '9:00'"
            ),
            (
                "windows", #"[{"days": "1", "from": "09:00", "to": "09:00", \#(Self.evidence)}]"#,
                "$.windows[0]: '09:00-09:00'"
            ),
            ("windows", #"[{"days": "1", "from": "09:00", "to": "20:00"}]"#, "$.windows[0].source: is missing"),
            (
                "holidays", #"{"region": "X", \#(Self.evidence), "blocked": [{"date": "2026-13-01", "name": "n"}]}"#,
                "$.holidays.blocked[0].date: '2026-13-01'"
            ),
            ("limits", #"[{"hours": 24, \#(Self.evidence)}]"#, "$.limits[0]: must have either"),
            (
                "limits", #"[{"attempts": 1, "rest_after": ["busy"], "hours": 24, \#(Self.evidence)}]"#,
                "$.limits[0]: must have either"
            ),
            (
                "limits", #"[{"attempts": 0, "hours": 24, \#(Self.evidence)}]"#,
                "$.limits[0].attempts: 0 is not in 1…100"
            ),
            (
                "limits", #"[{"rest_after": ["cross"], "hours": 24, \#(Self.evidence)}]"#,
                "$.limits[0].rest_after[0]: 'cross'"
            ),
            ("requires_consent", #"{"value": 1, \#(Self.evidence)}"#, "$.requires_consent.value: is neither"),
            ("requires_consent", "true", "$.requires_consent: is not an object"),
            ("max_attempts", #"{"value": 16, \#(Self.evidence)}"#, "$.max_attempts.value: 16 is not in 1…15"),
            ("max_attempts", #"{"value": 1.5, \#(Self.evidence)}"#, "$.max_attempts.value: is not a whole number"),
            ("notes", #"[""]"#, "$.notes[0]: has 0 characters"),
        ] as [(String, String?, String)]
    )
    func faults(field: String, value: String?, reason: String) {
        let fault = #expect(throws: Policy.Fault.self) {
            try Policy.parse(Self.document { $0[field] = value })
        }
        #expect(fault?.description.hasPrefix(reason) == true, "\(fault?.description ?? "")")
    }

    @Test("what is no JSON is refused", arguments: ["", "{", "[]", "null"])
    func noJSON(text: String) {
        let fault = #expect(throws: Policy.Fault.self) { try Policy.parse(text) }
        #expect(fault?.path == "$")
    }

    private static func randomWeek(_ random: inout SeededRandom) throws -> CallingWeek {
        var windows: [String] = []
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let from = Int.random(in: 0..<24, using: &random)
            let to = (from + Int.random(in: 1..<24, using: &random)) % 24
            func two(_ hour: Int) -> String { hour < 10 ? "0\(hour)" : "\(hour)" }
            let day = Int.random(in: 1...7, using: &random)
            windows.append("\(day) \(two(from)):\(random.next() % 2 == 0 ? "00" : "30")-\(two(to)):15")
        }
        return try CallingWeek(windows: windows, weekdays: [])
    }

    private static func minutes(_ week: CallingWeek) -> Set<Int> { Set(week.ranges.flatMap { Array($0) }) }

    @Test("the intersection of two weeks has exactly the minutes that both have", arguments: 0..<50)
    func intersection(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let first = try Self.randomWeek(&random)
        let second = try Self.randomWeek(&random)
        let both = first.intersection(second)
        #expect(Self.minutes(both) == Self.minutes(first).intersection(Self.minutes(second)), "seed \(seed)")
        #expect(both == second.intersection(first))
        #expect(try CallingWeek(multirange: both.multirange) == both)
    }

    @Test("tightened settings are never looser than the policy, nor than they were", arguments: 0..<100)
    func tightening(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let texts = Schemas.policies.sorted { $0.key < $1.key }.map(\.value)
        let policy = try Policy.parse(try #require(texts.randomElement(using: &random)))
        var settings = CampaignSettings(name: "x", timeZone: "UTC")
        settings.maximumAttempts = Int.random(in: 1...15, using: &random)
        settings.ringTimeoutSeconds = Int.random(in: 5...60, using: &random)
        settings.week = random.next() % 2 == 0 ? try Self.randomWeek(&random) : nil
        settings.callDays = (1...7).filter { _ in random.next() % 3 > 0 }
        settings.numberLimits = [try NumberLimit(attemptsPer: "3/24h")]
        let (effective, changes) = policy.tightened(by: settings)
        let week = Self.minutes(effective.effectiveWeek)
        #expect(week.isSubset(of: Self.minutes(policy.week)), "seed \(seed)")
        #expect(week.isSubset(of: Self.minutes(settings.effectiveWeek)), "seed \(seed)")
        #expect(week.isEmpty == !policy.faults(for: settings).isEmpty, "seed \(seed)")
        #expect(effective.maximumAttempts == min(settings.maximumAttempts, policy.maximumAttempts))
        #expect(effective.ringTimeoutSeconds == max(settings.ringTimeoutSeconds, policy.ringTimeoutMinimum ?? 0))
        #expect(Set(effective.numberLimits) == Set(settings.numberLimits + policy.limits))
        #expect(effective.numberLimits.count == Set(effective.numberLimits).count)
        let tellsOfWeek = changes.contains { $0.hasPrefix("window:") }
        #expect(tellsOfWeek == (week != Self.minutes(settings.effectiveWeek)), "seed \(seed)")
    }
}
