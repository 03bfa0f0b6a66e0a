// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation
import ProviderSimulator

/// Compares the witnesses. Pure: the same witnesses give the same verdict. Every attempt and every request is looked at,
/// joined both ways.
struct Checker {
    /// From a row to the provider at most this long, in seconds, beside what the test itself has held up: a permission is
    /// used for one second, the rest is for a machine that does other things.
    static let way = 5.0
    /// How far two clocks of one machine may be read apart, in seconds.
    static let clockTolerance = 0.005
    /// The longest time after which a contact is due again for another reason than the retry interval, in seconds: its
    /// number was busy.
    static let longestRest = 60.0

    let witnesses: Witnesses
    let attempts: [String: Witnesses.Attempt]
    let campaigns: [String: Witnesses.Campaign]
    let requests: [String: [LedgerCall]]
    /// Each contact's counted attempts, oldest first.
    let counted: [String: [Witnesses.Attempt]]

    init(_ witnesses: Witnesses) {
        self.witnesses = witnesses
        self.attempts = Dictionary(witnesses.attempts.map { ($0.callID, $0) }) { first, _ in first }
        self.campaigns = Dictionary(witnesses.campaigns.map { ($0.id, $0) }) { first, _ in first }
        self.requests = Dictionary(grouping: witnesses.ledger) { $0.callID ?? "" }
        self.counted = Dictionary(grouping: witnesses.attempts.filter(\.isCounted), by: \.contactID)
            .mapValues { $0.sorted { $0.startedAt < $1.startedAt } }
    }

    /// Every broken promise.
    func violations() -> [Violation] {
        self.oneLiveCallPerNumber() + self.everyRequest() + self.everyAttempt() + self.onlyWhenAllowed() + self.limits()
            + self.everyLimit() + self.everyErasure() + self.nothingStranded() + self.everyOutcome() + self.everyStory()
            + self.everyInterview()
            + self.everyReason()
    }

    // MARK: I1

    private func oneLiveCallPerNumber() -> [Violation] {
        var violations: [Violation] = []
        for (_, calls) in Dictionary(grouping: self.witnesses.ledger.filter { $0.startedAt != nil }, by: \.to) {
            var previous: (call: LedgerCall, end: Date)?
            for call in calls.sorted(by: { ($0.startedAt ?? .distantPast) < ($1.startedAt ?? .distantPast) }) {
                let start = call.startedAt ?? .distantPast
                if let before = previous, start < before.end {
                    violations.append(
                        Violation(.overlapping, call.callID, "call_id=\(before.call.callID ?? "none")")
                    )
                }
                let end = call.endedAt ?? .distantFuture
                if end > previous?.end ?? .distantPast { previous = (call, end) }
            }
        }
        let open = Dictionary(grouping: self.witnesses.attempts.filter { $0.endedAt == nil }, by: \.phoneNumber)
        for (number, attempts) in open where number != nil && attempts.count > 1 {
            violations.append(Violation(.severalOpen, attempts[0].callID, "\(attempts.count)"))
        }
        return violations
    }

    // MARK: I2

    private func everyRequest() -> [Violation] {
        var violations: [Violation] = []
        for request in self.witnesses.ledger {
            guard let callID = request.callID else {
                violations.append(Violation(.askedWithoutCallID, nil))
                continue
            }
            guard let attempt = self.attempts[callID] else {
                violations.append(Violation(.askedWithoutRow, callID))
                continue
            }
            if request.row.map({ $0.number == nil }) ?? false { violations.append(Violation(.rowNotCommitted, callID)) }
            if request.requestedAt.timeIntervalSince(attempt.startedAt) < -Self.clockTolerance {
                violations.append(Violation(.rowCameLater, callID))
            }
            // Of who was erased no row has a number any more.
            let number = attempt.phoneNumber ?? (self.witnesses.erased[request.to] == nil ? nil : request.to)
            if number != request.to || request.row?.number.map({ $0 != request.to }) ?? false {
                violations.append(Violation(.otherNumber, callID))
            }
        }
        for (callID, requests) in self.requests where requests.count > 1 && !callID.isEmpty {
            let placed = requests.count { $0.sid != nil }
            violations.append(Violation(.askedAgain, callID, "\(requests.count) times, \(placed) calls placed"))
        }
        // Only a database that was away or frozen cannot be looked into.
        let seen = self.witnesses.ledger.count { $0.row != nil }
        if self.witnesses.isWatched, seen * 2 < self.witnesses.ledger.count {
            violations.append(Violation(.hardlyWitnessed, nil, "\(seen) of \(self.witnesses.ledger.count)"))
        }
        return violations
    }

    private func everyAttempt() -> [Violation] {
        var violations: [Violation] = []
        for attempt in self.witnesses.attempts {
            let requests = self.requests[attempt.callID] ?? []
            // A dialer may have died between the row and the request: then nobody can know, and it counts.
            if requests.isEmpty, attempt.isCounted, attempt.endedAt != nil, attempt.errorCode != "lost" {
                violations.append(Violation(.neverAsked, attempt.callID, attempt.outcome ?? "no outcome"))
            }
            if let id = attempt.providerCallID, !requests.contains(where: { $0.sid == id }) {
                violations.append(Violation(.strangeID, attempt.callID, id))
            }
        }
        return violations
    }

