// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation
import ProviderSimulator

/// A promise that was broken.
struct Violation: Sendable, CustomStringConvertible {
    /// The invariant, `I1` to `I7`.
    let invariant: String
    /// The call, when it is about one.
    let callID: String?
    let message: String

    var description: String { "\(self.invariant) \(self.callID.map { "call_id=\($0) " } ?? "")\(self.message)" }
}

/// Compares the witnesses. Pure: the same witnesses give the same verdict.
struct Checker {
    /// Pauses and exclusions act within this time, in seconds.
    static let reaction = 1.0
    /// How far two clocks of one machine may be read apart, in seconds.
    static let clockTolerance = 0.005

    let witnesses: Witnesses
    private let attempts: [String: Witnesses.Attempt]
    private let campaigns: [String: Witnesses.Campaign]
    private let requests: [String: [LedgerCall]]
    /// Each contact's counted attempts, oldest first.
    private let counted: [String: [Witnesses.Attempt]]

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
        self.oneLiveCallPerNumber() + self.rowBeforeCall() + self.onlyWhenAllowed() + self.limits()
            + self.nothingStranded() + self.everyOutcomeOnce() + self.everySurveyEvent() + self.everyReason()
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
                        Violation(
                            invariant: "I1",
                            callID: call.callID,
                            message: "rang while call_id=\(before.call.callID ?? "none") to the same number was live"
                        )
                    )
                }
                let end = call.endedAt ?? .distantFuture
                if end > previous?.end ?? .distantPast { previous = (call, end) }
            }
        }
        let open = Dictionary(grouping: self.witnesses.attempts.filter { $0.endedAt == nil }, by: \.phoneNumber)
        for (_, attempts) in open where attempts.count > 1 {
            violations.append(
                Violation(invariant: "I1", callID: attempts[0].callID, message: "\(attempts.count) attempts are open")
            )
        }
        return violations
    }

    // MARK: I2

    private func rowBeforeCall() -> [Violation] {
        var violations: [Violation] = []
        for (callID, requests) in self.requests {
            if requests.count > 1 {
                let placed = requests.count { $0.sid != nil }
                violations.append(
                    Violation(
                        invariant: "I2",
                        callID: callID,
                        message: "the provider was asked \(requests.count) times and placed \(placed) calls"
                    )
                )
            }
            for request in requests {
                guard let attempt = self.attempts[callID] else {
                    violations.append(
                        Violation(invariant: "I2", callID: callID, message: "the provider was asked without a row")
                    )
                    continue
                }
                if attempt.phoneNumber != request.to {
                    violations.append(
                        Violation(invariant: "I2", callID: callID, message: "another number was called than the row's")
                    )
                }
                if request.requestedAt.timeIntervalSince(attempt.startedAt) < -Self.clockTolerance {
                    violations.append(
                        Violation(
                            invariant: "I2",
                            callID: callID,
                            message: "the provider was asked before the row was made"
                        )
                    )
                }
            }
        }
        return violations
    }

    // MARK: I3

    private func onlyWhenAllowed() -> [Violation] {
        var violations: [Violation] = []
        for request in self.witnesses.ledger {
            guard let callID = request.callID, let attempt = self.attempts[callID],
                let campaign = self.campaigns[attempt.campaignID]
            else { continue }
            func forbid(_ message: String) {
                violations.append(Violation(invariant: "I3", callID: callID, message: message))
            }
            let sentAt = self.sentAt(request)
            if let window = campaign.window, !Self.isOpen(window, at: sentAt) {
                forbid("asked outside the window of \(campaign.name), at \(sentAt)")
            }
            if let excludedAt = self.witnesses.exclusions[request.to],
                sentAt.timeIntervalSince(excludedAt) > Self.reaction
            {
                forbid("asked for a number that was excluded at \(excludedAt)")
            }
            let second = sentAt.addingTimeInterval(-Self.reaction)
            let before = campaign.changes.last { $0.at <= second }
            let isRunning =
                before?.status == "running"
                || campaign.changes.contains { $0.status == "running" && $0.at > second && $0.at <= sentAt }
            if !isRunning { forbid("asked for \(campaign.name), which was \(before?.status ?? "not started")") }
        }
        return violations
    }

    /// What was under way while the test held up the connection had been sent earlier.
    private func sentAt(_ request: LedgerCall) -> Date {
        let arrival = request.requestedAt
        let delay = self.witnesses.delays.first { $0.start <= arrival && arrival <= $0.end.addingTimeInterval(0.5) }
        guard let delay, let callID = request.callID, let attempt = self.attempts[callID] else { return arrival }
        return min(arrival, max(attempt.startedAt, delay.start))
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
                violations.append(
                    Violation(
                        invariant: "I4",
                        callID: change.callID,
                        message: "\(live) calls were live, more than \(self.witnesses.cap)"
                    )
                )
            }
        }
        for ordered in self.counted.values {
            guard let campaign = self.campaigns[ordered[0].campaignID] else { continue }
            if ordered.count > campaign.maximumAttempts {
                violations.append(
                    Violation(
                        invariant: "I4",
                        callID: ordered.last?.callID,
                        message: "\(ordered.count) attempts, more than \(campaign.maximumAttempts)"
                    )
                )
            }
            for (earlier, later) in zip(ordered, ordered.dropFirst()) {
                let ended = self.requests[earlier.callID]?.compactMap(\.endedAt).max() ?? earlier.endedAt
                guard let ended else { continue }
                if later.startedAt.timeIntervalSince(ended) < campaign.retryInterval - Self.clockTolerance {
                    violations.append(
                        Violation(
                            invariant: "I4",
                            callID: later.callID,
                            message: "tried again before the retry interval after call_id=\(earlier.callID) had passed"
                        )
                    )
                }
            }
        }
        return violations
    }

    // MARK: I5

    private func nothingStranded() -> [Violation] {
        var violations: [Violation] = []
        for contact in self.witnesses.contacts {
            let fault: String? =
                switch contact.state {
                case "in_progress": "is still in progress"
                case "pending" where contact.nextAttemptAt == nil: "is pending and never due"
                case "not_reached" where contact.nextAttemptAt == nil && !self.isExhausted(contact):
                    "has attempts left and is never due"
                default: nil
                }
            if let fault {
                violations.append(
                    Violation(invariant: "I5", callID: contact.callID, message: "contact \(contact.id) \(fault)")
                )
            }
        }
        for attempt in self.witnesses.attempts where attempt.endedAt == nil {
            violations.append(
                Violation(invariant: "I5", callID: attempt.callID, message: "the attempt is still \(attempt.status)")
            )
        }
        return violations
    }

    /// Whether a contact may rest for good: its attempts are used up, or its number cannot exist.
    private func isExhausted(_ contact: Witnesses.Contact) -> Bool {
        guard let campaign = self.campaigns[contact.campaignID] else { return false }
        if contact.attemptsCount >= campaign.maximumAttempts { return true }
        let last = self.counted[contact.id]?.last
        return last?.outcome == "failed" && PermanentFailure.matches(errorCode: last?.errorCode)
    }

    // MARK: I6

    private func everyOutcomeOnce() -> [Violation] {
        var violations: [Violation] = []
        for call in self.witnesses.ledger where call.endedAt != nil && call.sid != nil {
            guard let callID = call.callID, let attempt = self.attempts[callID] else { continue }
            func differ(_ message: String) {
                violations.append(Violation(invariant: "I6", callID: callID, message: message))
            }
            guard let outcome = attempt.outcome else {
                differ("ended at the provider as \(call.status), and no outcome is recorded")
                continue
            }
            let expected: [String] =
                switch call.status {
                case "completed": ["completed", "answering_machine", "refused"]
                case "busy": ["busy"]
                case "no-answer": ["no_answer"]
                default: ["failed"]
                }
            if !expected.contains(outcome) {
                differ("ended at the provider as \(call.status), recorded as \(outcome) (\(attempt.errorCode ?? "-"))")
            }
            if attempt.errorCode == "lost" { differ("is recorded as lost, and the provider knows it") }
            if !attempt.isCounted { differ("was placed, and is not counted") }
            if let stored = attempt.providerCallID, stored != call.sid { differ("has another call's provider id") }
        }
        if Set(self.witnesses.attempts.map(\.callID)).count != self.witnesses.attempts.count {
            violations.append(Violation(invariant: "I6", callID: nil, message: "a call has two rows"))
        }
        return violations
    }

    private func everySurveyEvent() -> [Violation] {
        var violations: [Violation] = []
        let published = Dictionary(grouping: self.witnesses.surveyMessages) { $0.eventID.uuidString.lowercased() }
        let rows = Dictionary(self.witnesses.surveyRows.map { ($0.eventID, $0) }) { first, _ in first }
        for row in self.witnesses.surveyRows {
            let messages = published[row.eventID] ?? []
            if !row.isPublished || messages.isEmpty {
                violations.append(
                    Violation(
                        invariant: "I6",
                        callID: row.callID,
                        message: "survey.\(row.kind) was \(row.isPublished ? "noted, not published" : "not published")"
                    )
                )
            }
            for message in messages where message.contactID.uuidString.lowercased() != row.contactID {
                violations.append(
                    Violation(invariant: "I6", callID: row.callID, message: "survey.\(row.kind) names another contact")
                )
            }
        }
        for (eventID, messages) in published where rows[eventID] == nil {
            violations.append(
                Violation(
                    invariant: "I6",
                    callID: messages[0].callID.uuidString.lowercased(),
                    message: "survey.\(messages[0].kind.rawValue) was published with an id that no row has"
                )
            )
        }
        let told = Set(self.witnesses.surveyRows.map(\.contactID))
        for contact in self.witnesses.contacts where !told.contains(contact.id) {
            let isOver =
                ["completed", "refused"].contains(contact.state)
                || contact.state == "not_reached" && contact.nextAttemptAt == nil
            if isOver {
                violations.append(
                    Violation(
                        invariant: "I6",
                        callID: nil,
                        message: "contact \(contact.id) ended as \(contact.state) and no survey event tells it"
                    )
                )
            }
        }
        return violations
    }

    // MARK: I7

    private func everyReason() -> [Violation] {
        var violations: [Violation] = []
        for request in self.witnesses.ledger where request.sid == nil {
            guard let callID = request.callID, let attempt = self.attempts[callID] else { continue }
            if attempt.errorCode == nil {
                violations.append(
                    Violation(
                        invariant: "I7",
                        callID: callID,
                        message: "nothing was placed, and the row does not say why"
                    )
                )
            }
        }
        for attempt in self.witnesses.attempts where !attempt.isCounted && attempt.errorCode == nil {
            violations.append(
                Violation(invariant: "I7", callID: attempt.callID, message: "was given back without a reason")
            )
        }
        for letter in self.witnesses.deadLetters where !self.witnesses.poison.contains(letter.messageID) {
            let isExplained =
                letter.reason == "delivery_limit"
                || letter.callID.flatMap { self.attempts[$0] }?.errorCode != nil
            if !isExplained {
                violations.append(
                    Violation(
                        invariant: "I7",
                        callID: letter.callID,
                        message: "a \(letter.type) was dead-lettered (\(letter.reason)), and no row says why"
                    )
                )
            }
        }
        return violations
    }
}
