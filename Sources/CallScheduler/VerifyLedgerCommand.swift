// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import AsyncHTTPClient
import CallModel
import CallStore
import Foundation
import NIOCore
import ProviderSimulator

struct VerifyLedgerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify-ledger",
        abstract: "Compare a campaign's attempts with the simulator's ledger, call by call.",
        discussion: "Exit code 0 when they agree, 1 when they do not; every difference is printed."
    )
    @OptionGroup var common: CommonOptions
    @OptionGroup var output: OutputOptions
    @Option(help: "The ledger's URL, e.g. http://127.0.0.1:9100/simulator/ledger.") var ledger: String
    @Option(help: "The campaign.") var campaign: String
    @Option(help: "The most calls that may be live at once: the sum of all DIALER_MAX_CONCURRENT_CALLS.")
    var maxLive: Int?

    func run() async throws {
        let ledger = try await self.readLedger()
        let (attempts, excluded) = try await self.common.withStore { store in
            let campaign = try await store.campaign(named: self.campaign)
            var attempts: [CallStore.AttemptRecord] = []
            try await store.attempts(campaign: campaign.id) { attempts += $0 }
            var excluded: Set<String> = []
            var last: PhoneNumber?
            while true {
                let page = try await store.exclusions(after: last)
                guard let end = page.last else { break }
                excluded.formUnion(
                    page.filter { $0.campaign == nil && $0.expiresAt == nil }.map(\.phoneNumber.e164)
                )
                last = end.phoneNumber
            }
            return (attempts, excluded)
        }
        let comparison = LedgerComparison(
            ledger: ledger,
            attempts: attempts,
            excluded: excluded,
            maximumLive: self.maxLive
        )
        if self.output.json {
            try Console.json(comparison)
        } else {
            comparison.print()
        }
        guard comparison.differences.isEmpty else {
            throw CheckFailed(message: "the ledger and the database disagree in \(comparison.differences.count) points")
        }
    }

    private func readLedger() async throws -> Ledger {
        do {
            let response = try await HTTPClient.shared.execute(
                HTTPClientRequest(url: self.ledger),
                timeout: .seconds(60)
            )
            return try Ledger.decode(Data(try await response.body.collect(upTo: 1 << 30).readableBytesView))
        } catch {
            throw UsageFault("--ledger \(self.ledger): cannot be read as a ledger")
        }
    }
}

/// What two witnesses say about the same calls.
struct LedgerComparison: Encodable {
    let requests: Int
    let placed: Int
    let attempts: Int
    let maximumLive: Int
    private(set) var differences: [String] = []

    init(ledger: Ledger, attempts: [CallStore.AttemptRecord], excluded: Set<String>, maximumLive: Int?) {
        let byCall = Dictionary(grouping: attempts, by: \.callID.lowercased)
        let entries = ledger.calls.filter { entry in entry.callID.map { byCall[$0] != nil } ?? true }
        self.requests = entries.count
        self.placed = entries.count { $0.sid != nil }
        self.attempts = attempts.count
        self.maximumLive = ledger.summary.maximumLive
        let asked = Dictionary(grouping: entries) { $0.callID ?? "" }
        for (callID, requests) in asked.sorted(by: { $0.key < $1.key }) {
            guard let attempt = byCall[callID]?.first else {
                self.differences.append("a request without a known call_id was sent")
                continue
            }
            if requests.count > 1 {
                self.differences.append("\(callID): the provider was asked \(requests.count) times")
            }
            for request in requests { self.compare(request, attempt, excluded) }
        }
        for attempt in attempts where attempt.isCounted && asked[attempt.callID.lowercased] == nil {
            guard attempt.errorCode != "lost" else { continue }
            self.differences.append("\(attempt.callID.lowercased): counted as an attempt, but nobody was asked")
        }
        if ledger.summary.doubleCalls > 0 {
            self.differences.append("\(ledger.summary.doubleCalls) calls began while their number was being called")
        }
        if let limit = maximumLive, ledger.summary.maximumLive > limit {
            self.differences.append("\(ledger.summary.maximumLive) calls were live at once, more than \(limit)")
        }
    }

    private mutating func compare(
        _ request: LedgerCall,
        _ attempt: CallStore.AttemptRecord,
        _ excluded: Set<String>
    ) {
        let callID = attempt.callID.lowercased
        if request.to != attempt.phoneNumber { self.differences.append("\(callID): another number was called") }
        if excluded.contains(request.to), request.sid != nil {
            self.differences.append("\(callID): an excluded number was called")
        }
        // The two clocks are one here; the database's is read to the microsecond.
        if request.requestedAt.timeIntervalSince(attempt.startedAt) < -0.001 {
            self.differences.append("\(callID): the provider was asked before the row was made")
        }
        guard let sid = request.sid else {
            if attempt.isCounted, attempt.outcome != .failed {
                self.differences.append("\(callID): nothing was placed, but the outcome is recorded as reached")
            }
            return
        }
        if let stored = attempt.providerCallID, stored != sid {
            self.differences.append("\(callID): stored as \(stored), placed as \(sid)")
        }
        if !attempt.isCounted { self.differences.append("\(callID): was placed, but is not counted") }
        let expected: Set<CallOutcome> =
            switch request.status {
            case "completed": [.completed, .answeringMachine, .refused]
            case "busy": [.busy]
            case "no-answer": [.noAnswer]
            default: [.failed]
            }
        if let outcome = attempt.outcome, !expected.contains(outcome), attempt.errorCode != "lost" {
            self.differences.append("\(callID): ended as \(request.status), recorded as \(outcome.rawValue)")
        }
        if attempt.outcome == nil, request.endedAt != nil {
            self.differences.append("\(callID): has ended, but its outcome is not recorded")
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
