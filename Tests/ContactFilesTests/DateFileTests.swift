// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ContactFiles
import Testing

struct DateFileTests {
    private static func read(_ text: String) throws -> DateFile {
        try DateFile(Array(text.utf8), today: "2026-11-27")
    }

    /// A calendar of events, each given by its properties.
    private static func calendar(_ events: String..., header: String = "") -> String {
        "BEGIN:VCALENDAR\nVERSION:2.0\n" + header
            + events.map { "BEGIN:VEVENT\nUID:e@example.org\n\($0)\nEND:VEVENT\n" }.joined() + "END:VCALENDAR\n"
    }

    private static let christmas = ["2026-12-24", "2026-12-25", "2026-12-26"]

    @Test(
        "lists and calendars are read",
        arguments: [
            ("2026-12-25\n2026-12-25\n2026-01-01\n", ["2026-01-01", "2026-12-25"]),
            ("date,name\r\n2026-12-25,\"Christmas, first day\"\r\n\r\n", ["2026-12-25"]),
            ("\u{FEFF}date;name\r2026-12-25;Christmas\r", ["2026-12-25"]),
            (
                "sep=;\r\n\"Datum\";\"Name\"\r\n\"2026-12-25\";\"a\nb\"\r\n;\r\n2026-12-26\r\n",
                ["2026-12-25", "2026-12-26"]
            ),
            (
                "\u{FEFF}BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261231\r\nDTEND;VALUE=DATE:20270102\r\n"
                    + "SUMMARY:New\r\n  Year\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
                ["2026-12-31", "2027-01-01"]
            ),
            (Self.calendar("DTSTART:20280229T080000Z"), ["2028-02-29"]),
            (Self.calendar("DTSTART;VALUE=DATE:20261225"), ["2026-12-25"]),
            (Self.calendar("DTSTART;VALUE=DATE:20261225\nDTEND;VALUE=DATE:20261225"), ["2026-12-25"]),
            ("", []),
            ("BEGIN:VCALENDAR\nEND:VCALENDAR\n", []),
        ]
    )
    func good(text: String, dates: [String]) throws {
        #expect(try Self.read(text).dates == dates)
    }

    @Test(
        "days are written in many ways; the end is never part of an event",
        arguments: [
            "DTSTART:20261224T000000\nDTEND:20261227T000000\nX-MICROSOFT-CDO-ALLDAYEVENT:TRUE",
            "DTSTART;VALUE=DATE:20261224\nDURATION:P3D",
            "DTSTART;VALUE=DATE:20261224T000000\nDTEND;VALUE=DATE:20261227T000000",
            "DTSTART;VALUE=DATE-TIME:20261224\nDTEND;VALUE=DATE-TIME:20261227",
            "DTSTART:20261224T180000\nDURATION:P2D",
            "DTSTART:20261224T180000\nDTEND:20261226T000001",
            "DTSTART;TZID=\"(UTC+01:00) Berlin, Rome\":20261224T000000\nDTEND;TZID=\"(UTC+01:00) Berlin, Rome\":20261227T000000",
            "DTSTART;TZID=GMT+05:30:20261224T000000\nDTEND;TZID=GMT+05:30:20261227T000000",
            "DTSTART;TZID=Europe/Berlin:20261224T000000\nDTEND:20261226T230000Z",
            "DTSTART;TZID=Europe/\n Berlin:20261224\n T000000\nDURA\n TION:P3D",
            "DTSTART;VALUE=DATE:20261224\nRDATE;VALUE=DATE:20261225,20261226",
            "DTSTART:20261224T100000\nRDATE;VALUE=PERIOD:20261225T100000/PT1H,20261225T230000/20261226T010000",
            "DTSTART;VALUE=DATE:20261224\nRRULE:FREQ=DAILY;COUNT=3",
            "DTSTART;VALUE=DATE:20261224\nRRULE:FREQ=DAILY;UNTIL=20261226",
            "DTSTART;TZID=Europe/Berlin:20261224T000000\nRRULE:FREQ=DAILY;UNTIL=20261225T230000Z",
            "DTSTART;VALUE=DATE:20261223\nRRULE:FREQ=DAILY;COUNT=5\nEXDATE;VALUE=DATE:20261223\nEXDATE:20261227T000000",
            "DTSTART;VALUE=DATE:20261224\nDURATION:P3D\nBEGIN:VALARM\nTRIGGER:-PT15M\nDURATION:P9D\nEND:VALARM",
            "dtstart;value=date:20261224\nduration:p3d",
            "TRANSP:TRANSPARENT\nDTSTART;VALUE=DATE:20261224\nDURATION:P3D",
        ]
    )
    func shapes(event: String) throws {
        #expect(try Self.read(Self.calendar(event)).dates == Self.christmas)
    }

    @Test("moments in UTC block the day that the calendar's clock shows, and without one each day that they touch")
    func utc() throws {
        let berlin = "DTSTART:20261223T230000Z\nDTEND:20261226T230000Z"
        let header = "X-WR-TIMEZONE:Europe/Berlin\n"
        #expect(try Self.read(Self.calendar(berlin, header: header)).dates == Self.christmas)
        #expect(try Self.read(Self.calendar(berlin)).dates == ["2026-12-23"] + Self.christmas)
        let newYork = "DTSTART:20261224T050000Z\nDTEND:20261227T050000Z"
        #expect(try Self.read(Self.calendar(newYork)).dates == Self.christmas + ["2026-12-27"])
    }

