// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallStore
import Foundation
import Logging
import Postgres
import Selection

/// One pass of a selector, beside others or without any, for people who want to see what it does.
enum SelectorPass {
    private struct View: Encodable {
        let campaigns: [Campaign]
        let published: Int
        let unpublished: Int
        let startedCampaigns: [String]
        let endedCampaigns: [String]
        let completedCampaigns: [String]
        let expiredClaims: Int
        let offeredForAdoption: Int
        let fullTrunks: [String]
        let isUnfinished: Bool
        let putAside: [StatusCommand.PutAside]

        struct Campaign: Encodable {
            let name: String
            let trunk: String
            let claimed: Int
            let published: Int
        }

        init(_ summary: Selector.PassSummary, _ faults: [CallStore.Fault]) {
            self.campaigns = summary.campaigns.sorted { $0.key < $1.key }.map { name, share in
                Campaign(name: name, trunk: share.trunk, claimed: share.claimed, published: share.published)
            }
            self.published = summary.published
            self.unpublished = summary.unpublished
            self.startedCampaigns = summary.started
            self.endedCampaigns = summary.ended
            self.completedCampaigns = summary.completed
            self.expiredClaims = summary.expiredLeases
            self.offeredForAdoption = summary.renewedOrphans
            self.fullTrunks = summary.fullTrunks.sorted()
            self.isUnfinished = summary.wasCutShort || summary.wasLimitedByRests
            self.putAside = faults.map(StatusCommand.PutAside.init)
        }

        func print() {
            if self.campaigns.isEmpty {
                Console.line("nobody was claimed; `call-scheduler campaign why NAME` tells why")
            } else {
                Console.table(
                    ["CAMPAIGN", "TRUNK", "#CLAIMED", "#QUEUED"],
                    self.campaigns.map { [$0.name, $0.trunk, "\($0.claimed)", "\($0.published)"] }
                )
            }
            let notes = [
                ("started by the clock", self.startedCampaigns), ("ended by the clock", self.endedCampaigns),
                ("complete, with nobody left to call", self.completedCampaigns), ("full queues", self.fullTrunks),
            ]
            for (what, names) in notes where !names.isEmpty {
                Console.line("\(what): \(names.joined(separator: ", "))")
            }
            if self.expiredClaims > 0 {
                Console.line("given back, for their claims had expired: \(self.expiredClaims)")
            }
            if self.offeredForAdoption > 0 {
                Console.line("calls that nobody watched, offered to the dialers: \(self.offeredForAdoption)")
            }
            if self.isUnfinished { Console.line("more is due than one pass gets to") }
            guard !self.putAside.isEmpty else { return }
            Console.table(
                ["PUT ASIDE", "NAME", "UNTIL", "REASON"],
                self.putAside.map { [$0.kind, $0.name, $0.retryAt?.formatted(.iso8601) ?? "it is mended", $0.reason] }
            )
        }
    }

    static func run(_ common: CommonOptions, json: Bool) async throws {
        var settings = try common.settings()
        var database = settings.database(applicationName: "call-scheduler/selector")
        database?.sessionSettings = CallStore.sessionSettings
        let broker = settings.broker()
        let configuration = settings.selector()
        try settings.check()
        guard let database, var broker else { throw ConfigurationFault(faults: settings.faults) }
        broker.connectionName = "call-scheduler selector: one pass"
        var logger = Logger(label: "selector")
        logger.logLevel = .error
        let client = PostgresClient(configuration: database, logger: logger)
        let connection = AMQPConnection(configuration: broker, topology: AMQPTopology(), logger: logger)
        let view: Result<View, any Error>
        do {
            let store = CallStore(client: client, logger: logger)
            try await RoleProcess.checkSchema(store, logger)
            try await connection.waitUntilReady(timeout: .seconds(30))
            let selector = Selector(configuration: configuration, store: store, broker: connection, logger: logger)
            let summary = try await selector.pass()
            // A selector that runs does so beside its passes.
            try await store.mergeCounts()
            view = .success(View(summary, try await store.faults()))
        } catch {
            view = .failure(error)
        }
        await connection.close()
        await client.close()
        let made = try view.get()
        if json { try Console.json(made) } else { made.print() }
        guard made.putAside.isEmpty, made.unpublished == 0 else {
            throw CheckFailed(message: "something is put aside, or could not be queued")
        }
    }
}
