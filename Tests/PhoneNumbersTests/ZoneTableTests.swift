// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation
import PhoneNumbers
import TestBasics
import Testing

/// `Schemas/Numbers/zones.json` against two tables that others have made: `phonenumbers` and `zipcodes` from PyPI, condensed
/// by `Tests/ZoneTables/condense.py`. A zone that they know and we do not is a call at night.
@Suite(.timeLimit(.minutes(20)))
struct ZoneTableTests {
    private struct Ours: Decodable {
        struct Area: Decodable {
            let zones: [String]
            let prefixes: [String]
        }

        struct Plan: Decodable {
            let region: String
            let code: String
            let source: String
            let read: String
            let areas: [Area]
        }

        struct Places: Decodable {
            let region: String
            let areas: [Area]
        }

        let numbers: [Plan]
    }

    private static func table(_ name: String) throws -> [String: [String]] {
        let file = Shell.root.appendingPathComponent("Tests/ZoneTables/\(name).json")
        return try JSONDecoder().decode([String: [String]].self, from: Data(contentsOf: file))
    }

    private static func plans() throws -> [Ours.Plan] {
        let file = Shell.root.appendingPathComponent("Schemas/Numbers/zones.json")
        return try JSONDecoder().decode(Ours.self, from: Data(contentsOf: file)).numbers
    }

    private static let evidence: ZoneEvidence? = (try? CountryZones()).map { ZoneEvidence(countries: $0) }

    /// Where their table is older than the clocks, or wrong, or says where a range's first holder was.
    private static let exceptions: [String: String] = [
        "1474": "Saskatchewan keeps its own time all the year; only Lloydminster follows Alberta",
        "1689": "Orlando is in the Eastern zone, as its other area codes are",
        "1867": "Yukon keeps Mountain standard time all the year since November 2020",
        "1879": "overlays 709, whose zones it has",
        "1907": "Unalaska is in the Alaska zone",
        "7401": "Kaliningrad has no summer time, Bucharest has",
        "7845": "Saratov is four hours ahead since December 2016",
        "5555": "Rio Grande do Sul is in one zone",
        "5567": "Mato Grosso do Sul is in one zone",
        "5569": "Rondônia is in one zone",
        "5591": "Pará is in one zone since 2008",
        "5592": "Manaus is in one zone",
        "5593": "Pará is in one zone since 2008",
        "5594": "Pará is in one zone since 2008",
        "52663": "overlays Tijuana's 664",
    ].merging(
        ["614", "625", "627", "628", "629", "635", "636", "639", "648", "649", "652", "659"].map {
            ("52" + $0, "Chihuahua keeps central time since October 2022, but for the border")
        }
    ) { first, _ in first }.merging(
        ["880", "881", "882", "883", "884", "885", "886", "887", "888", "889", "89", "890"].map {
            (
                "61" + $0,
                "their entry for the whole of 08; South Australia, Broken Hill, the Territory and the West are apart"
            )
        }
    ) { first, _ in first }.merging(
        ["51", "52", "95", "96", "97"].map {
            ("62" + $0, "a few of their exchanges are on other islands than their codes")
        }
    ) { first, _ in first }.merging(
        ["61", "67"].map { ("56" + $0, "Magallanes and Aysén keep summer time all the year, since 2016 and 2025") }
    ) { first, _ in first }

