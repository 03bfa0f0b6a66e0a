// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import ArgumentParser
import CallModel
import CallQueues
import CallStore
import Foundation
import Logging

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "What is going on: who works, campaigns, contacts by state, queue depths, live calls."
    )
    @OptionGroup var common: CommonOptions
    @OptionGroup var output: OutputOptions
    @Flag(help: "Draw it again and again until interrupted.") var watch = false
    @Option(help: "Seconds between two pictures with --watch, 1…3600.") var every = 2

    /// The answer.
    struct Answer: Encodable, Sendable {
        let campaigns: [ReportView]
        let roles: [RoleView]
        let queues: [Queue]
        let liveCalls: [String: Int]
        let pausedTrunks: [String: String]
        let putAside: [PutAside]
        let brokerFault: String?
        /// What keeps calls from being made, by the trunk, and what of the house is missing.
        let missing: [String]
    }

    /// Something that gets no calls, or not all, because something is wrong with it alone.
    struct PutAside: Encodable, Sendable {
        let kind: String
        let name: String
        let reason: String
        let since: Date
        let retryAt: Date?

        init(_ fault: CallStore.Fault) {
            self.kind = fault.kind.rawValue
            self.name = fault.name
            self.reason = fault.reason
            self.since = fault.since
            self.retryAt = fault.retryAt
        }
    }

    /// One queue.
    struct Queue: Encodable, Sendable {
        let name: String
        let ready: Int
        let consumers: Int
    }

    func run() async throws {
        var settings = try self.common.settings()
        let broker = settings.broker()
        try settings.check()
        guard 1...3600 ~= self.every else { throw UsageFault("every: \(self.every) is not in 1…3600 seconds") }
        guard !self.watch || !self.output.json else { throw UsageFault("watch: is for people, and json for machines") }
        repeat {
            let answer = try await self.ask(broker)
            if self.watch { Console.clear() }
            if self.output.json {
                try Console.json(answer)
            } else {
                Self.print(answer)
            }
            if self.watch {
                Console.line()
                Console.line("\(Date().formatted(.iso8601)), again every \(self.every) s; Ctrl-C ends it")
                // People read it; nothing tells that a figure has changed.
                try await Task.sleep(for: .seconds(self.every))
            }
        } while self.watch
    }

    private func ask(_ broker: AMQPConfiguration?) async throws -> Answer {
        try await self.common.withStore { store in
            var campaigns: [ReportView] = []
            for campaign in try await store.campaigns() {
                campaigns.append(ReportView(campaign, try await store.report(campaign: campaign.id)))
            }
            let trunks = try await store.trunksInUse()
            let (queues, fault) = await Self.queues(broker, trunks: trunks)
            let paused = try await store.pausedTrunks()
            let roles = try await store.roles()
            let house = CallStore.House(
                roles: roles,
                consumers: Self.consumers(queues, trunks: trunks),
                brokerFault: fault
            )
            return Answer(
                campaigns: campaigns,
                roles: roles.map(RoleView.init),
                queues: queues,
                liveCalls: try await store.openCallsByTrunk(),
                pausedTrunks: Dictionary(uniqueKeysWithValues: paused.map { ($0.name, $0.reason) }),
                putAside: try await store.faults().map(PutAside.init),
                brokerFault: fault,
                missing: Self.missing(house, trunks: trunks.filter { name in !paused.contains { $0.name == name } })
            )
        }
    }

    /// What is missing of the house, each thing once.
    static func missing(_ house: CallStore.House, trunks: [String]) -> [String] {
        var missing = trunks.compactMap { house.cause(trunk: $0) }
        missing += CallStore.RoleReport.Kind.allCases.filter { $0 != .dialer }.compactMap { house.absence(of: $0) }
        var told: [String] = []
        for words in missing where !told.contains(where: { $0.hasPrefix(words) }) { told.append(words) }
        return told
    }

    /// How many consume the trunks' queues.
    static func consumers(_ queues: [Queue], trunks: [String]) -> [String: Int] {
        var consumers: [String: Int] = [:]
        for trunk in trunks {
            consumers[trunk] = queues.first { $0.name == CallTopology.dialQueue(trunk: trunk) }?.consumers
        }
        return consumers
    }

    static func queues(_ configuration: AMQPConfiguration?, trunks: [String]) async -> ([Queue], String?) {
        guard let configuration else { return ([], nil) }
        var logger = Logger(label: "call-scheduler")
        logger.logLevel = .critical
        let connection = AMQPConnection(configuration: configuration, logger: logger)
        var queues: [Queue] = []
        var fault: String?
        do {
            try await connection.waitUntilReady(timeout: .seconds(5))
            for name in trunks.map({ CallTopology.dialQueue(trunk: $0) }) + [
                CallTopology.callEvents, CallTopology.dead, CallTopology.unplaced,
            ] {
                do {
                    let status = try await connection.queueStatus(name)
                    queues.append(Queue(name: name, ready: status.messagesReady, consumers: status.consumers))
                } catch  where error.code == .notFound {
                    queues.append(Queue(name: name, ready: 0, consumers: 0))
                }
            }
        } catch {
            fault = "\(error)"
        }
        await connection.close()
        return (queues, fault)
    }

    private static func print(_ answer: Answer) {
        RoleView.print(answer.roles)
        Console.line()
        Console.table(
            [
                "CAMPAIGN", "STATUS", "#CONTACTS", "#OPEN", "#IN PROGRESS", "#COMPLETED", "#REFUSED", "#NOT REACHED",
                "#EXCLUDED",
            ],
            answer.campaigns.map { view in
                [
                    view.campaign, view.status, String(view.contacts.total), String(view.contacts.open),
                    String(view.contacts.byState["in_progress"] ?? 0), String(view.contacts.byState["completed"] ?? 0),
                    String(view.contacts.byState["refused"] ?? 0), String(view.contacts.byState["not_reached"] ?? 0),
                    String(view.contacts.byState["excluded"] ?? 0),
                ]
            }
        )
        Console.line()
        Console.table(
            ["QUEUE", "#READY", "#CONSUMERS"],
            answer.queues.map { [$0.name, String($0.ready), String($0.consumers)] }
        )
        Console.line()
        Console.table(
            ["TRUNK", "#LIVE CALLS"],
            answer.liveCalls.sorted { $0.key < $1.key }.map { [$0.key, String($0.value)] }
        )
        for (trunk, reason) in answer.pausedTrunks.sorted(by: { $0.key < $1.key }) {
            Console.line("trunk \(trunk) is paused: \(reason)")
        }
        for aside in answer.putAside {
            let what = "\(aside.kind) \(aside.name)"
            let until = aside.retryAt.map { "\(what) is put aside until \($0.formatted(.iso8601))" }
            Console.line("\(until ?? "a part of \(what) is put aside"): \(aside.reason)")
        }
        if let fault = answer.brokerFault { Console.line("queues are unknown: \(fault)") }
        for words in answer.missing { Console.line("MISSING: \(words)") }
        let isIdle =
            answer.liveCalls.values.allSatisfy { $0 == 0 }
            && answer.queues.allSatisfy { queue in
                !queue.name.hasPrefix(CallTopology.dialQueue(trunk: "")) || queue.ready == 0
            }
        if answer.missing.isEmpty, isIdle { Console.line("every role works; no call is live and none is queued") }
    }
}
