// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import CallStore
import Foundation

struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Judge every call of a period again, by the rules as they were, and write the evidence.",
        discussion: """
            Judged from the rows alone: calling window and blocked dates, limits per number, exclusions, consent, \
            attempts, the campaign's state, and that no number had two calls at once. Exit code 0 when all calls kept \
            the rules, 1 when one did not; every breach is printed.
            """
    )
    @OptionGroup var common: CommonOptions
    @OptionGroup var output: OutputOptions
    @Option(help: "The first day (2026-11-01, UTC) or instant (2026-11-01T08:00:00Z).") var from: String
    @Option(help: "The last day, inclusive, or the instant before which; now unless told.") var to: String?
    @Option(help: "Only this campaign.") var campaign: String?
    @Option(
        help: "Write one line per call to FILE: CSV, or JSON lines if the name ends in .jsonl.",
        completion: .file()
    ) var evidence: String?
    @Flag(help: "Write whole numbers to the evidence; only their last two digits otherwise.") var withNumbers = false
    @OptionGroup var spreadsheets: SpreadsheetOptions

    /// What came of it.
    private struct Summary: Encodable {
        var from: Date
        var to: Date
        var calls = 0
        var breaches: [String: Int] = [:]
        var examples: [CallStore.AuditedCall] = []
    }

    private static let exampleLimit = 100

    func run() async throws {
        let start = try Self.instant(self.from, "from", isEnd: false)
        let end = try self.to.map { try Self.instant($0, "to", isEnd: true) } ?? Date()
        guard start < end else { throw UsageFault("to: is not after from") }
        let evidence = try self.evidence.map {
            try EvidenceFile(path: $0, showsNumbers: self.withNumbers, self.spreadsheets)
        }
        let summary = try await self.common.withStore { store in
            var summary = Summary(from: start, to: end)
            var id: UUID?
            if let campaign = self.campaign { id = try await store.campaign(named: campaign).id }
            try await store.audit(from: start, to: end, campaign: id) { calls in
                summary.calls += calls.count
                for call in calls where !call.breaches.isEmpty {
                    for breach in call.breaches { summary.breaches[breach, default: 0] += 1 }
                    if summary.examples.count < Self.exampleLimit { summary.examples.append(EvidenceFile.masked(call)) }
                }
                for call in calls { try evidence?.write(call) }
            }
            return summary
        }
        try evidence?.close()
        if self.output.json {
            try Console.json(summary)
        } else {
            self.print(summary)
        }
        guard summary.breaches.isEmpty else {
            throw CheckFailed(message: "\(summary.breaches.values.reduce(0, +)) breach(es) in \(summary.calls) call(s)")
        }
    }

    private func print(_ summary: Summary) {
        let period = "\(summary.from.formatted(.iso8601)) to \(summary.to.formatted(.iso8601))"
        Console.line("\(summary.calls) call(s) from \(period)")
        for (breach, count) in summary.breaches.sorted(by: { $0.key < $1.key }) {
            Console.line("  \(count) × \(breach)")
        }
        for call in summary.examples {
            Console.line(
                "  call_id=\(call.callID.lowercased) campaign=\(call.campaign) at \(call.localTimes): "
                    + call.breaches.joined(separator: "; ")
            )
        }
        if summary.breaches.isEmpty { Console.line("every call kept the rules") }
        if let evidence = self.evidence { Console.line("evidence is in \(evidence)") }
    }

    private static func instant(_ text: String, _ option: String, isEnd: Bool) throws -> Date {
        if let day = BlockedDates.date(text), let date = try? Date(day + "T00:00:00Z", strategy: .iso8601) {
            return isEnd ? date.addingTimeInterval(86_400) : date
        }
        guard let date = try? Date(text, strategy: .iso8601) else {
            throw UsageFault(
                "\(option): '\(text)' is neither a day like 2026-11-01 nor a time like 2026-11-01T08:00:00Z"
            )
        }
        return date
    }
}

/// The evidence of an audit, one line per call; appears under its name only when it is whole.
private final class EvidenceFile {
    private let file: CSVOutput
    private let isJSON: Bool
    private let showsNumbers: Bool

    init(path: String, showsNumbers: Bool, _ options: SpreadsheetOptions) throws {
        self.file = try CSVOutput(path: path, options)
        self.isJSON = path.hasSuffix(".jsonl")
        self.showsNumbers = showsNumbers
        if !self.isJSON {
            try self.file.write([
                "call_id", "campaign", "contact_id", "phone_number", "attempt_number", "started_at", "local_times",
                "ended_at", "outcome", "counted", "policy", "had_consent", "breaches",
            ])
        }
    }

    static func masked(_ call: CallStore.AuditedCall) -> CallStore.AuditedCall {
        var call = call
        call.phoneNumber = call.phoneNumber.map { "…" + $0.suffix(2) }
        return call
    }

    func write(_ call: CallStore.AuditedCall) throws {
        let shown = self.showsNumbers ? call : Self.masked(call)
        if self.isJSON {
            try self.file.write(line: try Self.encoder.encode(shown))
        } else {
            try self.file.write([
                shown.callID.lowercased, shown.campaign, shown.contactID.lowercased, shown.phoneNumber ?? "",
                String(shown.attemptNumber), shown.startedAt.formatted(.iso8601), shown.localTimes,
                shown.endedAt?.formatted(.iso8601) ?? "", shown.outcome ?? "", String(shown.isCounted),
                shown.policy ?? "", shown.hadConsent.map { String($0) } ?? "", shown.breaches.joined(separator: "; "),
            ])
        }
    }

    func close() throws { try self.file.close() }

    private static let encoder: JSONEncoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        encoder.keyEncodingStrategy = .convertToSnakeCase
        return encoder
    }()
}
