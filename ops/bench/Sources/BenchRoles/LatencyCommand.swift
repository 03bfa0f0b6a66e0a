// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import CallStore
import Foundation
import Histogram
import NIOConcurrencyHelpers
import Postgres
import Selection
import ServiceLifecycle
import Telephony

/// Contacts that come due one after the other at a steady rate, and how long each waits until the provider is asked.
///
/// The campaign's contacts have numbers that end in 0, 1, 2 … in the order in which they come due.
struct LatencyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "latency",
        abstract: "Lets contacts come due at a rate and tells how long they wait for the provider to be asked."
    )

    @OptionGroup var servers: ServerOptions

    @Option(help: "Contacts that come due in a second.")
    var rate: Double

    @Option(help: "How many in all.")
    var contacts: Int

    @Option(help: "Seconds between selection passes.")
    var intervalSeconds = 0.1

    @Option(help: "Live calls at once.")
    var maximumCalls = 2000

    private struct Figures: Encodable {
        let rate: Double
        let calls: Int
        let dueToAskedP50Ms: Double
        let dueToAskedP99Ms: Double
        let dueToAskedP999Ms: Double
        let tickToAskedP50Ms: Double
        let tickToAskedP99Ms: Double
        let tickToAskedP999Ms: Double
    }

    /// When passes began and when the provider was asked.
    private struct Log: Sendable {
        var ticks: [Date] = []
        var asked: [(number: Int, at: Date)] = []
    }

    func run() async throws {
        let house = try House(self.servers)
        let log = NIOLockedValueBox(Log())
        let provider = InstantProvider(broker: try await house.publisher("provider")) { request in
            let now = Date()
            let number = Int(request.to.e164.suffix(9)) ?? 0
            log.withLockedValue { $0.asked.append((number, now)) }
        }
        let dialer = try house.dialer(provider, try await house.publisher("dialer"), maximumCalls: self.maximumCalls)
        let recorder = try house.recorder(try await house.publisher("recorder"))
        let selector = house.selector(try await house.publisher("selector")) {
            $0.queueDepth = 100_000
            $0.batchSize = 500
        }
        let group = ServiceGroup(services: [provider, recorder, dialer], logger: ServerOptions.logger)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            let start = try await self.spread(house.client)
            // As the Selector does beside its passes.
            let merging = Task {
                while !Task.isCancelled {
                    try? await Task.sleep(for: Selector.mergeInterval)
                    try? await house.store.mergeCounts()
                }
            }
            try await self.select(selector, log)
            merging.cancel()
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            try printFigures(self.figures(log.withLockedValue { $0 }, start: start))
        }
        await house.client.close()
    }

    /// Lets the contacts come due at the rate, from two seconds from now.
    private func spread(_ client: PostgresClient) async throws -> Date {
        let statement = PostgresStatement(
            """
            with start as materialized (select clock_timestamp() + interval '5 seconds' as at)
            , spread as (
                update contacts
                set next_attempt_at = start.at + make_interval(secs => right(phone_number, 9)::int / $1)
                from start)
            select at from start
            """,
            prepared: false
        )
        guard let row = try await client.execute(statement, [self.rate]).first else {
            throw ValidationError("the database gave no time")
        }
        return try row.decode(Date.self, at: 0)
    }

    /// Makes passes as the Selector does by itself, and notes when each began.
    private func select(_ selector: Selector, _ log: NIOLockedValueBox<Log>) async throws {
        let limit = ContinuousClock.now + .seconds(Double(self.contacts) / self.rate * 3 + 60)
        while log.withLockedValue({ $0.asked.count }) < self.contacts {
            guard ContinuousClock.now < limit else { throw ValidationError("the rate cannot be kept by far") }
            log.withLockedValue { $0.ticks.append(Date()) }
            _ = try await selector.pass()
            try await Task.sleep(for: .seconds(self.intervalSeconds))
        }
    }

    private func figures(_ log: Log, start: Date) throws -> Figures {
        var dueToAsked = Histogram<UInt32>(highestTrackableValue: 600_000_000, numberOfSignificantValueDigits: .three)
        var tickToAsked = Histogram<UInt32>(highestTrackableValue: 600_000_000, numberOfSignificantValueDigits: .three)
        func microseconds(_ interval: TimeInterval) -> UInt64 { UInt64(max(0, interval * 1e6)) }
        for (number, asked) in log.asked {
            let due = start.addingTimeInterval(Double(number) / self.rate)
            dueToAsked.record(microseconds(asked.timeIntervalSince(due)))
            // The first pass that could see the contact.
            var low = 0
            var high = log.ticks.count
            while low < high {
                let middle = (low + high) / 2
                if log.ticks[middle] < due { low = middle + 1 } else { high = middle }
            }
            let tick = low < log.ticks.count ? log.ticks[low] : due
            tickToAsked.record(microseconds(asked.timeIntervalSince(min(tick, asked))))
        }
        func milliseconds(_ histogram: Histogram<UInt32>, _ percentile: Double) -> Double {
            Double(histogram.valueAtPercentile(percentile)) / 1000
        }
        return Figures(
            rate: self.rate,
            calls: log.asked.count,
            dueToAskedP50Ms: milliseconds(dueToAsked, 50),
            dueToAskedP99Ms: milliseconds(dueToAsked, 99),
            dueToAskedP999Ms: milliseconds(dueToAsked, 99.9),
            tickToAskedP50Ms: milliseconds(tickToAsked, 50),
            tickToAskedP99Ms: milliseconds(tickToAsked, 99),
            tickToAskedP999Ms: milliseconds(tickToAsked, 99.9)
        )
    }
}
