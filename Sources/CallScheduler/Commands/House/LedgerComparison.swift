// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import ProviderSimulator

/// What two witnesses say about the same calls: every request and every attempt, joined both ways.
struct LedgerComparison: Encodable {
    let requests: Int
    let placed: Int
    let attempts: Int
    let maximumLive: Int
    private(set) var differences: [String] = []

    /// - Parameters:
    ///   - ledger: The provider's.
    ///   - attempts: The campaign's.
    ///   - elsewhere: The calls of other campaigns, by either id.
    ///   - excluded: Numbers that are excluded for good, and since when.
    ///   - maximumLive: The most calls that may be live at once.
    init(
        ledger: Ledger,
        attempts: [CallStore.AttemptRecord],
        elsewhere: Set<String>,
        excluded: [String: Date],
        maximumLive: Int?
    ) {
        let byCall = Dictionary(grouping: attempts, by: \.callID.lowercased)
        // The provider knows what was recovered by the id that it had before the restore, whoever has adopted it since.
        let known = Set(ledger.calls.compactMap(\.callID))
        let recovered = Dictionary(grouping: attempts.filter { !known.contains($0.callID.lowercased) }) {
            $0.providerCallID ?? ""
        }
        func callID(_ entry: LedgerCall) -> String? {
            if let id = entry.callID, byCall[id] != nil { return id }
            return entry.sid.flatMap { recovered[$0]?.first?.callID.lowercased } ?? entry.callID
        }
        let entries = ledger.calls.filter { entry in
            !elsewhere.contains(entry.callID ?? "") && !elsewhere.contains(entry.sid ?? "")
        }
        self.requests = entries.count
        self.placed = entries.count { $0.sid != nil }
        self.attempts = attempts.count
        self.maximumLive = ledger.summary.maximumLive
        let asked = Dictionary(grouping: entries) { callID($0) ?? "" }
        for (callID, requests) in asked.sorted(by: { $0.key < $1.key }) {
            guard let attempt = byCall[callID]?.first else {
                self.differences.append(
                    callID.isEmpty ? "a request without a call_id was sent" : "\(callID): asked for, without a row"
                )
                continue
            }
            if requests.count > 1 {
                self.differences.append("\(callID): the provider was asked \(requests.count) times")
            }
            for request in requests { self.compare(request, attempt, excluded) }
        }
        for attempt in attempts { self.compare(attempt, asked[attempt.callID.lowercased] ?? []) }
        if ledger.summary.doubleCalls > 0 {
            self.differences.append("\(ledger.summary.doubleCalls) calls began while their number was being called")
        }
        if let limit = maximumLive, ledger.summary.maximumLive > limit {
            self.differences.append("\(ledger.summary.maximumLive) calls were live at once, more than \(limit)")
        }
    }

    private mutating func compare(_ attempt: CallStore.AttemptRecord, _ requests: [LedgerCall]) {
        func differ(_ text: String) { self.differences.append("\(attempt.callID.lowercased): \(text)") }
        // A dialer may have died between the row and the request: then nobody can know, and it counts.
        if requests.isEmpty, attempt.isCounted, attempt.errorCode != "lost" {
            differ("counted as an attempt, but nobody was asked")
        }
        if !attempt.isCounted, let outcome = attempt.outcome, outcome != .failed {
            differ("given back, but the outcome is recorded as \(outcome.rawValue)")
        }
        if let stored = attempt.providerCallID, !requests.contains(where: { $0.sid == stored }) {
            differ("stored as \(stored), which the provider did not say of it")
        }
    }

    private mutating func compare(
        _ request: LedgerCall,
        _ attempt: CallStore.AttemptRecord,
        _ excluded: [String: Date]
    ) {
        func differ(_ text: String) { self.differences.append("\(attempt.callID.lowercased): \(text)") }
        if request.to != attempt.phoneNumber { differ("another number was called") }
        if request.sid != nil, let since = excluded[request.to], since < attempt.startedAt {
            differ("an excluded number was called")
        }
        // Of a simulator that could look into the database, its word counts; else the two clocks, which are one here.
        if request.callID == attempt.callID.lowercased,
            request.row.map({ $0.number == nil }) ?? (request.requestedAt.timeIntervalSince(attempt.startedAt) < -0.001)
        {
            differ("the provider was asked before the row was made")
        }
        guard request.sid != nil else {
            if attempt.isCounted, attempt.outcome != .failed {
                differ("nothing was placed, but the outcome is recorded as reached")
            }
            return
        }
        // Of a call that is said to have been an interview as well, either may be told first.
        if request.wasTakenBack == attempt.isCounted, !request.wasTakenBack || attempt.surveyOutcome == nil {
            differ(attempt.isCounted ? "was taken back unanswered, but is counted" : "was placed, but is not counted")
        }
        guard request.endedAt != nil else {
            if attempt.outcome != nil { differ("goes on, but an outcome is recorded") }
            return
        }
        guard let outcome = attempt.outcome else {
            differ("has ended, but its outcome is not recorded")
            return
        }
        let expected = Self.outcome(of: request, attempt.surveyOutcome)
        if outcome != expected {
            differ("ended as \(request.status), \(expected.rawValue) for us, recorded as \(outcome.rawValue)")
        }
        if attempt.errorCode == "lost" { differ("ended as \(request.status), recorded as lost") }
    }

    /// The one outcome that an ended call has: the interview's word first, then the provider's.
    private static func outcome(of request: LedgerCall, _ survey: String?) -> CallOutcome {
        switch survey {
        case "completed"?: return .completed
        case "callback"?: return .callback
        case _?: return .refused
        case nil: break
        }
        return switch request.status {
        case "completed": request.answeredBy?.hasPrefix("machine") ?? false ? .answeringMachine : .completed
        case "busy": .busy
        case "no-answer": .noAnswer
        default: .failed
        }
    }

    func print() {
        Console.line("requests to the provider     \(self.requests)")
        Console.line("calls placed                 \(self.placed)")
        Console.line("attempts in the database     \(self.attempts)")
        Console.line("most calls live at once      \(self.maximumLive)")
        for difference in self.differences.prefix(50) { Console.line("DIFFERENCE  \(difference)") }
        if self.differences.isEmpty { Console.line("the ledger and the database agree, call by call") }
    }
}
