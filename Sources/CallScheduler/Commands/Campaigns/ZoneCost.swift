// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Forecasting
import Foundation

/// What it costs to know no better where contacts are: how long they can be called, and how long they could be if weaker
/// evidence sufficed.
struct ZoneCost: Encodable, Sendable {
    /// By one level.
    struct Hours: Encodable, Sendable {
        let evidence: String
        /// Hours a day, in the mean of the contacts and of a week.
        let hoursPerDay: Double
        /// The contacts that are called the shortest, and how long.
        let fewestHoursPerDay: Double
        /// How many contacts can be called longer than by what suffices now.
        let contactsWithMore: Int
    }

    /// Contacts without a zone of their own whose story is not over.
    let contacts: Int
    let now: Hours
    let weaker: Hours?
    /// Whether the policy allows the weaker.
    let isWeakerAllowed: Bool

    /// Nil when there is nothing to tell: no such contacts, or all of them are in one zone each whatever suffices.
    init?(_ facts: CallStore.ZoneFacts, at date: Date = Date()) {
        let contacts = facts.groups.reduce(0) { $0 + $1.count }
        let isPlain = facts.groups.allSatisfy { group in
            group.zones.values.allSatisfy { !$0.contains(",") }
        }
        guard contacts > 0, !isPlain || facts.level != .country else { return nil }
        var known: [String: Double] = [:]
        func hours(_ group: CallStore.ZoneFacts.Group, _ level: ZoneEvidenceLevel) -> Double {
            let zones = group.zones[level] ?? ""
            if let hours = known[zones] { return hours }
            let names = zones.split(separator: ",").map(String.init)
            let hours = OpenHours.perDay(zones: names, week: facts.week, from: date)
            known[zones] = hours
            return hours
        }
        func sum(_ level: ZoneEvidenceLevel) -> Hours {
            let all = facts.groups.map { (hours: hours($0, level), now: hours($0, facts.level), count: $0.count) }
            return Hours(
                evidence: level.rawValue,
                hoursPerDay: all.reduce(0) { $0 + $1.hours * Double($1.count) } / Double(contacts),
                fewestHoursPerDay: all.map(\.hours).min() ?? 0,
                contactsWithMore: all.reduce(0) { $0 + ($1.hours > $1.now + 0.01 ? $1.count : 0) }
            )
        }
        self.contacts = contacts
        self.now = sum(facts.level)
        self.weaker = facts.level.weaker.map(sum)
        self.isWeakerAllowed = facts.level.weaker.map { $0 <= facts.weakestAllowed } ?? false
    }

    /// For people.
    var words: String {
        var words =
            "\(self.contacts) contacts without a time zone of their own can be called \(Self.text(self.now.hoursPerDay)) "
            + "hours a day (the fewest \(Self.text(self.now.fewestHoursPerDay))), by evidence \(self.now.evidence)"
        if let weaker = self.weaker {
            words += "; by \(weaker.evidence) it would be \(Self.text(weaker.hoursPerDay)) "
            words += "(more for \(weaker.contactsWithMore) of them)"
            words += self.isWeakerAllowed ? "" : ", which the policy forbids"
        }
        return words
    }

    private static func text(_ hours: Double) -> String {
        hours.formatted(.number.precision(.fractionLength(1)).locale(Locale(identifier: "en_US_POSIX")))
    }
}
