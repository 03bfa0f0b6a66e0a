// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation
import PhoneNumbers
import Testing

/// Where somebody is, by the number's prefix and by a postal code.
@Suite(.timeLimit(.minutes(20)))
struct ZoneEvidenceTests {
    private static let countries = try? CountryZones()

    private static func evidence() throws -> (ZoneEvidence, CountryZones) {
        let countries = try #require(Self.countries)
        return (ZoneEvidence(countries: countries), countries)
    }

    @Test(
        "a number's prefix tells its zones, all of those that it may be in",
        arguments: [
            ("+12125550123", "US", "America/New_York"), ("+13105550123", "US", "America/Los_Angeles"),
            ("+18505550123", "US", "America/Chicago,America/New_York"),
            ("+12085550123", "US", "America/Denver,America/Los_Angeles"),
            ("+19285550123", "US", "America/Denver,America/Phoenix"), ("+18085550123", "US", "Pacific/Honolulu"),
            ("+14165550123", "CA", "America/Toronto"), ("+13065550123", "CA", "America/Edmonton,America/Regina"),
            ("+74955550123", "RU", "Europe/Moscow"), ("+74235550123", "RU", "Asia/Vladivostok"),
            ("+5511987654321", "BR", "America/Sao_Paulo"), ("+5568987654321", "BR", "America/Rio_Branco"),
            ("+526641234567", "MX", "America/Tijuana"), ("+525512345678", "MX", "America/Mexico_City"),
            ("+61892345678", "AU", "Australia/Perth"), ("+61712345678", "AU", "Australia/Brisbane,Australia/Sydney"),
            ("+622112345678", "ID", "Asia/Jakarta"), ("+623611234567", "ID", "Asia/Makassar"),
            ("+34928123456", "ES", "Atlantic/Canary"), ("+34912345678", "ES", "Europe/Madrid"),
            // Of no place: tollfree, mobile where mobile numbers have no area, and what no plan knows.
            ("+18005550123", "US", nil), ("+61412345678", "AU", nil), ("+79161234567", "RU", nil),
            ("+34612345678", "ES", nil), ("+493023125001", "DE", nil), ("+77272345678", "KZ", nil),
            // Kazakhstan's and the Christmas Islands' numbers begin like their neighbours'.
            ("+61891641234", "CX", nil), ("+12125550123", "CA", nil),
        ] as [(String, String, String?)]
    )
    func numbers(number: String, region: String, zones: String?) throws {
        let (evidence, countries) = try Self.evidence()
        let told = evidence.zones(
            of: try PhoneNumber(number),
            region: region,
            beside: countries.zones(of: region)
        )
        let own = Set(countries.zones(of: region)?.split(separator: ",") ?? [])
        #expect((told == nil) == (zones == nil), "\(told ?? "–")")
        guard let told, let zones else { return }
        // By the names that the country has for these clocks.
        #expect(told.split(separator: ",").allSatisfy(own.contains), "\(told)")
        let named = zones.split(separator: ",").map(String.init).sorted()
        let again = evidence.zones(of: try PhoneNumber(number), region: region, beside: zones)
        #expect(again == named.joined(separator: ","))
    }

    @Test(
        "a postal code of the United States tells zones, however a spreadsheet has left it",
        arguments: [
            ("10001", "US", "America/New_York"), ("90210-1234", "US", "America/Los_Angeles"),
            ("902101234", "US", "America/Los_Angeles"), ("2134", "US", "America/New_York"),
            ("601", "PR", "America/Puerto_Rico"), ("32401", "US", "America/Chicago,America/New_York"),
            ("96701", "US", "Pacific/Honolulu,Pacific/Pago_Pago"),
            ("10115", "DE", nil), ("K1A 0B1", "CA", nil), ("09001", "US", nil), ("96910", "GU", nil),
            ("abc", "US", nil),
            ("1000", "DE", nil), ("", "US", nil), ("12", "US", nil), ("123456", "US", nil),
        ] as [(String, String, String?)]
    )
    func postalCodes(code: String, region: String, zones: String?) throws {
        let (evidence, _) = try Self.evidence()
        #expect(evidence.zones(ofPostalCode: code, region: region, isOfNumber: false, beside: nil) == zones)
    }

    @Test("a Canadian number with a code of digits is that of somebody who has moved, unless the file says Canada")
    func moved() throws {
        let (evidence, _) = try Self.evidence()
        func zones(_ isOfNumber: Bool) -> String? {
            evidence.zones(ofPostalCode: "90210", region: "CA", isOfNumber: isOfNumber, beside: nil)
        }
        #expect(zones(true) == "America/Los_Angeles")
        #expect(zones(false) == nil)
    }

    @Test("names of the same clocks are given as the one that the contact has")
    func names() throws {
        let (evidence, _) = try Self.evidence()
        let number = try PhoneNumber("+12125550123")
        #expect(evidence.zones(of: number, region: "US", beside: "America/Detroit") == "America/Detroit")
        #expect(evidence.zones(of: number, region: "US", beside: "America/Phoenix") == "America/New_York")
    }

    @Test("a zone that the database does not know, nor another of its clocks, tells nothing")
    func unknown() throws {
        let countries = try CountryZones(known: ["America/Chicago", "America/Detroit"])
        let evidence = ZoneEvidence(countries: countries)
        func zones(_ number: String, _ own: String?) throws -> String? {
            evidence.zones(of: try PhoneNumber(number), region: "US", beside: own)
        }
        #expect(try zones("+13125550123", nil) == "America/Chicago")
        #expect(try zones("+13105550123", nil) == nil)
        #expect(try zones("+12125550123", "America/Detroit") == "America/Detroit")
        // Half of it is known: that half alone would be too little.
        #expect(try zones("+18505550123", nil) == nil)
    }
}
