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
    @Option(help: "The ledger's URL, e.g. http://127.0.0.1:9180/simulator/ledger.") var ledger: String
    @Option(help: "The campaign.") var campaign: String
    @Option(help: "The most calls that may be live at once: the sum of all DIALER_MAX_CONCURRENT_CALLS.")
    var maxLive: Int?

    func run() async throws {
        let ledger = try await self.readLedger()
        let (attempts, elsewhere, excluded) = try await self.common.withStore { store in
            let campaign = try await store.campaign(named: self.campaign)
            var attempts: [CallStore.AttemptRecord] = []
            try await store.attempts(campaign: campaign.id) { attempts += $0 }
            let elsewhere = try await store.callsElsewhere(
                than: campaign.id,
                callIDs: ledger.calls.compactMap { $0.callID.flatMap(UUID.init(uuidString:)) },
                providerCallIDs: ledger.calls.compactMap(\.sid)
            )
            var excluded: [String: Date] = [:]
            var last: PhoneNumber?
            while true {
                let page = try await store.exclusions(after: last)
                guard let end = page.last else { break }
                for entry in page where entry.campaign == nil && entry.expiresAt == nil {
                    excluded[entry.phoneNumber.e164] = entry.createdAt
                }
                last = end.phoneNumber
            }
            return (attempts, elsewhere, excluded)
        }
        let comparison = LedgerComparison(
            ledger: ledger,
            attempts: attempts,
            elsewhere: elsewhere,
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
