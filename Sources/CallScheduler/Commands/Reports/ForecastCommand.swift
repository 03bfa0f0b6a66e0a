// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import CallStore
import Forecasting
import Foundation

extension CampaignCommand {
    struct ForecastCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "forecast",
            abstract: "Simulate the rest of a campaign: calls per hour, when it ends, who is reached, what holds it up."
        )
        @OptionGroup var common: CommonOptions
        @OptionGroup var output: OutputOptions
        @Argument(help: "The campaign.") var name: String
        @OptionGroup var assumptions: ForecastOptions
        @Flag(help: "Say on standard error how long the simulation took.") var verbose = false

        func run() async throws {
            let faults = self.assumptions.faults()
            guard faults.isEmpty else { throw UsageFault(faults.joined(separator: "\n")) }
            let (campaign, facts, appointments) = try await self.common.withStore { store in
                let campaign = try await store.campaign(named: self.name)
                return (
                    campaign, try await store.forecastFacts(campaign: self.name),
                    try await store.appointments(campaign: campaign.id)
                )
            }
            guard facts.unknownZones.isEmpty else {
                throw CheckFailed(
                    message: "nothing can be foretold: the database does not know "
                        + facts.unknownZones.joined(separator: "; ")
                        + ", and nobody is called there, because its host lacks these time zones"
                )
            }
            let basis = try ForecastBasis(campaign.settings, facts, self.assumptions)
            let clock = ContinuousClock()
            let began = clock.now
            let forecast: Forecast
            do {
                forecast = try basis.plan.simulate()
            } catch {
                throw UsageFault(error.description)
            }
            if self.verbose {
                let seconds = (clock.now - began) / .seconds(1)
                Console.note(
                    "simulated \(basis.plan.contacts) contacts and \(forecast.calls) calls in "
                        + String(format: "%.2f s", seconds)
                )
            }
            let view = ForecastView(campaign: self.name, basis, forecast)
            if self.output.json {
                try Console.json(view)
            } else {
                view.print(forecast, basis.plan)
                if appointments.open > 0 {
                    let next = appointments.next?.formatted(.iso8601) ?? "–"
                    Console.line(
                        "\(appointments.open) appointment(s) to come, the next at \(next): called before all others"
                    )
                }
            }
        }
    }
}

/// What is assumed in a forecast, where the campaign does not say.
struct ForecastOptions: ParsableArguments {
    @Option(
        help:
            "Calls at once: DIALER_MAX_CONCURRENT_CALLS times the dialers. Needed if the campaign has no cap of its own."
    )
    var lines: Int?
    @Option(help: "Calls placed per second: DIALER_CALLS_PER_SECOND times the dialers; 1 unless given.")
    var callsPerSecond: Double?
    @Option(help: "Calls placed per clock hour at most; no limit unless given.") var callsPerHour: Int?
    @Option(
        help: ArgumentHelp(
            "Shares of the outcomes completed, refused, no_answer, busy, failed, answering_machine, …, which sum to 1. "
                + "Unless given they are learned from the attempts so far.",
            valueName: "OUTCOME=SHARE,…"
        )
    )
    var rates: String?
    @Option(help: "Pretend so many contacts, spread like the present ones.") var contacts: Int?
    @Option(help: "Stop once so many more contacts have completed.") var target: Int?
    @Option(help: "When calling begins, ISO 8601; now, or the campaign's starts-at, unless given.") var start: String?
    @Option(help: "How far to look ahead, 1…400 days.") var horizonDays = 90
    @Option(help: "Another seed gives another course of chance.") var seed: UInt64 = 1

    /// What is wrong with the options by themselves, each naming the option.
    func faults() -> [String] {
        var faults: [String] = []
        if let text = self.rates {
            do { _ = try OutcomeShares(text) } catch { faults.append("rates: \(error)") }
        }
        if let text = self.start, self.startDate == nil {
            faults.append("start: '\(text)' is not a time like 2026-12-01T09:00:00Z")
        }
        if let contacts = self.contacts, contacts < 0 { faults.append("contacts: must be at least 0") }
        return faults
    }

    var startDate: Date? {
        self.start.flatMap { try? Date($0, strategy: .iso8601) }
    }
}
