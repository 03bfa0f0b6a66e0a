// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// The contacts that are due, zone by zone, and which zones are open.
struct SimulatedZones {
    private struct Zone {
        let open: [Range<Int>]
        /// The first range that is not over.
        var cursor = 0
        var due = ContactList()
        /// Contacts whose story is not over.
        var left = 0
    }

    /// Whether any zone opens at all.
    let opens: Bool

    private var zones: [Zone]
    private var openZones: [Int] = []
    private var clock = 0
    /// The next instant at which a zone opens or closes, seconds after the start.
    private(set) var nextChange = 0
    /// Contacts that are left in zones that are open.
    private(set) var openLeft = 0
    /// Contacts that are due and not being called, wherever they live.
    private(set) var due = 0

    init(_ openTimes: [OpenTimes]) {
        self.zones = openTimes.map { Zone(open: $0.ranges) }
        self.opens = openTimes.contains { !$0.ranges.isEmpty }
    }

    mutating func addLeft(_ count: Int, zone: Int) {
        self.zones[zone].left += count
    }

    mutating func removeLeft(zone: Int) {
        self.zones[zone].left -= 1
        if self.isOpen(zone) { self.openLeft -= 1 }
    }

    mutating func append(_ contact: Int, _ table: inout ContactTable) {
        table.append(contact, to: &self.zones[Int(table.zone[contact])].due)
        self.due += 1
    }

    /// Takes the most overdue contact of a zone.
    mutating func take(_ zone: Int, _ table: inout ContactTable) -> Int? {
        guard let contact = table.popFirst(&self.zones[zone].due) else { return nil }
        self.due -= 1
        return contact
    }

    /// The open zone whose first contact is most overdue; nil when no open zone has one that is due.
    func mostOverdue(_ table: ContactTable) -> Int? {
        var best: Int?
        var order = Double.infinity
        for zone in self.openZones {
            let first = self.zones[zone].due.first
            if first >= 0, table.order[Int(first)] < order {
                order = table.order[Int(first)]
                best = zone
            }
        }
        return best
    }

    private func isOpen(_ zone: Int) -> Bool {
        let one = self.zones[zone]
        return one.cursor < one.open.count && one.open[one.cursor].contains(self.clock)
    }

    /// Opens and closes what opens and closes by that instant.
    mutating func advance(to clock: Int) {
        self.clock = clock
        guard clock >= self.nextChange else { return }
        self.openZones.removeAll(keepingCapacity: true)
        self.nextChange = .max
        self.openLeft = 0
        for index in self.zones.indices {
            while self.zones[index].cursor < self.zones[index].open.count,
                self.zones[index].open[self.zones[index].cursor].upperBound <= clock
            { self.zones[index].cursor += 1 }
            guard self.zones[index].cursor < self.zones[index].open.count else { continue }
            let range = self.zones[index].open[self.zones[index].cursor]
            if range.contains(clock) {
                self.openZones.append(index)
                self.openLeft += self.zones[index].left
                self.nextChange = min(self.nextChange, range.upperBound)
            } else {
                self.nextChange = min(self.nextChange, range.lowerBound)
            }
        }
    }
}
