// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import TestBasics

@testable import Dialing

typealias DialerTestClock = TestClock

extension TestClock {
    /// For a dialer and its parts.
    var dialerClock: DialerClock {
        DialerClock(now: { self.now }, sleep: { try await self.sleep(until: $0) })
    }
}
