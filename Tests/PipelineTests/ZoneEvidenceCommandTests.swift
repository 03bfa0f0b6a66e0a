// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import TestSupport
import Testing

/// Where somebody is, as operators choose what suffices and are told what it costs.
@Suite(.timeLimit(.minutes(20)))
struct ZoneEvidenceCommandTests {
    private static let contacts = """
        phone_number,region,postal_code
        +12125550110,,10001
        +13105550111,,
        +18505550112,,32401
        +14155550113,,10001
        +493023125110,,10115
        +12085550114,US-ID,83201
        +12085550115,US-XX,
        """

    private static func loaded(
        _ options: [String],
        _ body:
            @Sendable (Scratch, Product.Ended, @Sendable ([String]) async throws -> Product.Ended) async throws -> Void
    ) async throws {
        try await Scratch.run { scratch in
            let run: @Sendable ([String]) async throws -> Product.Ended = {
                try await Product.run($0, ["DATABASE_URL": scratch.databaseURL])
            }
            let created = try await run(["campaign", "create", "c", "--time-zone", "America/New_York"] + options)
            #expect(created.exitCode == 0, "\(created.errors)")
            let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString + ".csv").path
            defer { try? FileManager.default.removeItem(atPath: path) }
            try Self.contacts.write(toFile: path, atomically: true, encoding: .utf8)
            let loaded = try await run(["contacts", "import", path, "--campaign", "c"])
            #expect(loaded.exitCode == 0, "\(loaded.output)\(loaded.errors)")
            try await body(scratch, loaded, run)
        }
    }

    private static func why(
        _ number: String,
        _ run: @Sendable ([String]) async throws -> Product.Ended
    ) async throws -> String {
        let why = try await run(["contacts", "why", number])
        return why.output.split(separator: "\n").first { $0.contains("window open") }.map(String.init) ?? why.errors
    }

    @Test("an import and the check tell what the default costs, and what weaker evidence would bring")
    func cost() async throws {
        try await Self.loaded([]) { _, loaded, run in
            #expect(
                loaded.output.contains("evidence  5 by the number's prefix, 4 by postal code, 1 by a region"),
                "\(loaded.output)"
            )
            // Germany is open for eleven hours, the whole of the United States for five or six.
            let words =
                /6 contacts without a time zone of their own can be called [567]\.\d hours a day \(the fewest [56]\.0\), by evidence country; by area-code it would be (9|10)\.\d \(more for 5 of them\)/
            #expect(try words.firstMatch(in: loaded.output) != nil, "\(loaded.output)")
            let check = try await run(["campaign", "check", "c"])
            #expect(try words.firstMatch(in: check.output) != nil, "\(check.output)")
            #expect(
                try await Self.why("+12125550110", run).contains("by the country of its number; it must be open in all")
            )
            let set = try await run(["campaign", "set", "c", "--zone-evidence", "postal-code"])
            #expect(set.exitCode == 0 && set.output.contains("by evidence postal-code"), "\(set.output)\(set.errors)")
            let shown = try await run(["campaign", "show", "c"])
            #expect(shown.output.contains("postal-code"))
            for (number, words) in [
                ("+12125550110", "in America/New_York, by its number's prefix and by its postal code"),
                ("+13105550111", "in America/Los_Angeles, by its number's prefix"),
                ("+18505550112", "in America/Chicago,America/New_York, by its number's prefix and by its postal code"),
                (
                    "+14155550113",
                    "since sources disagree: America/Los_Angeles by its number's prefix, America/New_York by its postal code"
                ),
                (
                    "+12085550114",
                    "in America/Denver, by its number's prefix and by its postal code and by its region"
                ),
                ("+493023125110", "in Europe/Berlin, by the country of its number"),
            ] {
                let why = try await Self.why(number, run)
                #expect(why.contains(words), "\(why)")
            }
        }
    }

    @Test("a contact of a country with one zone costs nothing, and nothing is told")
    func plain() async throws {
        try await Self.loaded([]) { scratch, _, run in
            try await scratch.execute("delete from contacts where phone_number like '+1%'")
            let check = try await run(["campaign", "check", "c"])
            #expect(!check.output.contains("zone_evidence"), "\(check.output)")
        }
    }

    @Test("contacts of a program that knew no prefixes are told their zones when the evidence is chosen")
    func before() async throws {
        try await Self.loaded([]) { scratch, _, run in
            try await scratch.execute(
                """
                with plain as (
                    insert into campaign_strata (campaign_id, region, time_zone, time_zone_source)
                    select distinct campaign_id, region, time_zone, 'number' from campaign_strata where region = 'US'
                    returning id)
                update contacts set stratum_id = plain.id from plain where phone_number like '+1%'
                """
            )
            let set = try await run(["campaign", "set", "c", "--zone-evidence", "area-code"])
            #expect(set.output.contains("told the zones of 5 contacts"), "\(set.output)\(set.errors)")
            #expect(try await Self.why("+13105550111", run).contains("in America/Los_Angeles, by its number's prefix"))
        }
    }

    @Test("what is not a level, and what the policy forbids, is refused with what is allowed")
    func refused() async throws {
        try await Self.loaded(["--zone-evidence", "area-code"]) { _, _, run in
            let unknown = try await run(["campaign", "set", "c", "--zone-evidence", "zip"])
            #expect(unknown.exitCode == 64 && unknown.errors.contains("country, area-code, postal-code"))
            let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString + ".json")
            defer { try? FileManager.default.removeItem(at: file) }
            let us = try #require(try CallStore.shippedPolicies().first { $0.name == "us" }).document
            let rule =
                #"{"value": "area-code", "source": "the house", "as_of": "2026-11-28", "confidence": "unverified"}"#
            try us.replacing("\"name\": \"us\"", with: "\"name\": \"house\", \"zone_evidence\": \(rule)")
                .write(to: file, atomically: true, encoding: .utf8)
            let checked = try await run(["policy", "check", file.path])
            #expect(checked.output.contains("area-code at the weakest"), "\(checked.output)\(checked.errors)")
            let options = ["--time-zone", "America/New_York", "--policy-file", file.path, "--zone-evidence"]
            let forbidden = try await run(["campaign", "create", "d"] + options + ["postal-code"])
            #expect(forbidden.exitCode == 64, "\(forbidden.output)")
            #expect(forbidden.errors.contains("forbids postal-code; it allows area-code"), "\(forbidden.errors)")
            let allowed = try await run(["campaign", "create", "d"] + options + ["area-code"])
            #expect(allowed.exitCode == 0, "\(allowed.errors)")
            let weaker = try await run(["campaign", "set", "d", "--zone-evidence", "postal-code"])
            #expect(weaker.exitCode != 0 && weaker.errors.contains("forbids postal-code"), "\(weaker.errors)")
        }
    }
}