    @Test("every zone that an independent table knows for a prefix is one of ours")
    func numbers() throws {
        let evidence = try #require(Self.evidence)
        let table = try Self.table("phonenumbers")
        var missing: [String] = []
        var unneeded = Set(Self.exceptions.keys)
        var compared = 0
        for plan in try Self.plans() {
            let prefixes = plan.areas.flatMap(\.prefixes)
            for prefix in prefixes {
                let theirs = table[plan.code + prefix] ?? []
                // A digit that makes no longer prefix of it.
                let digit = try #require(
                    (0...9).first { digit in !prefixes.contains { $0.hasPrefix("\(prefix)\(digit)") } }
                )
                let digits = (plan.code + prefix).padding(toLength: 11, withPad: String(digit), startingAt: 0)
                let number = try PhoneNumber("+" + digits)
                let lacks = theirs.filter { zone in
                    evidence.zones(of: number, region: plan.region, beside: zone)?.split(separator: ",")
                        .contains(Substring(zone)) != true
                }
                compared += theirs.isEmpty ? 0 : 1
                if !lacks.isEmpty, unneeded.remove(plan.code + prefix) == nil {
                    missing.append("\(plan.code)\(prefix) \(lacks.joined(separator: ","))")
                }
            }
        }
        #expect(compared > 700)
        #expect(missing.isEmpty, "\(missing.joined(separator: "\n"))")
        #expect(unneeded.isEmpty, "exceptions without need")
    }

    @Test("every area code of the United States and Canada has zones")
    func areaCodes() throws {
        let evidence = try #require(Self.evidence)
        let plan = try NumberPlan()
        let codes = try #require(try Self.table("phonenumbers")["area_codes"])
        var told: [String: Int] = [:]
        for code in codes {
            let number = try PhoneNumber("+\(code)4085123")
            guard let region = (try? plan.entry(number.e164))?.region, ["US", "CA"].contains(region) else { continue }
            let zones = evidence.zones(of: number, region: region, beside: nil)
            #expect(zones != nil, "\(code)")
            told[region, default: 0] += 1
        }
        #expect(told["US", default: 0] > 300 && told["CA", default: 0] > 40, "\(told)")
    }

    @Test("every zone that an independent table knows for a postal code is one of ours")
    func postalCodes() throws {
        let evidence = try #require(Self.evidence)
        // One code of each on the wrong side of a border that runs along counties: Chattanooga and El Paso are whole.
        let exceptions: Set<String> = ["374", "799"]
        var compared = 0
        for (prefix, theirs) in try Self.table("zipcodes") where prefix.utf8.count == 3 {
            func told(_ zone: String?) -> [Substring] {
                evidence.zones(ofPostalCode: prefix + "01", region: "US", isOfNumber: true, beside: zone)?
                    .split(separator: ",") ?? []
            }
            guard !told(nil).isEmpty, !exceptions.contains(prefix) else { continue }
            compared += 1
            for zone in theirs { #expect(told(zone).contains(Substring(zone)), "\(prefix) \(zone)") }
        }
        #expect(compared > 890)
    }

    @Test("every zone that an independent table knows for a state is one of ours")
    func states() throws {
        let evidence = try #require(Self.evidence)
        var compared = 0
        // Codes of armed forces abroad, and of states in free association, which are countries of their own.
        let others: Set<String> = ["US-AA", "US-AE", "US-AP", "US-FM", "US-MH", "US-PW"]
        for (part, theirs) in try Self.table("zipcodes") where part.hasPrefix("US-") && !others.contains(part) {
            compared += 1
            for zone in theirs {
                let told = try evidence.zones(ofRegion: part, beside: zone)?.split(separator: ",") ?? []
                #expect(told.contains(Substring(zone)), "\(part) \(zone)")
            }
        }
        #expect(compared > 50)
        #expect(throws: RowFault.self) { try evidence.zones(ofRegion: "US-XX", beside: nil) }
        #expect(try evidence.zones(ofRegion: "DE-BY", beside: nil) == nil)
    }

    @Test("each part of a country is in zones of that country")
    func parts() throws {
        struct Document: Decodable { let regions: [Ours.Places] }
        let evidence = try #require(Self.evidence)
        let countries = try CountryZones()
        let file = Shell.root.appendingPathComponent("Schemas/Numbers/zones.json")
        let document = try JSONDecoder().decode(Document.self, from: Data(contentsOf: file))
        #expect(document.regions.count == 7)
        for country in document.regions {
            let own = try #require(countries.zones(of: country.region))
            for part in country.areas.flatMap(\.prefixes) where !["PR", "VI", "GU", "MP", "AS"].contains(part) {
                let told = try evidence.zones(ofRegion: country.region + "-" + part, beside: own)
                let names = Set(told?.split(separator: ",") ?? [])
                #expect(!names.isEmpty && names.isSubset(of: Set(own.split(separator: ","))), "\(part): \(names)")
            }
        }
    }

    @Test("each plan names its source and the day on which it was read")
    func sources() throws {
        for plan in try Self.plans() {
            #expect(
                plan.source.contains("IANA") && plan.read.wholeMatch(of: /\d{4}-\d\d-\d\d/) != nil,
                "\(plan.region)"
            )
        }
    }
}
