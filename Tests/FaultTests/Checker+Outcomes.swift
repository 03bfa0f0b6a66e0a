// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation
import ProviderSimulator

extension Checker {
    // MARK: I5

    func nothingStranded() -> [Violation] {
        var violations: [Violation] = []
        for contact in self.witnesses.contacts {
            if let breach = self.strands(contact) {
                violations.append(Violation(breach, contact.callID, "contact \(contact.id), \(contact.state)"))
            }
        }
        for attempt in self.witnesses.attempts where attempt.endedAt == nil {
            violations.append(Violation(.attemptOpen, attempt.callID, attempt.status))
        }
        for call in self.witnesses.ledger where call.sid != nil && call.endedAt == nil {
            violations.append(Violation(.liveAtProvider, call.callID, call.status))
        }
        return violations
    }

    private func strands(_ contact: Witnesses.Contact) -> Breach? {
        switch contact.state {
        case "in_progress": return .inProgress
        case "pending" where contact.nextAttemptAt == nil: return .pendingNeverDue
        // Nobody can call who was erased.
        case "not_reached"
        where contact.nextAttemptAt == nil && contact.phoneNumber != nil && !self.isExhausted(contact):
            return .neverDue
        default: break
        }
        guard let due = contact.nextAttemptAt else { return nil }
        guard ["pending", "not_reached"].contains(contact.state) else { return .dueThoughOver }
        let rest = max(self.campaigns[contact.campaignID]?.retryInterval ?? 0, Self.longestRest)
        return due.timeIntervalSince(self.witnesses.takenAt) > rest ? .dueTooLate : nil
    }

    /// Whether a contact may rest for good: its attempts are used up, or its number cannot exist.
    private func isExhausted(_ contact: Witnesses.Contact) -> Bool {
        guard let campaign = self.campaigns[contact.campaignID] else { return false }
        if contact.attemptsCount >= campaign.maximumAttempts { return true }
        let last = self.counted[contact.id]?.last
        return last?.outcome == "failed" && PermanentFailure.matches(errorCode: last?.errorCode)
    }

    // MARK: I6

    func everyOutcome() -> [Violation] {
        var violations: [Violation] = []
        for attempt in self.witnesses.attempts {
            func differ(_ breach: Breach, _ detail: String = "") {
                violations.append(Violation(breach, attempt.callID, detail))
            }
            let recorded = "\(attempt.outcome ?? "nothing") (\(attempt.errorCode ?? "-"))"
            for call in self.requests[attempt.callID] ?? [] {
                guard call.sid != nil else {
                    if let outcome = attempt.outcome, outcome != "failed" { differ(.reachedNobody, recorded) }
                    continue
                }
                // Whoever reports an interview has heard somebody.
                if attempt.isCounted != (!call.wasTakenBack || attempt.surveyOutcome != nil) {
                    differ(attempt.isCounted ? .takenBackCounted : .placedNotCounted)
                }
                guard call.endedAt != nil else { continue }
                let told = "\(call.status) by \(call.answeredBy ?? "nobody") there, \(recorded) here"
                if attempt.outcome == nil {
                    differ(.noOutcome, told)
                } else if attempt.outcome != Self.outcome(of: call, attempt.surveyOutcome) {
                    differ(.otherOutcome, told)
                }
                if attempt.errorCode == "lost" { differ(.knownAndLost) }
            }
        }
        for (callID, rows) in Dictionary(grouping: self.witnesses.attempts, by: \.callID) where rows.count > 1 {
            violations.append(Violation(.twoRows, callID))
        }
        return violations
    }

    /// The one outcome that an ended call has: the interview's word first, then the provider's.
    private static func outcome(of call: LedgerCall, _ survey: String?) -> String {
        if let survey { return survey == "completed" ? "completed" : "refused" }
        return switch call.status {
        case "completed": call.answeredBy?.hasPrefix("machine") ?? false ? "answering_machine" : "completed"
        case "busy": "busy"
        case "no-answer": "no_answer"
        default: "failed"
        }
    }

