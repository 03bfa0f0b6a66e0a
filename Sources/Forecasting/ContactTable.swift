// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel

/// Contacts first in, first out. A contact is in one list at a time, so that all lists share one array of links.
struct ContactList {
    fileprivate(set) var first: Int32 = -1
    fileprivate var last: Int32 = -1

    var isEmpty: Bool { self.first < 0 }
}

/// The contacts of a simulation, column by column: some twenty bytes each, and nine more per attempt if numbers have
/// limits.
struct ContactTable {
    /// Where they live: an index of the simulation's zones.
    private(set) var zone: [Int32] = []
    /// Who is most overdue: seconds after the start at which they are due, and a fraction that spreads equals.
    var order: [Double] = []
    /// Attempts so far, those before the start included.
    private(set) var attempts: [UInt8] = []
    /// How the call that is under way will end: an index of `CallOutcome.allCases`.
    private(set) var outcome: [UInt8] = []
    private var link: [Int32] = []

    private let limits: [NumberLimit]
    /// Past calls per contact, one place per attempt; empty without limits.
    private let depth: Int
    private var starts: [Int32] = []
    private var ends: [Int32] = []
    private var outcomes: [UInt8] = []

    static let isOver: UInt8 = .max
    private static let never = Int32.min

    /// - Parameters:
    ///   - capacity: How many contacts there will be.
    ///   - limits: The limits per number.
    ///   - maximumAttempts: Attempts per contact; a limit that allows as many can never hold anybody up.
    init(capacity: Int, limits: [NumberLimit], maximumAttempts: Int) {
        let ending = Set([CallOutcome.completed, .refused])
        self.limits = limits.filter { limit in
            limit.attempts < maximumAttempts && limit.outcomes.map { !ending.isSuperset(of: $0) } ?? true
        }
        self.depth = self.limits.isEmpty ? 0 : maximumAttempts
        self.zone.reserveCapacity(capacity)
        self.order.reserveCapacity(capacity)
        self.attempts.reserveCapacity(capacity)
        self.outcome = Array(repeating: 0, count: capacity)
        self.link = Array(repeating: -1, count: capacity)
        self.starts = Array(repeating: Self.never, count: capacity * self.depth)
        self.ends = self.starts
        self.outcomes = Array(repeating: 0, count: capacity * self.depth)
    }

    var count: Int { self.zone.count }

    mutating func add(zone: Int, attempts: Int, order: Double) {
        self.zone.append(Int32(zone))
        self.attempts.append(UInt8(min(attempts, 250)))
        self.order.append(order)
    }

    mutating func append(_ contact: Int, to list: inout ContactList) {
        self.link[contact] = -1
        if list.last >= 0 { self.link[Int(list.last)] = Int32(contact) } else { list.first = Int32(contact) }
        list.last = Int32(contact)
    }

    mutating func popFirst(_ list: inout ContactList) -> Int? {
        guard list.first >= 0 else { return nil }
        let contact = Int(list.first)
        list.first = self.link[contact]
        if list.first < 0 { list.last = -1 }
        return contact
    }

    mutating func beginCall(_ contact: Int, at start: Int, outcome: Int) {
        if self.depth > 0 {
            let place = contact * self.depth + Int(self.attempts[contact])
            self.starts[place] = Int32(start)
            self.outcomes[place] = UInt8(outcome)
        }
        self.outcome[contact] = UInt8(outcome)
        self.attempts[contact] += 1
    }

    /// Notes a call's end; asked before ``restsUntil(_:)``.
    mutating func endCall(_ contact: Int, at end: Int) {
        guard self.depth > 0 else { return }
        self.ends[contact * self.depth + Int(self.attempts[contact]) - 1] = Int32(end)
    }

    mutating func end(_ contact: Int) {
        self.outcome[contact] = Self.isOver
    }

    /// The rule of `number_rests_until`: a limit over n attempts frees the number when the n-th last leaves its period.
    /// - Returns: Seconds after the start; nil when no limit holds.
    func restsUntil(_ contact: Int) -> Int? {
        var latest: Int?
        for limit in self.limits {
            var left = limit.attempts
            var place = contact * self.depth + Int(self.attempts[contact]) - 1
            while place >= contact * self.depth, self.starts[place] != Self.never {
                let counts = limit.outcomes?.contains(CallOutcome.allCases[Int(self.outcomes[place])]) ?? true
                if counts { left -= 1 }
                if left == 0 {
                    let at = Int(limit.outcomes == nil ? self.starts[place] : self.ends[place])
                    latest = max(latest ?? .min, at + limit.hours * 3600)
                    break
                }
                place -= 1
            }
        }
        return latest
    }
}
