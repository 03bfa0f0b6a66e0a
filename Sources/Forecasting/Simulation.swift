// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation

/// The campaign on a fake clock of whole seconds after the start. The clock jumps over stretches in which nothing can
/// happen; contacts come due at whole minutes, as they do for a selector that looks once a minute.
struct Simulation {
    let plan: ForecastPlan
    private let table: OutcomeShares.Table
    private let meanSeconds: [Double]
    /// No call is placed from here on.
    private let length: Int
    private let endsByDate: Bool
    private let places: [Place]

    private var contacts: ContactTable
    private var zones: SimulatedZones
    private var random: SplitMix
    private var clock = 0
    private var left = 0
    private var live = 0
    private var completed = 0
    private var refused = 0
    private var exhausted = 0
    private let mostTokens: Double
    private var tokens: Double
    /// Calls by the second in which they end, modulo the longest.
    private var ends: [ContactList]
    private var resting: RestingContacts
    private var book: HourBook

    init(_ plan: ForecastPlan) throws(ForecastFault) {
        let faults = plan.faults()
        guard faults.isEmpty else { throw ForecastFault(faults: faults) }
        let start = Int(plan.start.timeIntervalSince1970.rounded(.up))
        let horizon = plan.horizonDays * 86_400
        let untilEnd = plan.end.map { Int($0.timeIntervalSince1970.rounded(.up)) - start } ?? .max
        let length = min(horizon, untilEnd)
        self.plan = plan
        self.length = length
        self.endsByDate = untilEnd <= horizon
        self.table = OutcomeShares.Table(plan.rates)
        self.meanSeconds = CallOutcome.allCases.map { plan.lengths.mean(of: $0) }
        self.random = SplitMix(seed: plan.seed)
        self.mostTokens = plan.callsPerSecond.rounded(.up)
        self.tokens = self.mostTokens
        let longest = Int((self.meanSeconds.max() ?? 1) * 1.5) + 2
        self.ends = Array(repeating: ContactList(), count: longest)
        self.resting = RestingContacts(length: length)
        self.book = HourBook(start: start, zone: plan.timeZone)
        let places = Set(plan.groups.map(Place.init)).sorted()
        self.places = places
        self.zones = SimulatedZones(
            places.map { place in
                let rule = OpenTimes.Rule(
                    week: plan.week,
                    blockedDays: Set((plan.blockedDates + place.blockedDates).compactMap(Self.day)),
                    start: start,
                    length: length
                )
                return OpenTimes(zones: place.zones.compactMap(TimeZone.init(identifier:)), rule: rule)
            }
        )
        self.contacts = ContactTable(
            capacity: plan.contacts,
            limits: plan.numberLimits,
            maximumAttempts: plan.maximumAttempts
        )
        self.load(start: start)
    }

    /// Days after 1970-01-01.
    private static func day(_ date: String) -> Int? {
        (try? Date(date, strategy: .iso8601.year().month().day())).map { Int($0.timeIntervalSince1970) / 86_400 }
    }

    private mutating func load(start: Int) {
        let placeIndex = Dictionary(uniqueKeysWithValues: zip(self.places, self.places.indices))
        for group in self.plan.groups {
            let zone = placeIndex[Place(group)] ?? 0
            let due = group.due.map { Int($0.timeIntervalSince1970.rounded(.up)) - start } ?? 0
            for index in 0..<group.count {
                // Groups that are due at the same time are called in turn, each in proportion to its size.
                let fraction = (Double(index) + 0.5) / Double(group.count)
                self.contacts.add(zone: zone, attempts: group.attempts, order: Double(due) + fraction)
            }
            if group.attempts < self.plan.maximumAttempts {
                self.left += group.count
                self.zones.addLeft(group.count, zone: zone)
            }
        }
        let order = self.contacts.order
        for contact in order.indices.sorted(by: { order[$0] < order[$1] }) {
            if Int(self.contacts.attempts[contact]) >= self.plan.maximumAttempts {
                self.contacts.end(contact)
                self.exhausted += 1
            } else if order[contact] < 1 {
                self.zones.append(contact, &self.contacts)
            } else {
                self.resting.append(contact, until: Int(order[contact]), isLimit: false, &self.contacts)
            }
        }
    }

    mutating func run(observing observer: ((SimulatedCall) -> Void)?) -> Forecast {
        while true {
            self.endCalls()
            guard self.left > 0 else { return self.result(.nothingLeft) }
            var rule: Forecast.Rule?
            if self.clock < self.length {
                self.resting.release(at: self.clock, into: &self.zones, &self.contacts)
                self.zones.advance(to: self.clock)
                let isReached = self.plan.target.map { self.completed >= $0 } ?? false
                if isReached, self.live == 0 { return self.result(.targetReached) }
                rule = isReached ? .targetReached : self.placeCalls(observer)
            } else if self.live == 0 {
                return self.result(self.endsByDate ? .endDate : .horizon)
            }
            self.pass(to: self.nextInstant(rule), rule)
        }
    }
}