    @Test("a zone of the calendar's own is understood")
    func ownZone() throws {
        let header = """
            BEGIN:VTIMEZONE
            TZID:W. Europe Standard Time
            BEGIN:STANDARD
            DTSTART:16010101T030000
            TZOFFSETFROM:+0200
            TZOFFSETTO:+0100
            RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10
            END:STANDARD
            BEGIN:DAYLIGHT
            DTSTART:16010101T020000
            TZOFFSETFROM:+0100
            TZOFFSETTO:+0200
            RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=3
            END:DAYLIGHT
            END:VTIMEZONE

            """
        let winter = "DTSTART;TZID=W. Europe Standard Time:20261224T000000\nDTEND:20261226T230000Z"
        #expect(try Self.read(Self.calendar(winter, header: header)).dates == Self.christmas)
        let summer = "DTSTART;TZID=W. Europe Standard Time:20260701T000000\nDTEND:20260701T220000Z"
        #expect(try Self.read(Self.calendar(summer, header: header)).dates == ["2026-07-01"])
        // Of an unknown clock a day more is blocked rather than one less.
        let unknown = "DTSTART;TZID=Nowhere:20261224T000000\nDTEND:20261225T230000Z"
        #expect(try Self.read(Self.calendar(unknown)).dates == Self.christmas)
    }

    @Test("events that repeat are written out for three years ahead, and that is said")
    func repeats() throws {
        let yearly = try Self.read(Self.calendar("DTSTART;VALUE=DATE:20251225\nRRULE:FREQ=YEARLY"))
        #expect(yearly.dates == ["2025-12-25", "2026-12-25", "2027-12-25", "2028-12-25"])
        #expect(yearly.repeatsUntil == "2029-11-27")
        let counted = try Self.read(Self.calendar("DTSTART;VALUE=DATE:20261225\nRRULE:FREQ=YEARLY;COUNT=2"))
        #expect(counted.dates == ["2026-12-25", "2027-12-25"])
        #expect(counted.repeatsUntil == nil)
        let thanksgiving = "DTSTART;VALUE=DATE:20251127\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH;COUNT=3"
        #expect(try Self.read(Self.calendar(thanksgiving)).dates == ["2025-11-27", "2026-11-26", "2027-11-25"])
        let far = try Self.read(Self.calendar("DTSTART;VALUE=DATE:20351225"))
        #expect(far.dates == ["2035-12-25"] && far.repeatsUntil == nil)
    }

    @Test("what was cancelled is left out")
    func cancelled() throws {
        let gone = "DTSTART;VALUE=DATE:20261231\nSTATUS:CANCELLED"
        let kept = "DTSTART;VALUE=DATE:20261224\nDURATION:P3D\nSTATUS:CONFIRMED"
        #expect(try Self.read(Self.calendar(gone, kept)).dates == Self.christmas)
        let series = "DTSTART;VALUE=DATE:20261223\nRRULE:FREQ=DAILY;COUNT=4"
        let one = "DTSTART;VALUE=DATE:20261223\nRECURRENCE-ID;VALUE=DATE:20261223\nSTATUS:CANCELLED"
        #expect(try Self.read(Self.calendar(series, one)).dates == Self.christmas)
        #expect(try Self.read(Self.calendar(kept, header: "METHOD:CANCEL\n")).dates.isEmpty)
    }

    @Test(
        "what cannot be read is refused with its line, and nothing of it is printed",
        arguments: [
            ("2026-12-25\n2026-02-29\n", 2), ("25.12.2026\n", 1), ("2026-13-01\n", 1), ("2026-1-1\n", 1),
            ("phone_number\n+493023125001\n", 1), ("date\n+493023125001\n", 2),
            (Self.calendar("DTSTART:soon"), 5),
            (Self.calendar("SUMMARY:x"), 6),
            (Self.calendar("DTSTART;VALUE=DATE:20260229"), 5),
            (Self.calendar("DTSTART:20261224T990000"), 5),
            (Self.calendar("DTSTART:20261224\nDTEND:20261223"), 6),
            (Self.calendar("DTSTART:20261224\nDURATION:3 days"), 6),
            (Self.calendar("DTSTART:20261224\nDURATION:-P3D"), 6),
            (Self.calendar("DTSTART:20261224\nDURATION:P99999D"), 7),
            (Self.calendar("DTSTART:20261224\nRRULE:FREQ=SOMETIMES"), 6),
            (Self.calendar("DTSTART:20261224\nRRULE:YM1 12 #5"), 6),
            (Self.calendar("DTSTART:20261224T000000\nRRULE:FREQ=SECONDLY"), 6),
            (Self.calendar("DTSTART:20261224\nEXDATE:never"), 6),
            (Self.calendar("DTSTART:20261224\nRDATE:20261225/P1X"), 6),
            (Self.calendar("+493023125001"), 5),
            ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261224\nEND:VCALENDAR\n", 4),
            ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261224\nEND:VEVENT\n", 4),
            ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261224\n", 3),
        ]
    )
    func bad(text: String, line: Int) throws {
        let fault = #expect(throws: DateFile.Fault.self) { try Self.read(text) }
        #expect(fault?.line == line)
        #expect(fault?.description.contains("3023125001") == false)
    }

    @Test("a calendar in UTF-16 is read")
    func utf16() throws {
        let text = Self.calendar("DTSTART;VALUE=DATE:20261224\nDURATION:P3D\nSUMMARY:Noël")
        let bytes = text.utf16.reduce(into: [UInt8]([0xFF, 0xFE])) { $0 += [UInt8($1 & 0xFF), UInt8($1 >> 8)] }
        #expect(try DateFile(bytes, today: "2026-11-27").dates == Self.christmas)
    }
}
