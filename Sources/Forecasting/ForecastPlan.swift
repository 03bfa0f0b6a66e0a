// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
public import Foundation

/// Everything that a forecast is computed from; the same plan gives the same forecast.
public struct ForecastPlan: Sendable {
    /// Contacts that are alike.
    public struct Group: Sendable, Equatable {
        /// IANA names; the window is open only when it is open in all of them.
        public var zones: [String]
        /// Local dates on which nobody among them is called, beside the plan's, `YYYY-MM-DD`.
        public var blockedDates: [String] = []
        /// How many contacts, from 0.
        public var count: Int
        /// Attempts that were made before the start, from 0.
        public var attempts: Int
        /// When they are due; nil at once.
        public var due: Date?

        /// Creates a group.
        public init(zones: [String], count: Int, attempts: Int = 0, due: Date? = nil) {
            self.zones = zones
            self.count = count
            self.attempts = attempts
            self.due = due
        }
    }

    /// The contacts.
    public var groups: [Group]
    /// The calling windows in local time.
    public var week: CallingWeek
    /// Local dates on which nobody is called, `YYYY-MM-DD`.
    public var blockedDates: [String] = []
    /// Attempts per contact, 1 to 15.
    public var maximumAttempts = 3
    /// Minutes between the end of an attempt and the next one.
    public var retryIntervalMinutes = 60
    /// The same by outcome, where it differs.
    public var retryMinutes: [CallOutcome: Int] = [:]
    /// Up to this share of the pause is added, 0 to 100 percent.
    public var retryJitterPercent = 0
    /// Limits per number; only the forecast's own calls count against them.
    public var numberLimits: [NumberLimit] = []
    /// Calls at once, at least 1.
    public var lines: Int
    /// Calls placed per second, above 0.
    public var callsPerSecond: Double
    /// Calls placed per clock hour of ``timeZone``; nil for no limit.
    public var callsPerHour: Int?
    /// No more calls are placed once so many contacts have completed; nil for no target.
    public var target: Int?
    /// How calls end.
    public var rates: OutcomeShares
    /// How long they take.
    public var lengths: CallLengths
    /// The zone by whose clock hours the result is told.
    public var timeZone: TimeZone
    /// The first instant; whole seconds are taken.
    public var start: Date
    /// No call is placed from then on, or from ``horizonDays`` after the start.
    public var end: Date?
    /// How far the forecast looks ahead, 1 to 400 days.
    public var horizonDays = 90
    /// The random numbers' seed.
    public var seed: UInt64 = 1

    /// Creates a plan with the defaults of a campaign.
    /// - Parameters:
    ///   - groups: The contacts.
    ///   - week: The calling windows.
    ///   - lines: Calls at once.
    ///   - callsPerSecond: Calls placed per second.
    ///   - rates: How calls end.
    ///   - lengths: How long they take.
    ///   - timeZone: The zone of the result's hours.
    ///   - start: The first instant.
    public init(
        groups: [Group],
        week: CallingWeek,
        lines: Int,
        callsPerSecond: Double,
        rates: OutcomeShares,
        lengths: CallLengths,
        timeZone: TimeZone,
        start: Date
    ) {
        self.groups = groups
        self.week = week
        self.lines = lines
        self.callsPerSecond = callsPerSecond
        self.rates = rates
        self.lengths = lengths
        self.timeZone = timeZone
        self.start = start
    }

    /// Contacts in all groups.
    public var contacts: Int { self.groups.reduce(0) { $0 + $1.count } }

    /// Pretends another number of contacts, spread like the present ones.
    /// - Parameters:
    ///   - count: How many, from 0.
    ///   - zone: Where they are when there are none at present.
    public mutating func spread(_ count: Int, zone: String) {
        let present = self.contacts
        guard present > 0 else {
            self.groups = [Group(zones: [zone], count: count)]
            return
        }
        // What has been handed out up to each group is rounded down, so that no contact is lost.
        var (seen, given) = (0, 0)
        for index in self.groups.indices {
            seen += self.groups[index].count
            let upTo = Int(Double(count) * (Double(seen) / Double(present)))
            self.groups[index].count = upTo - given
            given = upTo
        }
    }

    /// Everything that is wrong with the plan, each naming the value at fault.
    public func faults() -> [String] {
        var faults: [String] = []
        func check(_ holds: Bool, _ fault: String) {
            if !holds { faults.append(fault) }
        }
        check(0...Self.mostContacts ~= self.contacts, "contacts: must be 0…\(Self.mostContacts)")
        check(1...15 ~= self.maximumAttempts, "max-attempts: must be 1…15")
        check(1...200_000 ~= self.lines, "lines: must be 1…200000")
        check(0.001...100_000 ~= self.callsPerSecond, "calls-per-second: must be 0.001…100000")
        check((self.callsPerHour ?? 1) >= 1, "calls-per-hour: must be at least 1")
        check((self.target ?? 1) >= 1, "target: must be at least 1")
        check(1...400 ~= self.horizonDays, "horizon-days: must be 1…400")
        if let end = self.end { check(end > self.start, "start: is not before the campaign's end date") }
        for zone in Set(self.groups.flatMap(\.zones)).sorted() {
            check(TimeZone(identifier: zone) != nil, "time zone '\(zone)' of a contact is not an IANA time zone")
        }
        check(
            !self.groups.contains { $0.zones.isEmpty || $0.count < 0 },
            "a group has no time zone, or a negative count"
        )
        return faults
    }

    private static let mostContacts = 20_000_000
}