    /// What is told of a contact is what its row says, which is what one of its calls brought.
    func everyStory() -> [Violation] {
        var violations: [Violation] = []
        let contacts = Dictionary(self.witnesses.contacts.map { ($0.id, $0) }) { first, _ in first }
        let told = Dictionary(grouping: self.witnesses.surveyRows, by: \.contactID)
        for contact in self.witnesses.contacts {
            let calls = self.counted[contact.id] ?? []
            if ["completed", "refused"].contains(contact.state), !calls.contains(where: { $0.outcome == contact.state })
            {
                violations.append(Violation(.stateWithoutCall, calls.last?.callID, "\(contact.id), \(contact.state)"))
            }
            let isOver =
                ["completed", "refused"].contains(contact.state)
                || contact.state == "not_reached" && contact.nextAttemptAt == nil && contact.phoneNumber != nil
            let kinds = (told[contact.id] ?? []).map(\.kind)
            if isOver, !kinds.contains(contact.state) {
                violations.append(Violation(.untold, calls.last?.callID, "\(contact.id), \(contact.state)"))
            }
        }
        for (contactID, rows) in told {
            // Who is excluded afterwards keeps what was told before.
            let state = contacts[contactID].map { $0.nextAttemptAt == nil ? $0.state : "waits for \($0.state)" }
            if state != "excluded", !rows.contains(where: { $0.kind == state }) {
                violations.append(Violation(.otherEnd, rows[0].callID, "\(rows[0].kind), but \(state ?? "no contact")"))
            }
            if rows.count > 1, !self.isCorrection(rows, of: state) {
                let kinds = rows.map(\.kind).sorted().joined(separator: " and ")
                violations.append(Violation(.toldTwice, rows[0].callID, kinds))
            }
        }
        return violations + self.everySurveyMessage()
    }

    /// A second end may only be told where the first was told too soon: the report of the same call or of an earlier one
    /// came late, or the interview's word came after the provider's.
    private func isCorrection(_ rows: [Witnesses.Survey], of state: String?) -> Bool {
        guard let last = rows.first(where: { $0.kind == state }), let end = self.attempts[last.callID] else {
            return false
        }
        return rows.allSatisfy { row in
            guard row.kind != last.kind else { return true }
            if row.kind == "completed" { return ["refused", "opt_out"].contains(end.surveyOutcome) }
            guard row.kind == "not_reached", let told = self.attempts[row.callID] else { return false }
            return end.startedAt <= told.startedAt
        }
    }

    private func everySurveyMessage() -> [Violation] {
        var violations: [Violation] = []
        let published = Dictionary(grouping: self.witnesses.surveyMessages) { $0.eventID.uuidString.lowercased() }
        let rows = Set(self.witnesses.surveyRows.map(\.eventID))
        for row in self.witnesses.surveyRows {
            let messages = published[row.eventID] ?? []
            if !row.isPublished {
                violations.append(Violation(.notPublished, row.callID, row.kind))
            } else if messages.isEmpty {
                violations.append(Violation(.notedNotPublished, row.callID, row.kind))
            }
            for message in messages {
                if message.contactID.uuidString.lowercased() != row.contactID {
                    violations.append(Violation(.otherContact, row.callID, row.kind))
                }
                if message.kind.rawValue != row.kind {
                    violations.append(Violation(.otherKind, row.callID, "\(message.kind.rawValue), not \(row.kind)"))
                }
            }
        }
        for (eventID, messages) in published where !rows.contains(eventID) {
            let callID = messages[0].callID.uuidString.lowercased()
            violations.append(Violation(.unknownEvent, callID, messages[0].kind.rawValue))
        }
        return violations
    }

    /// What was answered with 2xx has no second source.
    func everyInterview() -> [Violation] {
        var violations: [Violation] = []
        for (callID, outcome) in self.witnesses.reported {
            let attempt = self.attempts[callID]
            let recorded = attempt?.surveyOutcome.flatMap { SurveyOutcomeReport.Outcome(rawValue: $0) }
            if recorded?.rank ?? 0 < outcome.rank {
                let what = "\(outcome.rawValue), recorded \(recorded?.rawValue ?? "nothing")"
                violations.append(Violation(.interviewForgotten, callID, what))
            }
            if outcome == .optOut, let number = attempt?.phoneNumber, self.witnesses.exclusions[number] == nil {
                violations.append(Violation(.optOutForgotten, callID))
            }
        }
        return violations
    }

    // MARK: I7

    func everyReason() -> [Violation] {
        var violations: [Violation] = []
        for request in self.witnesses.ledger where request.sid == nil {
            guard let callID = request.callID, let attempt = self.attempts[callID] else { continue }
            if attempt.errorCode == nil { violations.append(Violation(.refusedSilently, callID)) }
        }
        for attempt in self.witnesses.attempts where !attempt.isCounted && attempt.errorCode == nil {
            violations.append(Violation(.givenBackSilently, attempt.callID))
        }
        for letter in self.witnesses.deadLetters where !self.witnesses.poison.contains(letter.messageID) {
            // Only a request that was given back is put aside, and only by whoever gave it back.
            let attempt = letter.callID.flatMap { self.attempts[$0] }
            let isExplained =
                letter.type == DialRequest.messageType && ["not_placed", "rejected"].contains(letter.reason)
                && attempt?.isCounted == false && attempt?.errorCode != nil
            if !isExplained {
                violations.append(Violation(.deadLetter, letter.callID, "a \(letter.type), \(letter.reason)"))
            }
        }
        return violations
    }
}
