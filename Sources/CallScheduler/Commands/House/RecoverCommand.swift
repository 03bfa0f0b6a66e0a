// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import AsyncHTTPClient
import CallModel
import CallStore
import Foundation
import Logging
import Telephony

struct RecoverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recover",
        abstract:
            "After a restore: ask the provider for calls that the database has forgotten, and make their attempts.",
        discussion: """
            A database restored from a backup looks as if nobody had been called since. Pause all campaigns, run this, and \
            resume: whoever was called in the lost time has an attempt then, with its outcome, and is not called again \
            before the rules allow it. Running it again changes nothing.
            """
    )
    @OptionGroup var common: CommonOptions
    @OptionGroup var output: OutputOptions
    @Option(help: "Since when, ISO 8601: the time of the backup or earlier.") var since: String
    @Flag(help: "Only count.") var dryRun = false

    /// What came of it.
    private struct Summary: Encodable {
        var listed = 0
        var known = 0
        var recovered = 0
        var live = 0
        var outcomes: [String: Int] = [:]
        var notOurs = 0
    }

    func run() async throws {
        guard let start = try? Date(self.since, strategy: .iso8601) else {
            throw UsageFault("since: '\(self.since)' is not a time like 2026-11-01T08:00:00Z")
        }
        var settings = try self.common.settings()
        let configuration = settings.provider()
        try settings.check()
        guard let configuration else { throw ConfigurationFault(faults: settings.faults) }
        let client = HTTPClient(configuration: TwilioProvider.makeHTTPClientConfiguration())
        var logger = Logger(label: "recover")
        logger.logLevel = .error
        let provider = TwilioProvider(configuration: configuration, httpClient: client, logger: logger)
        let result: Result<Summary, any Error>
        do {
            result = .success(try await self.common.withStore { try await self.recover(start, $0, provider) })
        } catch let error as TelephonyError {
            result = .failure(CheckFailed(message: "the provider could not be asked: \(error); run it again"))
        } catch {
            result = .failure(error)
        }
        try? await client.shutdown()
        try self.print(try result.get())
    }

    private func recover(_ start: Date, _ store: CallStore, _ provider: TwilioProvider) async throws -> Summary {
        let (callerIDs, running) = try await store.callerIDs()
        guard running == 0 || self.dryRun else {
            throw UsageFault(
                "\(running) campaign(s) are running and may call whom the provider has already called: "
                    + "`call-scheduler pause --all --reason restored` first"
            )
        }
        var summary = Summary()
        var seen: Set<String> = []
        for callerID in callerIDs {
            try await provider.listCalls(from: callerID, acceptedAfter: start) { page in
                let fresh = page.filter { seen.insert($0.call.providerCallID).inserted }
                let known = try await store.boundCalls(among: fresh.map { ($0.call.providerCallID, $0.to) })
                summary.listed += fresh.count
                summary.known += known.count
                // Oldest first, so that a contact's attempts are made in their order.
                for item in fresh.reversed() where known[item.call.providerCallID] == nil {
                    if self.dryRun {
                        summary.recovered += 1
                    } else {
                        try await Self.recover(item, callerID, store, &summary)
                    }
                }
            }
        }
        return summary
    }

    private static func recover(
        _ item: ListedCall,
        _ callerID: PhoneNumber,
        _ store: CallStore,
        _ summary: inout Summary
    ) async throws {
        let call = item.call
        guard
            let callID = try await store.recoverAttempt(
                providerCallID: call.providerCallID,
                to: item.to,
                callerID: callerID,
                startedAt: call.createdAt ?? Date()
            )
        else {
            summary.notOurs += 1
            return
        }
        summary.recovered += 1
        guard call.status.isFinal else {
            summary.live += 1
            return
        }
        let event = CallEvent(
            callID: callID,
            providerCallID: call.providerCallID,
            status: call.status,
            occurredAt: call.endedAt ?? Date(),
            answeredBy: call.answeredBy,
            rawStatus: call.rawStatus
        )
        for outcome in try await store.record(CallReport.merge([event])).outcomes {
            summary.outcomes[outcome.outcome.rawValue, default: 0] += 1
        }
    }

    private func print(_ summary: Summary) throws {
        guard !self.output.json else {
            try Console.json(summary)
            return
        }
        Console.line("\(summary.listed) call(s) at the provider, \(summary.known) of them known")
        Console.line("\(summary.recovered) \(self.dryRun ? "would be" : "were") recovered")
        for (outcome, count) in summary.outcomes.sorted(by: { $0.key < $1.key }) {
            Console.line("  \(count) × \(outcome)")
        }
        if summary.live > 0 { Console.line("  \(summary.live) × still live; a dialer will follow them") }
        if summary.notOurs > 0 {
            Console.line(
                "\(summary.notOurs) left alone: no contact of a campaign with that caller ID has the number, or an "
                    + "attempt is open, whose dialer asks"
            )
        }
    }
}
