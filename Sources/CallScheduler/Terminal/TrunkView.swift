// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallQueues
import CallStore

/// A trunk, for people and for machines.
struct TrunkView: Encodable, Sendable {
    let name: String
    /// open, paused, put aside, or stuck: somebody is to be called there, and nobody does.
    let state: String
    let reason: String?
    /// How many running campaigns it has.
    let runningCampaigns: Int
    /// The dialers that work.
    let dialers: [String]
    /// Their lines together.
    let lines: Int
    /// The calls that are live, whoever holds them.
    let live: Int
    /// closed when all are, open when all are, else mixed; empty without dialers.
    let breaker: String
    /// The requests that wait; nil when the broker cannot be asked.
    let queued: Int?

    static func all(_ store: CallStore, _ broker: AMQPConfiguration?) async throws -> [TrunkView] {
        let trunks = try await store.trunks()
        let names = trunks.map(\.name)
        let (queues, fault) = await StatusCommand.queues(broker, trunks: names)
        let house = CallStore.House(
            roles: try await store.roles(),
            consumers: StatusCommand.consumers(queues, trunks: names),
            brokerFault: fault
        )
        let live = try await store.openCallsByTrunk()
        return trunks.map { trunk in
            let queue = queues.first { $0.name == CallTopology.dialQueue(trunk: trunk.name) }
            return TrunkView(trunk, house, live: live[trunk.name] ?? 0, queued: queue?.ready)
        }
    }

    private init(_ trunk: CallStore.TrunkStanding, _ house: CallStore.House, live: Int, queued: Int?) {
        self.name = trunk.name
        self.runningCampaigns = trunk.runningCampaigns
        self.live = live
        self.queued = queued
        let dialers = house.dialers(of: trunk.name).map(\.report)
        self.dialers = dialers.map(\.id)
        self.lines = dialers.reduce(0) { $0 + ($1.lines ?? 0) }
        let breakers = Set(dialers.compactMap(\.breaker?.rawValue))
        self.breaker = breakers.count > 1 ? "mixed" : breakers.first ?? ""
        let cause = trunk.runningCampaigns > 0 ? house.cause(trunk: trunk.name) : nil
        self.reason = trunk.pausedReason ?? trunk.fault ?? cause
        self.state =
            trunk.pausedReason != nil ? "paused" : trunk.fault != nil ? "put aside" : cause != nil ? "stuck" : "open"
    }
}
