// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProviderSimulator

extension Checker {
    /// What became of a rule at the calls of one transaction.
    private struct Use {
        let limit: String
        /// Taken already, by calls and interviews that count at both snapshots.
        let used: Int
        /// Begun together.
        let calls: [Witnesses.AllowedCall]
        /// The greatest that was in force between the two snapshots.
        let allowed: Int
    }

    /// No call exceeds a cap, a rate or a quota that its statement could see: to the call, and without any tolerance.
    func everyLimit() -> [Violation] {
        self.uses().compactMap { use in
            guard use.used + use.calls.count > use.allowed else { return nil }
            let breach: Breach =
                switch use.limit {
                case "cap": .beyondCap
                case "rate": .beyondRate
                case "quota": .beyondQuota
                default: .beyondCellQuota
                }
            return Violation(
                breach,
                use.calls[0].callID,
                "\(use.limit): \(use.used) and \(use.calls.count) more, of \(use.allowed)"
            )
        }
    }

    /// How often each rule was used to the last call: a limit that nobody came near shows nothing.
    var metLimits: [String: Int] {
        Dictionary(
            self.uses().filter { $0.used + $0.calls.count == $0.allowed }
                .map { ($0.limit.hasPrefix("cell ") ? "cell's quota" : $0.limit, 1) },
            uniquingKeysWith: +
        )
    }

    private func uses() -> [Use] {
        let room = self.witnesses.room
        let places = Dictionary(grouping: room.places, by: \.contactID)
        let calls = Dictionary(grouping: room.calls, by: \.campaignID)
        let limits = Dictionary(grouping: room.limits, by: \.campaignID)
        return calls.flatMap { campaign, calls -> [Use] in
            let cells = Dictionary(calls.map { ($0.contactID, $0.cell) }) { first, _ in first }
            let rules = Dictionary(grouping: limits[campaign] ?? [], by: \.name)
            return Dictionary(grouping: calls, by: \.transaction).values.flatMap { together -> [Use] in
                let (from, to) = (together[0].from, together[0].to)
                // A snapshot does not tell of its own transaction, which had made nothing yet.
                let places = places.mapValues { $0.filter { $0.transaction != together[0].transaction } }
                let taken = cells.keys.filter { Self.isTaken(places[$0] ?? [], from, to) }
                return rules.flatMap { name, changes -> [Use] in
                    guard let allowed = Self.allowed(changes, from, to) else { return [] }
                    switch name {
                    case "cap":
                        let open = cells.keys.map { Self.open(places[$0] ?? [], to) }.reduce(0, +)
                        return [Use(limit: name, used: open, calls: together, allowed: allowed)]
                    case "quota":
                        return [Use(limit: name, used: taken.count, calls: together, allowed: allowed)]
                    case "rate":
                        return Self.rates(allowed, together, among: calls, places)
                    default:
                        let cell = String(name.dropFirst("cell ".count))
                        let own = together.filter { $0.cell == cell }
                        guard !own.isEmpty else { return [] }
                        let used = taken.count { cells[$0] == cell }
                        return [Use(limit: name, used: used, calls: own, allowed: allowed)]
                    }
                }
            }
        }
    }

    /// The greatest value that held between two snapshots; nil where none did for a moment.
    private static func allowed(_ changes: [Witnesses.Limit], _ from: Snapshot, _ to: Snapshot) -> Int? {
        let before = changes.last { from.sees($0.transaction) }
        let between = changes.filter { to.sees($0.transaction) && !from.sees($0.transaction) }
        var greatest = before?.value
        // Of what one transaction has changed, the last counts.
        guard before?.value != nil else { return nil }
        for (_, changes) in Dictionary(grouping: between, by: \.transaction) {
            guard let value = changes.last?.value else { return nil }
            greatest = max(greatest ?? value, value)
        }
        return greatest
    }

    /// The last that was told of each call and of the contact itself, as a snapshot sees it.
    private static func known(_ places: [Witnesses.Place], _ snapshot: Snapshot) -> [Witnesses.Place] {
        var known: [String: Witnesses.Place] = [:]
        for place in places where snapshot.sees(place.transaction) { known[place.callID ?? ""] = place }
        return Array(known.values)
    }

    private static func open(_ places: [Witnesses.Place], _ snapshot: Snapshot) -> Int {
        Self.known(places, snapshot).count(where: \.isOpen)
    }

    /// Whether a contact takes a place of the quota at both: with a call that goes on, or an interview.
    private static func isTaken(_ places: [Witnesses.Place], _ from: Snapshot, _ to: Snapshot) -> Bool {
        let after = Self.known(places, to)
        if after.contains(where: \.isOpen) { return true }
        return after.contains(where: \.isComplete)
            && Self.known(places, from).contains { $0.isOpen || $0.isComplete }
    }

    /// Calls that were charged at both snapshots, in the last hour and in the last share of it.
    private static func rates(
        _ allowed: Int,
        _ together: [Witnesses.AllowedCall],
        among calls: [Witnesses.AllowedCall],
        _ places: [String: [Witnesses.Place]]
    ) -> [Use] {
        let (from, to, now) = (together[0].from, together[0].to, together[0].startedAt)
        func isCounted(_ call: Witnesses.AllowedCall) -> Bool {
            let own = (places[call.contactID] ?? []).filter { $0.callID == call.callID }
            let before = own.last { from.sees($0.transaction) }
            return own.last { to.sees($0.transaction) }?.isCounted ?? false && before?.isCounted ?? true
        }
        let counted = calls.filter(isCounted)
        let period = max(60, 3600 / Double(allowed))
        return [(3600.0, allowed), (period, Int((Double(allowed) * period / 3600).rounded(.up)))].map { length, limit in
            let used = counted.count { now.timeIntervalSince($0.startedAt) < length }
            return Use(limit: "rate", used: used, calls: together, allowed: limit)
        }
    }

    /// Who was forgotten stays forgotten.
    func everyErasure() -> [Violation] {
        var violations: [Violation] = []
        for (number, table) in self.witnesses.erasedAgain {
            let call = self.witnesses.attempts.first { $0.phoneNumber == number }
            violations.append(Violation(.erasedCameBack, call?.callID, table))
        }
        for request in self.witnesses.ledger {
            if let at = self.witnesses.erased[request.to], request.requestedAt > at {
                violations.append(Violation(.erasedCalled, request.callID))
            }
        }
        return violations
    }
}
