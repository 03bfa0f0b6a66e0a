// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import PhoneNumbers
import Testing

/// Numbers that a spreadsheet has changed, or that share a cell: read in the one way in which they can be, or refused.
@Suite(.timeLimit(.minutes(20)))
struct NumberTextTests {
    @Test(
        "what can be read in one way is read so",
        arguments: [
            // A 0 is lost, which no number that begins so with a country code can have.
            ("3023125140", "DE", "+493023125140"), ("1701234567", "DE", "+491701234567"),
            ("17612345678", "DE", "+4917612345678"), ("145678901", "FR", "+33145678901"),
            ("7400123456", "GB", "+447400123456"),
            // A + is lost.
            ("33145678901", "FR", "+33145678901"), ("447400123456", "GB", "+447400123456"),
            ("493023125001", "DE", "+493023125001"), ("493023125001.0", "DE", "+493023125001"),
            ("12125550123", "US", "+12125550123"), ("919812345678", "IN", "+919812345678"),
            // Nothing is lost: this is how they are written there.
            ("2125550123", "US", "+12125550123"), ("612345678", "ES", "+34612345678"),
            ("34612345678", "ES", "+34612345678"),
            ("13012345678", "CN", "+8613012345678"), ("5512345678", "MX", "+525512345678"),
            // A float.
            ("+493023125001.0", nil, "+493023125001"), ("03023125002.0", "DE", "+493023125002"),
            ("3023125002.0", "DE", "+493023125002"), ("3023125002,00", "DE", "+493023125002"),
            // Marks that keep a spreadsheet from changing it, and what is not seen.
            ("'03023125140", "DE", "+493023125140"), ("=\"03023125140\"", "DE", "+493023125140"),
            ("=+493023125140", nil, "+493023125140"), ("\u{2019}+493023125140", nil, "+493023125140"),
            ("\u{200B}+49 30\u{2009}23125140\u{200F}", nil, "+493023125140"),
            // A zero that is not dialed from abroad.
            ("+49 (0)30 23125140", nil, "+493023125140"), ("0049 (0) 30 / 23 12 51 40", "DE", "+493023125140"),
            ("+49 030 23125140", nil, "+493023125140"), ("0044 (0)20 7946 0018", "US", "+442079460018"),
            // A slash behind the area code.
            ("030/23125140", "DE", "+493023125140"), ("+49 33203/12345", nil, "+493320312345"),
            ("033203 / 12345", "DE", "+493320312345"),
        ] as [(String, String?, String)]
    )
    func reads(text: String, country: String?, e164: String) throws {
        #expect(try NumberPlan(country: country).entry(text).phoneNumber.e164 == e164)
    }

    @Test(
        "what could be two numbers, or has lost digits, is refused with the reason, also where unassigned ones are taken",
        arguments: [
            ("491713920001", "DE", "--bare-numbers"), ("4917604069001", "DE", "--bare-numbers"),
            ("492214710001.0", "DE", "--bare-numbers"), ("436641234567", "DE", "--bare-numbers"),
            ("49 171 3920001", "DE", "--bare-numbers"), ("4312345678", "DE", "--bare-numbers"),
            ("15123456789", "DE", "--bare-numbers"), ("4.9E+11", "DE", "floating-point"),
            ("4,93023E11", "DE", "floating-point"),
            ("4.93023125001e+11", nil, "floating-point"), ("3023125001.5", "DE", "decimal fraction"),
            ("030 23125140 / 0171 3920001", "DE", "two numbers"), ("03023125140/41", "DE", "two numbers"),
            ("+493023125140;+493023125141", nil, "two numbers"), ("+493023125140,+493023125141", nil, "two numbers"),
            ("03023125140\n01713920001", "DE", "two numbers"), ("+493023125140 | +493023125141", nil, "two numbers"),
            ("+493023125140 & 41", nil, "two numbers"), ("030 23125140, 12", "DE", "extension"),
            ("030 23125140 ext 5", "DE", "extension"), ("030 23125140 oder 41", "DE", "letters"),
            ("'", "DE", "is empty"), ("=", "DE", "is empty"), ("491713920001", nil, "--country"),
        ] as [(String, String?, String)],
        [false, true]
    )
    func refuses(words: (text: String, country: String?, reason: String), allowsUnassigned: Bool) throws {
        let plan = try NumberPlan(country: words.country, allowsUnassigned: allowsUnassigned)
        let fault = #expect(throws: NumberPlan.Fault.self) { try plan.entry(words.text) }
        #expect(fault?.reason.contains(words.reason) == true, "\(fault?.reason ?? "")")
        #expect(fault?.reason.contains("23125") != true && fault?.reason.contains("3920") != true)
    }

    @Test(
        "told what numbers with nothing in front are, all are read so",
        arguments: [
            ("491713920001", NumberPlan.BareNumbers.international, "+491713920001"),
            ("4312345678", .international, "+4312345678"),
            ("4312345678", .national, "+494312345678"), ("3023125140", .national, "+493023125140"),
            ("15123456789", .national, "+4915123456789"), ("03023125140", .international, "+493023125140"),
            ("004312345678", .national, "+4312345678"), ("+12125550123", .national, "+12125550123"),
        ]
    )
    func told(text: String, bare: NumberPlan.BareNumbers, e164: String) throws {
        #expect(try NumberPlan(country: "DE", bareNumbers: bare).entry(text).phoneNumber.e164 == e164)
    }
}
