// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation
import Testing

@Suite(.timeLimit(.minutes(20)))
struct ValueTests {
    @Test(
        "a number is taken in E.164 form, with the usual separators",
        arguments: [
            ("+14155550123", "+14155550123"), ("+1 (415) 555-0123", "+14155550123"), ("+49.30.1234567", "+49301234567"),
            ("+1234567", "+1234567"), ("+123456789012345", "+123456789012345"),
        ]
    )
    func goodNumbers(text: String, e164: String) throws {
        #expect(try PhoneNumber(text).e164 == e164)
    }

    @Test(
        "what is no E.164 number is refused with the reason",
        arguments: [
            ("", "is empty"), ("0151123456", "does not start with +"), ("+0151123456", "starts with 0"),
            ("+123456", "too short"), ("+1234567890123456", "too long"), ("+1415555O123", "neither a digit"),
            ("1+4155550123", "not at its start"), ("++14155550123", "not at its start"), ("+", "is empty"),
        ]
    )
    func badNumbers(text: String, reason: String) {
        let fault = #expect(throws: PhoneNumber.Fault.self) { try PhoneNumber(text) }
        #expect(fault?.reason.contains(reason) == true, "\(fault?.reason ?? "")")
    }

    @Test("a number that slips into a log line is masked")
    func masked() throws {
        let number = try PhoneNumber("+14155550123")
        #expect("\(number)" == "+***23")
    }

    @Test(
        "a window is two different times of day",
        arguments: [("09:00-20:00", 540, 1200), ("22:00-06:00", 1320, 360), ("00:00-23:59", 0, 1439)]
    )
    func goodWindows(text: String, start: Int, end: Int) throws {
        let window = try LocalTimeWindow(text)
        #expect(window.startMinute == start)
        #expect(window.endMinute == end)
        #expect(window.description == text)
    }

    @Test(
        "what is no window is refused",
        arguments: ["", "9-5", "09:00", "09:00-09:00", "24:00-25:00", "09:60-10:00", "09:00-10:00-11:00", "a:b-c:d"]
    )
    func badWindows(text: String) {
        #expect(throws: LocalTimeWindow.Fault.self) { try LocalTimeWindow(text) }
    }

    @Test("everything that is wrong with a campaign is named at once")
    func campaignFaults() {
        var settings = CampaignSettings(name: "", timeZone: "Mars/Olympus")
        settings.maximumAttempts = 16
        settings.callDays = [0, 8]
        settings.ringTimeoutSeconds = 1
        settings.answerURL = "ftp://x"
        settings.trunk = "a b"
        settings.startsAt = Date(timeIntervalSince1970: 2)
        settings.endsAt = Date(timeIntervalSince1970: 1)
        let faults = settings.faults().joined(separator: "\n")
        for option in [
            "name", "time-zone", "max-attempts", "call-days", "ring-timeout", "answer-url", "trunk", "ends-at",
        ] {
            #expect(faults.contains(option), "\(option)")
        }
        #expect(CampaignSettings(name: "good", timeZone: "Europe/Berlin").faults().isEmpty)
    }

    @Test("ids are UUIDs of version 7, unique, and in the order of their making")
    func callIDs() {
        let ids = (0..<2000).map { CallID.make(at: Date(timeIntervalSince1970: Double($0))) }
        #expect(Set(ids).count == 2000)
        #expect(ids.map(\.lowercased) == ids.map(\.lowercased).sorted())
        for id in ids {
            #expect(id.uuid.6 >> 4 == 7)
            #expect(id.uuid.8 >> 6 == 2)
        }
    }

    @Test("only errors of the number itself are permanent")
    func permanent() {
        #expect(PermanentFailure.matches(errorCode: "sip_404"))
        #expect(PermanentFailure.matches(errorCode: "21211"))
        #expect(!PermanentFailure.matches(errorCode: "sip_503"))
        #expect(!PermanentFailure.matches(errorCode: nil))
    }
}
