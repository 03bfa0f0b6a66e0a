// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import PhoneNumbers
import Testing

@Suite(.timeLimit(.minutes(20)))
struct CountryZonesTests {
    @Test(
        "zones of a country whose clocks agree are one",
        arguments: [
            ("DE", "Europe/Berlin"), ("FR", "Europe/Paris"), ("GB", "Europe/London"), ("JP", "Asia/Tokyo"),
            ("CN", "Asia/Shanghai,Asia/Urumqi"), ("ES", "Atlantic/Canary,Europe/Madrid"), ("IN", "Asia/Kolkata"),
            ("XK", "Europe/Belgrade"), ("ZZ", nil),
            (
                "US",
                "America/Adak,America/Anchorage,America/Chicago,America/Denver,America/Los_Angeles,America/New_York,"
                    + "America/Phoenix,Pacific/Honolulu"
            ),
        ] as [(String, String?)]
    )
    func zones(country: String, expected: String?) throws {
        #expect(try CountryZones().zones(of: country) == expected)
    }

    @Test("every country that has numbers has zones, sorted, once each, and Foundation knows them")
    func everyCountry() throws {
        let zones = try CountryZones()
        #expect(zones.countries.count > 240)
        let known = Set(TimeZone.knownTimeZoneIdentifiers)
        var unknown: Set<String> = []
        for region in NumberPlan.regions.sorted() {
            let names = try #require(zones.zones(of: region), "\(region)").split(separator: ",").map(String.init)
            #expect(!names.isEmpty && names == Set(names).sorted(), "\(region)")
            unknown.formUnion(names.filter { TimeZone(identifier: $0) == nil && !known.contains($0) })
        }
        #expect(unknown.isEmpty)
    }

    @Test("zones that fall into line are one from then on")
    func period() throws {
        // Kazakhstan's clocks agree since 1 March 2024 (tzdata 2024a).
        let before = try CountryZones(now: Date(timeIntervalSince1970: 1_700_000_000))
        let after = try CountryZones(now: Date(timeIntervalSince1970: 1_710_000_000))
        #expect(before.zones(of: "KZ")?.contains(",") == true)
        #expect(after.zones(of: "KZ")?.contains(",") == false)
    }

    @Test("only names that are understood are given; if a part of a country has none, the country has none")
    func known() throws {
        let all = try CountryZones()
        let some = try CountryZones(known: ["Europe/Busingen", "Europe/Madrid", "Europe/Paris"])
        #expect(all.zones(of: "DE") == "Europe/Berlin")
        #expect(some.zones(of: "DE") == "Europe/Busingen")
        #expect(some.zones(of: "FR") == "Europe/Paris")
        #expect(some.zones(of: "ES") == nil)
    }

    @Test("a system without the tables is told which file is missing, and what to install")
    func missing() {
        let fault = #expect(throws: CountryZones.Fault.self) { try CountryZones(directory: "/nowhere") }
        #expect(fault?.description.contains("/nowhere/zone.tab") == true)
        #expect(fault?.description.contains("tzdata") == true)
    }
}
