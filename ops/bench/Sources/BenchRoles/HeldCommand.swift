// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallModel
import Dialing
import Foundation
import Postgres
import ServiceLifecycle

/// One Dialer that holds many live calls for a while. Selector and Recorder run elsewhere.
struct HeldCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "held",
        abstract: "Holds live calls, and tells what that takes and how long they take to end."
    )

    @OptionGroup var servers: ServerOptions

    @Option(help: "Live calls.")
    var calls = 10_000

    @Option(help: "How long they are held.")
    var seconds = 60.0

    private struct Figures: Encodable {
        let calls: Int
        let idleRssKib: Int
        let heldRssKib: Int
        let maxRssKib: Int
        let kibPerCall: Double
        let idleCpuPercent: Double
        let answered: Int
        let reconnects: Int
        let endSeconds: Double
    }

    func run() async throws {
        let house = try House(self.servers)
        let provider = InstantProvider(broker: try await house.publisher("provider"), endsCalls: false)
        let broker = try await house.publisher("dialer")
        let dialer = try house.dialer(provider, broker, maximumCalls: self.calls)
        let group = ServiceGroup(services: [provider, dialer], logger: ServerOptions.logger)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            let figures = try await self.measure(house, provider, dialer)
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            try printFigures(figures)
        }
        await house.client.close()
    }

    private func measure(_ house: House, _ provider: InstantProvider, _ dialer: Dialer) async throws -> Figures {
        // Before the first call: the Selector starts once this file is there.
        try await Task.sleep(for: .seconds(2))
        let idle = Usage.now
        FileHandle.standardError.write(Data("ready\n".utf8))
        try await Self.wait("\(self.calls) calls are held") { provider.placedCalls.count >= self.calls }
        await provider.report(.answered, of: provider.placedCalls)
        try await Self.wait("all are answered") { try await Self.answered(house.client) >= self.calls }
        let start = (instant: ContinuousClock.now, usage: Usage.now)
        try await Task.sleep(for: .seconds(self.seconds))
        let end = (instant: ContinuousClock.now, usage: Usage.now)
        let elapsed = (end.instant - start.instant) / .seconds(1)
        let answered = try await Self.answered(house.client)
        let ending = ContinuousClock.now
        await provider.report(.completed, of: provider.placedCalls)
        try await Self.wait("all have ended") { dialer.heldCalls == 0 }
        return Figures(
            calls: self.calls,
            idleRssKib: idle.residentKiB,
            heldRssKib: end.usage.residentKiB,
            maxRssKib: Usage.now.maximumResidentKiB,
            kibPerCall: Double(end.usage.residentKiB - idle.residentKiB) / Double(self.calls),
            idleCpuPercent: (end.usage.cpuSeconds - start.usage.cpuSeconds) / elapsed * 100,
            answered: answered,
            reconnects: dialer.reconnects,
            endSeconds: (ContinuousClock.now - ending) / .seconds(1)
        )
    }

    private static func answered(_ client: PostgresClient) async throws -> Int {
        let statement = PostgresStatement(
            "select count(*) from call_attempts where status = 'answered' and ended_at is null",
            prepared: false
        )
        return try await client.execute(statement).first?.decode(Int.self, at: 0) ?? 0
    }

    /// Waits within a bound of five minutes.
    private static func wait(_ what: String, until isDone: () async throws -> Bool) async throws {
        let limit = ContinuousClock.now + .seconds(300)
        while try await !isDone() {
            guard ContinuousClock.now < limit else { throw ValidationError("five minutes have passed before \(what)") }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}
