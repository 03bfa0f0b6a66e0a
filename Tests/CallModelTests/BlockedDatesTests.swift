// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Testing

struct BlockedDatesTests {
    @Test(
        "calendars and lists are read",
        arguments: [
            ("2026-12-25\n2026-12-25\n2026-01-01\n", ["2026-01-01", "2026-12-25"]),
            ("date,name\r\n2026-12-25,\"Christmas, first day\"\r\n\r\n", ["2026-12-25"]),
            (
                "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261231\r\nDTEND;VALUE=DATE:20270102\r\n"
                    + "SUMMARY:New\r\n  Year\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
                ["2026-12-31", "2027-01-01"]
            ),
            ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20280229T080000Z\nEND:VEVENT\n", ["2028-02-29"]),
            ("", []),
        ]
    )
    func good(text: String, dates: [String]) throws {
        #expect(try BlockedDates.parse(text) == dates)
    }

    @Test(
        "what is no date is refused with its line",
        arguments: [
            ("2026-12-25\n2026-02-29\n", 2), ("25.12.2026\n", 1), ("2026-13-01\n", 1), ("2026-1-1\n", 1),
            ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:soon\nEND:VEVENT\n", 3),
            ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VEVENT\n", 3),
            ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261225\nRRULE:FREQ=YEARLY\nEND:VEVENT\n", 4),
        ]
    )
    func bad(text: String, line: Int) throws {
        let fault = #expect(throws: BlockedDates.Fault.self) { try BlockedDates.parse(text) }
        #expect(fault?.line == line)
    }
}