    // MARK: I3

    private func onlyWhenAllowed() -> [Violation] {
        var violations: [Violation] = []
        for attempt in self.witnesses.attempts {
            func forbid(_ breach: Breach, _ detail: String) {
                violations.append(Violation(breach, attempt.callID, detail))
            }
            if let campaign = self.campaigns[attempt.campaignID] {
                // The statement that made the row asked the window about just this instant.
                if let window = campaign.window, !Self.isOpen(window, at: attempt.startedAt) {
                    forbid(.outsideWindow, "\(campaign.name), at \(attempt.startedAt)")
                }
                let known = campaign.changes.last { attempt.snapshot.sees($0.transaction) }
                if known?.status != "running" { forbid(.notRunning, "\(campaign.name): \(known?.status ?? "unknown")") }
            }
            if let exclusion = attempt.phoneNumber.flatMap({ self.witnesses.exclusions[$0] }),
                attempt.snapshot.sees(exclusion.transaction)
            {
                forbid(.excluded, "at \(exclusion.at)")
            }
            for request in self.requests[attempt.callID] ?? [] {
                let way = self.way(from: attempt.startedAt, to: request.requestedAt)
                if way > Self.way { forbid(.tooLongOnTheWay, "\(way) s") }
            }
        }
        return violations
    }

    /// How long a request was on its way, without what the test has held up.
    func way(from start: Date, to end: Date) -> TimeInterval {
        guard start < end else { return 0 }
        let held = self.witnesses.delays.compactMap { $0.intersection(with: DateInterval(start: start, end: end)) }
        var heldUp = 0.0
        var reached = start
        for delay in held.sorted() where delay.end > reached {
            heldUp += delay.end.timeIntervalSince(max(delay.start, reached))
            reached = delay.end
        }
        return end.timeIntervalSince(start) - heldUp
    }

    /// The longest way of any request, in seconds.
    var longestWay: TimeInterval {
        self.witnesses.ledger.compactMap { request in
            request.callID.flatMap { self.attempts[$0] }.map { self.way(from: $0.startedAt, to: request.requestedAt) }
        }.max() ?? 0
    }

    private static func isOpen(_ window: (start: Int, end: Int), at instant: Date) -> Bool {
        let second = Int(instant.timeIntervalSince1970) % 86_400
        return window.start < window.end
            ? second >= window.start && second < window.end
            : second >= window.start || second < window.end
    }

    // MARK: I4

    private func limits() -> [Violation] {
        var violations: [Violation] = []
        var changes: [(at: Date, step: Int, callID: String?)] = []
        for call in self.witnesses.ledger {
            guard let start = call.startedAt else { continue }
            changes.append((start, 1, call.callID))
            if let end = call.endedAt { changes.append((end, -1, call.callID)) }
        }
        var live = 0
        for change in changes.sorted(by: { ($0.at, $0.step) < ($1.at, $1.step) }) {
            live += change.step
            if change.step == 1, live > self.witnesses.cap {
                violations.append(Violation(.tooManyLive, change.callID, "\(live) of \(self.witnesses.cap)"))
            }
        }
        for contact in self.witnesses.contacts {
            let ordered = self.counted[contact.id] ?? []
            if ordered.count != contact.attemptsCount {
                violations.append(
                    Violation(.miscounted, ordered.last?.callID, "\(contact.attemptsCount), rows \(ordered.count)")
                )
            }
        }
        for ordered in self.counted.values {
            guard let campaign = self.campaigns[ordered[0].campaignID] else { continue }
            if ordered.count > campaign.maximumAttempts {
                violations.append(
                    Violation(
                        .tooManyAttempts,
                        ordered.last?.callID,
                        "\(ordered.count), more than \(campaign.maximumAttempts)"
                    )
                )
            }
            for (earlier, later) in zip(ordered, ordered.dropFirst())
            where self.isTooEarly(later, after: earlier, campaign) {
                violations.append(Violation(.tooEarly, later.callID, "after call_id=\(earlier.callID)"))
            }
        }
        return violations
    }

    /// By the database's clock for the row, and by the provider's for the call.
    private func isTooEarly(
        _ later: Witnesses.Attempt,
        after earlier: Witnesses.Attempt,
        _ campaign: Witnesses.Campaign
    ) -> Bool {
        let byRow = earlier.endedAt.map { later.startedAt.timeIntervalSince($0) < campaign.retryInterval } ?? true
        let ended = self.requests[earlier.callID]?.compactMap(\.endedAt).max()
        let byCall = ended.map {
            later.startedAt.timeIntervalSince($0) < campaign.retryInterval - Self.clockTolerance
        }
        return byRow || byCall ?? false
    }
}
