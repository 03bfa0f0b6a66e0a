// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import PhoneNumbers
import Testing

@Suite(.timeLimit(.minutes(20)))
struct ZoneNamesTests {
    @Test("a name that the database does not have is found by its relatives, new or old")
    func relatives() throws {
        let old = ZoneNames(known: ["Europe/Kiev", "Asia/Kolkata", "America/Los_Angeles", "Asia/Ho_Chi_Minh"])
        for (written, name) in [
            ("Europe/Kyiv", "Europe/Kiev"), ("asia/calcutta", "Asia/Kolkata"), ("US/Pacific", "America/Los_Angeles"),
            ("Asia/Saigon", "Asia/Ho_Chi_Minh"), ("america/los angeles", "America/Los_Angeles"),
        ] {
            #expect(try old.name(written) == name)
        }
        for written in ["localtime", "Kiev", "+02:00", "MEZ", "W. Europe Standard Time"] {
            let fault = #expect(throws: RowFault.self) { try old.name(written) }
            #expect(written != "Kiev" || fault?.reason.contains("is it Europe/Kiev?") == true)
        }
    }
}
