// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Contacts that are not due yet, by the minute in which they will be.
struct RestingContacts {
    private var byMinute: [ContactList]
    private var limitedByMinute: [ContactList]
    /// How many rest after an attempt, or are due for the first time later.
    private(set) var pausing = 0
    /// How many a limit per number holds up longer than that.
    private(set) var limited = 0
    private var nextMinute = 0

    /// - Parameter length: Seconds; whoever is due later is only counted.
    init(length: Int) {
        self.byMinute = Array(repeating: ContactList(), count: length / 60 + 2)
        self.limitedByMinute = self.byMinute
    }

    mutating func append(_ contact: Int, until due: Int, isLimit: Bool, _ table: inout ContactTable) {
        // A minute that has come already has been released: what is due at once comes with the next.
        let minute = max((due + 59) / 60, self.nextMinute)
        table.order[contact] = Double(minute * 60) + table.order[contact].truncatingRemainder(dividingBy: 1)
        if isLimit { self.limited += 1 } else { self.pausing += 1 }
        guard minute < self.byMinute.count else { return }
        if isLimit {
            table.append(contact, to: &self.limitedByMinute[minute])
        } else {
            table.append(contact, to: &self.byMinute[minute])
        }
    }

    /// Hands over whoever is due by now.
    mutating func release(at clock: Int, into zones: inout SimulatedZones, _ table: inout ContactTable) {
        while self.nextMinute * 60 <= clock, self.nextMinute < self.byMinute.count {
            while let contact = table.popFirst(&self.byMinute[self.nextMinute]) {
                self.pausing -= 1
                zones.append(contact, &table)
            }
            while let contact = table.popFirst(&self.limitedByMinute[self.nextMinute]) {
                self.limited -= 1
                zones.append(contact, &table)
            }
            self.nextMinute += 1
        }
    }

    /// When the next contacts are due, or that instant if none is before.
    func nextDue(before instant: Int) -> Int {
        var minute = self.nextMinute
        while minute * 60 < instant, self.byMinute[minute].isEmpty, self.limitedByMinute[minute].isEmpty { minute += 1 }
        return min(instant, minute * 60)
    }
}
