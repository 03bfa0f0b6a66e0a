// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProviderSimulator

extension Witnesses {
    /// Everything that all witnesses know of a call, in the order in which it happened.
    func history(of callID: String) -> String {
        var lines: [(at: Date, text: String)] = []
        let attempt = self.attempts.first { $0.callID == callID }
        if let attempt {
            lines.append((attempt.startedAt, "row      attempt \(attempt.attemptNumber) by \(attempt.dialerID)"))
            let end = "\(attempt.status) \(attempt.outcome ?? "-") \(attempt.errorCode ?? "")"
            let counted = attempt.isCounted ? "counted" : "not counted"
            lines.append((attempt.endedAt ?? .distantFuture, "row      \(end), \(counted)"))
        }
        for call in self.ledger where call.callID == callID {
            let answer = call.answered.map { "answered \($0)" } ?? "no answer"
            let words = [answer, call.fault ?? "no fault", call.refusal ?? "", call.sid ?? "nothing placed"]
            lines.append((call.requestedAt, "provider asked: " + words.filter { !$0.isEmpty }.joined(separator: ", ")))
            if let row = call.row {
                lines.append((row.seenAt, "provider sees \(row.number == nil ? "no row" : "the row")"))
            }
            for (at, what) in [
                (call.startedAt, "dials"), (call.ringingAt, "rings"), (call.answeredAt, "picked up"),
                (call.endedAt, "ends as \(call.status)\(call.hungUp ? ", by request" : "")"),
            ] {
                if let at { lines.append((at, "provider \(what)")) }
            }
            for callback in call.callbacks {
                let text =
                    "callback \(callback.sequence) \(callback.status), try \(callback.attempt): \(callback.result)"
                lines.append((callback.sentAt, text))
            }
        }
        for letter in self.deadLetters where letter.callID == callID {
            lines.append((.distantFuture, "dead letter \(letter.type), \(letter.reason)"))
        }
        for row in self.surveyRows where row.callID == callID {
            lines.append((.distantFuture, "survey.\(row.kind) \(row.isPublished ? "published" : "unpublished")"))
        }
        if let number = attempt?.phoneNumber, let excluded = self.exclusions[number] {
            lines.append((excluded.at, "operator excludes the number"))
        }
        // Of what happened all the time, only what was near.
        let first = (lines.map(\.at).min() ?? .distantPast).addingTimeInterval(-10)
        let last = (lines.map(\.at).filter { $0 < .distantFuture }.max() ?? .distantFuture).addingTimeInterval(10)
        if let campaign = self.campaigns.first(where: { $0.id == attempt?.campaignID }) {
            for change in campaign.changes where change.at < last {
                let isNear = change.at > first || campaign.changes.last { $0.at <= first }?.at == change.at
                if isNear { lines.append((change.at, "operator \(campaign.name) \(change.status)")) }
            }
        }
        for delay in self.delays where delay.end > first && delay.start < last {
            lines.append(
                (delay.start, "test     holds up a dialer or the way to the provider until \(Self.clock(delay.end))")
            )
        }
        return lines.sorted { $0.at < $1.at }
            .map { "    \($0.at == .distantFuture ? "             end" : Self.clock($0.at)) \($0.text)" }
            .joined(separator: "\n")
    }

    private static func clock(_ date: Date) -> String {
        let micros = Int((date.timeIntervalSince1970 * 1e6).rounded())
        let second = micros / 1_000_000 % 86_400
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let fraction = String(String(1_000_000 + micros % 1_000_000).dropFirst())
        return "\(two(second / 3600)):\(two(second / 60 % 60)):\(two(second % 60)).\(fraction)"
    }
}
