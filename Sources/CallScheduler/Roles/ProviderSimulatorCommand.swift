// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Logging
import Observability
import ProviderSimulator
import ServiceLifecycle
import UnixSignals

struct ProviderSimulatorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "provider-simulator",
        abstract: "Rehearse: a provider that phones nobody, speaks the API and calls back.",
        discussion: """
            A scenario file is JSON with the keys seed, outcomes, ring_seconds, talk_seconds, calls_per_second, \
            maximum_live_calls, faults, late_callback_seconds, slow_answer_seconds and numbers; flags win over it. \
            The ledger is read at /simulator/ledger. Use /simulator/answer as a campaign's answer URL.
            """
    )

    @Option(help: "Address to listen on.") var host: String?
    @Option(help: "Port to listen on, 0 for any.") var port: Int?
    @Option(help: "The account that requests must name, AC and 32 hex digits.") var accountSid: String?
    @Option(help: "The account's secret.") var authToken: String?
    @Option(help: "Scenario file.", completion: .file()) var scenario: String?
    @Option(help: "Makes a run repeatable.") var seed: UInt64?
    @Option(help: "An outcome's weight, e.g. --outcome busy=20; outcomes not named get 0.") var outcome: [String] = []
    @Option(help: "A fault's probability, e.g. --fault callback_lost=0.05.") var fault: [String] = []
    @Option(help: "Seconds that phones ring, e.g. 1-15.") var ringSeconds: String?
    @Option(help: "Seconds that calls last, e.g. 5-60.") var talkSeconds: String?
    @Option(help: "Calls started per second, 0 for no limit.") var callsPerSecond: Double?
    @Option(help: "Live calls beyond which requests are refused, 0 for no limit.") var maxLiveCalls: Int?
    @Option(help: "Write the ledger to this file as JSON lines.", completion: .file()) var ledgerFile: String?
    @Option(help: "Let whoever bears this token hold, answer and end calls at /simulator/control.") var controlToken:
        String?

    func run() async throws {
        let configuration = try self.simulatorConfiguration()
        LogBootstrap.bootstrap(level: .info, format: .text)
        let logger = Logger(label: "provider-simulator")
        var witness: ProviderSimulator.RowWitness?
        #if DEBUG
            let seer = try SimulatorWitness(ProcessInfo.processInfo.environment, logger: logger)
            if let seer { witness = { await seer.see($0) } }
        #endif
        let simulator = ProviderSimulator(
            configuration: configuration,
            logger: logger,
            onListening: { Console.line("provider simulator listens on http://\(configuration.host):\($0)") },
            witness: witness
        )
        var group = ServiceGroupConfiguration(
            services: [simulator],
            gracefulShutdownSignals: [.sigterm, .sigint],
            logger: logger
        )
        group.maximumGracefulShutdownDuration = .seconds(2)
        StopLimit(logger: logger).watch()
        do {
            try await ServiceGroup(configuration: group).run()
        } catch is CancellationError {
            return
        }
    }

    private func simulatorConfiguration() throws -> SimulatorConfiguration {
        var configuration = SimulatorConfiguration()
        do {
            if let scenario = self.scenario {
                guard let data = FileManager.default.contents(atPath: scenario) else {
                    throw UsageFault("\(scenario): cannot be read")
                }
                configuration = try SimulatorConfiguration.scenario(json: Array(data))
            }
        } catch let error as ScenarioError {
            throw UsageFault(error.faults.map { "\(self.scenario ?? "scenario"): \($0)" }.joined(separator: "\n"))
        }
        if let host = self.host { configuration.host = host }
        if let port = self.port { configuration.port = port }
        if let accountSid = self.accountSid { configuration.accountSID = accountSid }
        if let authToken = self.authToken { configuration.authToken = authToken }
        if let seed = self.seed { configuration.seed = seed }
        if !self.outcome.isEmpty { configuration.outcomes = try Self.pairs(self.outcome, option: "outcome") }
        try configuration.faults.merge(Self.pairs(self.fault, option: "fault")) { _, new in new }
        if let range = self.ringSeconds { configuration.ringSeconds = try Self.range(range, option: "ring-seconds") }
        if let range = self.talkSeconds { configuration.talkSeconds = try Self.range(range, option: "talk-seconds") }
        if let rate = self.callsPerSecond { configuration.callsPerSecond = rate }
        if let limit = self.maxLiveCalls { configuration.maximumLiveCalls = limit }
        if let file = self.ledgerFile { configuration.ledgerFile = file }
        if let token = self.controlToken { configuration.controlToken = token }
        let faults = configuration.faultsFound()
        guard faults.isEmpty else { throw UsageFault(faults.joined(separator: "\n")) }
        return configuration
    }

    private static func pairs(_ texts: [String], option: String) throws -> [String: Double] {
        var result: [String: Double] = [:]
        for text in texts {
            let sides = text.split(separator: "=", maxSplits: 1).map(String.init)
            guard sides.count == 2, let value = Double(sides[1]) else {
                throw UsageFault("--\(option) '\(text)': write it like name=0.1")
            }
            result[sides[0]] = value
        }
        return result
    }

    private static func range(_ text: String, option: String) throws -> SimulatorConfiguration.Seconds {
        let sides = text.split(separator: "-").map { Double($0) }
        guard let first = sides.first, let low = first, sides.count <= 2, let last = sides.last, let high = last else {
            throw UsageFault("--\(option) '\(text)': write it like 1-15")
        }
        return SimulatorConfiguration.Seconds(min: low, max: high)
    }
}
