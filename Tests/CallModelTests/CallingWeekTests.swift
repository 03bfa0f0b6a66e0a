// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Testing

struct CallingWeekTests {
    @Test(
        "windows are read, merged and told again",
        arguments: [
            (["1-5 10:00-13:00", "1-5 14:00-20:00"], "Mon-Fri 10:00-13:00, 14:00-20:00"),
            (["1-5 09:00-20:00", "6 10:00-19:00"], "Mon-Fri 09:00-20:00; Sat 10:00-19:00"),
            (["09:00-12:00", "12:00-15:00"], "Mon 09:00-15:00; Wed 09:00-15:00"),
            (["7 22:00-02:00"], "Mon 00:00-02:00; Sun 22:00-24:00"),
            (["5 22:00-02:00"], "Fri 22:00-24:00; Sat 00:00-02:00"),
            (["1,3 09:00-10:00"], "Mon 09:00-10:00; Wed 09:00-10:00"),
        ]
    )
    func windows(texts: [String], description: String) throws {
        let week = try CallingWeek(windows: texts, weekdays: [1, 3])
        #expect(week.description == description)
        #expect(try CallingWeek(multirange: week.multirange) == week)
    }

    @Test(
        "what is no window is refused with its text",
        arguments: ["", "1-8 09:00-10:00", "5-1 09:00-10:00", "mon 09:00-10:00", "1 2 09:00-10:00", "1- 09:00-10:00"]
    )
    func faults(text: String) throws {
        let fault = #expect(throws: LocalTimeWindow.Fault.self) { try CallingWeek(windows: [text], weekdays: [1]) }
        #expect(fault?.reason.isEmpty == false)
    }
}
