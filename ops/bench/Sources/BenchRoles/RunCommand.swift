// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Selection
import ServiceLifecycle

/// Some roles in one process, until SIGTERM.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Runs roles until SIGTERM, then prints what they used as a line of JSON."
    )

    @OptionGroup var servers: ServerOptions

    @Option(help: "selector, dialer, recorder; with commas between them.")
    var roles = "selector,dialer,recorder"

    @Option(help: "Live calls at once.")
    var maximumCalls = 2000

    @Option(help: "Requests kept waiting.")
    var queueDepth = 20_000

    @Option(help: "Contacts claimed at once.")
    var batchSize = 500

    @Option(help: "Seconds between selection passes.")
    var intervalSeconds = 1.0

    private struct Figures: Encodable {
        let placed: Int
        let cpuSeconds: Double
        let maxRssKib: Int
    }

    func run() async throws {
        let house = try House(self.servers)
        var services: [any Service] = []
        var provider: InstantProvider?
        for name in self.roles.split(separator: ",") {
            guard let role = House.Role(rawValue: String(name)) else {
                throw ValidationError("--roles: there is no '\(name)'; there are selector, dialer and recorder")
            }
            // A connection each, as if each were a process.
            let broker = try await house.publisher(role.rawValue)
            switch role {
            case .selector:
                services.append(
                    house.selector(broker) {
                        $0.queueDepth = self.queueDepth
                        $0.batchSize = self.batchSize
                        $0.interval = .seconds(self.intervalSeconds)
                    }
                )
            case .dialer:
                let instant = InstantProvider(broker: try await house.publisher("provider"))
                provider = instant
                services += [instant, try house.dialer(instant, broker, maximumCalls: self.maximumCalls)]
            case .recorder:
                services.append(try house.recorder(broker))
            }
        }
        try await house.serve(services)
        let usage = Usage.now
        try printFigures(
            Figures(
                placed: provider?.placedCalls.count ?? 0,
                cpuSeconds: usage.cpuSeconds,
                maxRssKib: usage.maximumResidentKiB
            )
        )
    }
}
