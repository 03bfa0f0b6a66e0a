// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CPhoneNumber
import CallModel
import PhoneNumbers
import TestBasics
import Testing

@Suite(.timeLimit(.minutes(20)))
struct NumberPlanTests {
    @Test(
        "a number is read as people write it, and its country is told",
        arguments: [
            ("+4930901820", nil, "+4930901820", "DE"), ("030 901820", "DE", "+4930901820", "DE"),
            ("(0)30-90.18/20", "DE", "+4930901820", "DE"), ("0049 30 901820", "de", "+4930901820", "DE"),
            ("tel:+49-30-901820", nil, "+4930901820", "DE"), ("+49 (0) 30 901820", nil, "+4930901820", "DE"),
            ("\u{FF0B}\u{FF14}\u{FF19}30901820", nil, "+4930901820", "DE"),
            ("(212) 736-5000", "US", "+12127365000", "US"), ("1 212 736 5000", "US", "+12127365000", "US"),
            ("011 49 30 901820", "US", "+4930901820", "DE"), ("+1 416 736 5000", nil, "+14167365000", "CA"),
            ("+1 787 736 5000", nil, "+17877365000", "PR"), ("1-800-FLOWERS", "US", "+18003569377", "US"),
            ("020 7946 0018", "GB", "+442079460018", "GB"), ("02 1234 5678", "IT", "+390212345678", "IT"),
            ("٠٣٠ ٩٠١٨٢٠", "DE", "+4930901820", "DE"), ("+٩٦٦ ٥٠ ١٢٣ ٤٥٦٧", nil, "+966501234567", "SA"),
            ("+52 1 55 1234 5678", nil, "+525512345678", "MX"), ("+800 1234 5678", nil, "+80012345678", nil),
            ("0049 30 901820", nil, "+4930901820", "DE"),
            ("\u{202A}+49\u{202F}30 901\u{2011}820\u{202C}", nil, "+4930901820", "DE"),
            ("+7 701 234 56 78", nil, "+77012345678", "KZ"), ("030901820 ", "DE", "+4930901820", "DE"),
        ] as [(String, String?, String, String?)]
    )
    func reads(text: String, country: String?, e164: String, region: String?) throws {
        let entry = try NumberPlan(country: country).entry(text)
        #expect(entry.phoneNumber.e164 == e164)
        #expect(entry.region == region)
        #expect(entry.isAssigned)
    }

    @Test(
        "a text that cannot be dialed says why",
        arguments: [
            ("", "DE", "is empty"), ("hello", "DE", "is not a phone number"), ("030 901820", nil, "--country"),
            ("0011 49 30 901820", nil, "--country"),
            ("+999 12345678", nil, "country code that does not exist"), ("+49 30", nil, "lacks its area code"),
            ("12", "US", "too short in US"), ("736 5000", "US", "lacks its area code in US"),
            ("+1 212 736 50001", nil, "too long in US"),
            ("+7 365 000", nil, "too short in RU"), ("+7365000", nil, "too short in RU"),
            ("+7 495 123 45", nil, "too short"), ("+4930" + String(repeating: "1", count: 20), nil, "too long"),
            ("+49 30 901820 ext. 12", nil, "extension"), ("+1 212 736 5000 x7", nil, "extension"),
            ("0301234 Amt", "DE", "has letters"), ("(212) 736-5000", "GB", "is possible in GB"),
            ("+1 999 555 0101", nil, "possible in US, but"), ("+44 115 496 0001", nil, "--assigned-only"),
            ("0800;123", "DE", "extension"), ("\0", "DE", "not a phone number"),
        ] as [(String, String?, String)]
    )
    func refuses(text: String, country: String?, reason: String) throws {
        let plan = try NumberPlan(country: country)
        let fault = #expect(throws: NumberPlan.Fault.self) { try plan.entry(text) }
        #expect(fault?.reason.contains(reason) == true, "\(fault?.reason ?? "")")
    }

    @Test("a possible number in no assigned range is taken by option, with the main country of its code")
    func unassigned() throws {
        let plan = try NumberPlan(country: "DE", allowsUnassigned: true)
        let entry = try plan.entry("+1 999 555 0101")
        #expect(entry.phoneNumber.e164 == "+19995550101")
        #expect(entry.region == "US")
        #expect(!entry.isAssigned)
        #expect(throws: NumberPlan.Fault.self) { try plan.entry("+1 999 555") }
        #expect(throws: NumberPlan.Fault.self) { try NumberPlan(country: "Germany") }
        #expect(throws: NumberPlan.Fault.self) { try NumberPlan(country: "ZZ") }
    }

    @Test("the example of every country is read, and belongs to that country")
    func examples() throws {
        #expect(NumberPlan.regions.count > 240)
        let plan = try NumberPlan()
        for region in NumberPlan.regions.sorted() {
            var number = cphone_number()
            guard cphone_example(region, &number) == 1 else {
                Issue.record("there is no example of \(region)")
                continue
            }
            let text = withUnsafeBytes(of: number.e164) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            // Shorter numbers than E.164's seven digits exist on some islands; they cannot be told from short codes.
            guard text.utf8.count >= 8 else { continue }
            // Saint Martin and its neighbour have the same ranges.
            let expected = region == "MF" ? "BL" : region
            #expect(try plan.entry(text).region == expected, "\(text)")
        }
    }

    /// The short way is only as good as this comparison.
    @Test("a plain E.164 number is read as the library's own parser reads it", arguments: 0..<4)
    func shortWay(shard: UInt64) throws {
        var random = SeededRandom(seed: shard)
        var examples: [String] = []
        for region in NumberPlan.regions.sorted() {
            var number = cphone_number()
            _ = cphone_example(region, &number)
            examples.append(withUnsafeBytes(of: number.e164) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
        }
        var accepted = 0
        for example in examples {
            for _ in 0..<25 {
                let kept = example.dropLast(Int.random(in: 0...7, using: &random))
                let tail = (0..<(example.count - kept.count + Int.random(in: 0...1, using: &random))).map { _ in
                    String(Int.random(in: 0...9, using: &random))
                }
                let text = kept + tail.joined()
                var short = cphone_number()
                var thorough = cphone_number()
                let answer = cphone_parse(String(text), text.utf8.count, nil, &short)
                #expect(answer == cphone_parse_thoroughly(String(text), text.utf8.count, nil, &thorough), "\(text)")
                guard answer == CPHONE_VALID else { continue }
                accepted += 1
                let isSame = withUnsafeBytes(of: short) { first in
                    withUnsafeBytes(of: thorough) { second in first.elementsEqual(second) }
                }
                #expect(isSame, "\(text)")
            }
        }
        #expect(accepted > 1000)
    }
}