extension Simulation {
    private mutating func endCalls() {
        let place = self.clock % self.ends.count
        while let contact = self.contacts.popFirst(&self.ends[place]) {
            self.live -= 1
            self.contacts.endCall(contact, at: self.clock)
            switch CallOutcome.allCases[Int(self.contacts.outcome[contact])] {
            case .completed:
                self.completed += 1
                self.book.hour.completed += 1
                self.end(contact)
            case .refused:
                self.refused += 1
                self.book.hour.refused += 1
                self.end(contact)
            case let outcome where Int(self.contacts.attempts[contact]) < self.plan.maximumAttempts:
                let minutes = self.plan.retryMinutes[outcome] ?? self.plan.retryIntervalMinutes
                let jitter = Double(self.plan.retryJitterPercent) / 100 * self.random.unit()
                let due = self.clock + Int((Double(minutes) * 60 * (1 + jitter)).rounded(.up))
                let free = self.contacts.restsUntil(contact) ?? .min
                self.resting.append(contact, until: max(due, free), isLimit: free > due, &self.contacts)
            default:
                self.exhausted += 1
                self.book.hour.exhausted += 1
                self.end(contact)
            }
        }
    }

    private mutating func end(_ contact: Int) {
        self.contacts.end(contact)
        self.zones.removeLeft(zone: Int(self.contacts.zone[contact]))
        self.left -= 1
    }

    /// Places what may be placed now, and returns the rule that keeps the rest back.
    private mutating func placeCalls(_ observer: ((SimulatedCall) -> Void)?) -> Forecast.Rule {
        while let zone = self.zones.mostOverdue(self.contacts) {
            if self.live >= self.plan.lines { return .lines }
            // As the real thing has it: each call that is under way may complete.
            if let target = self.plan.target, self.completed + self.live >= target { return .targetReached }
            if let most = self.plan.callsPerHour, self.book.hour.calls >= most { return .callsPerHour }
            // Ten tenths are a little less than one.
            guard self.tokens > 1 - 1e-9, let contact = self.zones.take(zone, &self.contacts) else {
                return .callsPerSecond
            }
            let outcome = self.table.index(self.random.unit())
            let seconds = max(1, Int((self.meanSeconds[outcome] * (0.5 + self.random.unit())).rounded()))
            self.contacts.beginCall(contact, at: self.clock, outcome: outcome)
            self.contacts.append(contact, to: &self.ends[(self.clock + seconds) % self.ends.count])
            self.tokens -= 1
            self.live += 1
            self.book.hour.calls += 1
            observer?(
                SimulatedCall(
                    contact: contact,
                    zones: self.places[zone].zones,
                    attempt: Int(self.contacts.attempts[contact]),
                    start: self.book.date(self.clock),
                    end: self.book.date(self.clock + seconds),
                    outcome: CallOutcome.allCases[outcome]
                )
            )
        }
        guard self.zones.openLeft > 0 else { return .windowClosed }
        let most = max(self.zones.due, self.resting.pausing, self.resting.limited)
        if most == 0 { return .nothingLeft }
        if self.zones.due == most { return .windowClosed }
        return self.resting.pausing == most ? .retryPauses : .numberLimits
    }

    /// The next second in which something may change.
    private func nextInstant(_ rule: Forecast.Rule?) -> Int {
        var next = self.book.hourEnd
        if self.clock < self.length { next = min(next, self.length, self.zones.nextChange) }
        switch rule {
        case .callsPerSecond:
            let wait = ((1 - self.tokens) / self.plan.callsPerSecond).rounded(.up)
            next = min(next, self.clock + max(1, Int(wait)))
        case .windowClosed, .retryPauses, .numberLimits, .nothingLeft:
            next = self.resting.nextDue(before: next)
        case .lines, .callsPerHour, .targetReached, nil: break
        }
        if self.live > 0 {
            var second = self.clock + 1
            while second < next, self.ends[second % self.ends.count].isEmpty { second += 1 }
            next = second
        }
        return next
    }

    private mutating func pass(to next: Int, _ rule: Forecast.Rule?) {
        let seconds = next - self.clock
        self.book.pass(seconds, live: self.live, self.zones.openLeft > 0 ? rule : nil)
        self.tokens = min(self.mostTokens, self.tokens + self.plan.callsPerSecond * Double(seconds))
        self.clock = next
        if next == self.book.hourEnd { self.book.turn(waiting: self.zones.due) }
    }

    private func result(_ ending: Forecast.Ending) -> Forecast {
        var byAttempts: [Int] = []
        var untouched = 0
        for contact in 0..<self.contacts.count {
            let attempts = Int(self.contacts.attempts[contact])
            while byAttempts.count <= attempts { byAttempts.append(0) }
            byAttempts[attempts] += 1
            if attempts == 0 { untouched += 1 }
        }
        var forecast = Forecast(end: self.book.date(self.clock), ending: ending, contactsByAttempts: byAttempts)
        forecast.contacts.completed = self.completed
        forecast.contacts.refused = self.refused
        forecast.contacts.exhausted = self.exhausted
        forecast.contacts.untouched = untouched
        forecast.contacts.unfinished = self.left - untouched
        forecast.hours = self.book.close(at: self.clock, waiting: self.zones.due)
        forecast.calls = forecast.hours.reduce(0) { $0 + $1.calls }
        forecast.windowOpens = self.zones.opens
        return forecast
    }
}
