// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Foundation
import Logging
import Metrics
import NIOConcurrencyHelpers
import Observability
import Tracing

extension Selector {
    /// Fills the trunks' queues, one round of each after the other for as long as quick dialers make room and time is left.
    func fill(until end: Duration, _ summary: inout PassSummary) async throws {
        let campaigns = try await self.campaignsToAsk()
        let running = try await self.store.runningTrunks()
        var trunks = self.turns.withLockedValue { $0.sorted(running) { "trunk " + $0.name } }.map { trunk in
            TrunkTurn(trunk: trunk, campaigns: campaigns.filter { $0.trunk == trunk.name })
        }
        var time = PassTime(end: end)
        while !trunks.isEmpty {
            for index in trunks.indices {
                guard time.isLeft(self.clock.now()) else {
                    summary.wasCutShort = true
                    return
                }
                let name = trunks[index].trunk.name
                self.turns.withLockedValue { $0.asked("trunk " + name) }
                do {
                    try await self.round(&trunks[index], &time, &summary)
                    if trunks[index].trunk.hasFault { try await self.store.clearFault(trunk: name) }
                } catch let error as AMQPError where error.mayConcernOneTrunkOnly {
                    trunks[index].isDone = true
                    try await self.putAside(trunk: name, error, &summary)
                }
            }
            trunks.removeAll(where: \.isDone)
        }
    }

    /// The campaigns with somebody to call; what is wrong with parts of campaigns is noted on the way.
    private func campaignsToAsk() async throws -> [CallStore.RunningCampaign] {
        let campaigns = try await self.store.campaignsWithWork()
        var faults: [(campaign: UUID, reason: String)] = []
        for campaign in campaigns where !campaign.unknownZones.isEmpty {
            let zones = campaign.unknownZones.joined(separator: "; ")
            let reason = "the database does not know this time zone, and nobody is called there: \(zones)"
            guard reason != campaign.fault else { continue }
            faults.append((campaign.id, reason))
            self.metrics.putAside(.campaign)
            self.logger.error(
                "A part of a campaign is put aside",
                metadata: .keys([.campaign: campaign.id.lowercased, .campaignName: campaign.name, .reason: reason])
            )
        }
        try await self.store.noteFaults(faults)
        let well = campaigns.filter { $0.fault != nil && !$0.hasWork && $0.unknownZones.isEmpty }
        try await self.store.clearFaults(campaigns: well.map(\.id))
        return campaigns.filter(\.hasWork)
    }

    /// Claims for one trunk until its queue is full or nothing is due: by priority, and within one priority so that lines
    /// come to be in use in proportion to the campaigns' weights.
    private func round(_ trunk: inout TrunkTurn, _ time: inout PassTime, _ summary: inout PassSummary) async throws {
        try await self.declare(trunk: trunk.trunk.name)
        var room = try await self.room(on: trunk.trunk.name)
        // Quick dialers may have taken much of what the round before has brought.
        guard room >= (trunk.isFirstRound ? 1 : self.configuration.halfDepth) || trunk.campaigns.isEmpty else {
            summary.fullTrunks.insert(trunk.trunk.name)
            trunk.isDone = true
            return
        }
        trunk.isFirstRound = false
        while let priority = trunk.campaigns.map(\.campaign.priority).max() {
            let indices = self.turns.withLockedValue { turns in
                let alike = trunk.campaigns.indices.filter { trunk.campaigns[$0].campaign.priority == priority }
                return turns.sorted(alike) { "campaign " + trunk.campaigns[$0].campaign.name }
            }
            let shares = LineShares.divide(room, among: indices.map { trunk.campaigns[$0].part })
            for (index, share) in zip(indices, shares) where share > 0 {
                guard time.isLeft(self.clock.now()) else { return }
                time.hasAsked = true
                let wanted = min(share, self.configuration.batchSize)
                let claimed = try await self.ask(trunk.campaigns[index].campaign, limit: wanted, &summary)
                room -= claimed
                trunk.campaigns[index].part.inUse += claimed
                trunk.campaigns[index].hasMore = claimed == wanted
            }
            trunk.campaigns.removeAll { !$0.hasMore }
            if room <= 0 { break }
        }
        trunk.isDone = trunk.campaigns.isEmpty
    }

    /// Asks one campaign; if its statement fails, puts it aside and lets the others go on.
    /// - Returns: How many were claimed and published.
    private func ask(
        _ campaign: CallStore.RunningCampaign,
        limit: Int,
        _ summary: inout PassSummary
    ) async throws -> Int {
        self.turns.withLockedValue { $0.asked("campaign " + campaign.name) }
        var claimed = 0
        for round in 1... {
            let claim: CallStore.ClaimResult
            switch try await self.store.claimAlone(
                campaign: campaign.id,
                limit: limit - claimed,
                leaseDuration: self.configuration.claimLease,
                mayRest: campaign.mayRest
            ) {
            case .claimed(let result): claim = result
            case .failed(let reason):
                try await self.putAside(campaign, reason, &summary)
                return claimed
            }
            try await self.publish(claim.requests, of: campaign, &summary)
            claimed += claim.requests.count
            guard claimed < limit, claim.mayHaveMore else { break }
            // Many that are due rest by a rule: the others come next, but not at the expense of other campaigns.
            guard round < Self.roundsPerTurn else {
                summary.wasLimitedByRests = true
                break
            }
        }
        if campaign.fault != nil, campaign.unknownZones.isEmpty {
            try await self.store.clearFaults(campaigns: [campaign.id])
        }
        return claimed
    }

    private static let roundsPerTurn = 25

    private func putAside(
        _ campaign: CallStore.RunningCampaign,
        _ reason: String,
        _ summary: inout PassSummary
    ) async throws {
        try await self.store.putAside(campaign: campaign.id, reason: reason)
        summary.putAside += 1
        self.metrics.putAside(.campaign)
        self.logger.error(
            "A campaign's statement fails; it is put aside",
            metadata: .keys([.campaign: campaign.id.lowercased, .campaignName: campaign.name, .error: reason])
        )
    }

    /// The trunk's queue cannot be used as it is; other trunks' can.
    func putAside(trunk: String, _ error: AMQPError, _ summary: inout PassSummary) async throws {
        self.declaredTrunks.withLockedValue { _ = $0.remove(trunk) }
        try await self.store.putAside(trunk: trunk, reason: "\(error)")
        summary.putAside += 1
        self.metrics.putAside(.trunk)
        self.logger.error(
            "A trunk's queue cannot be used; it is put aside",
            metadata: .keys([.trunk: trunk, .error: "\(error)"])
        )
    }

    /// The queue, declared again if somebody has deleted it.
    func queueStatus(_ trunk: String) async throws -> AMQPQueueStatus {
        do {
            return try await self.broker.queueStatus(CallTopology.dialQueue(trunk: trunk))
        } catch {
            guard error.code == .notFound else { throw error }
        }
        self.declaredTrunks.withLockedValue { _ = $0.remove(trunk) }
        try await self.declare(trunk: trunk)
        return try await self.broker.queueStatus(CallTopology.dialQueue(trunk: trunk))
    }

    private func publish(
        _ requests: [DialRequest],
        of campaign: CallStore.RunningCampaign,
        _ summary: inout PassSummary
    ) async throws {
        guard !requests.isEmpty else { return }
        self.metrics.claimed(requests.count, campaign: campaign.name)
        summary.campaigns[campaign.name, default: .init(trunk: campaign.trunk)].claimed += requests.count
        FailPoint.selectorClaimed.reach()
        let spans = requests.map { request in
            startSpan(
                "request call",
                context: InstrumentationContext.topLevel.rooted(at: request.callID),
                ofKind: .producer
            )
        }
        defer { for span in spans { span.end() } }
        let publications = zip(requests, spans).map { request, span in
            CallMessages.publication(of: request, trunk: campaign.trunk, context: span.context)
        }
        let start = ContinuousClock.now
        let results = await self.broker.publish(batch: publications)
        self.metrics.confirmDuration.record(duration: ContinuousClock.now - start)
        FailPoint.selectorPublished.reach()
        let failed = zip(requests, results).filter { _, result in
            if case .failure = result { true } else { false }
        }
        summary.published += requests.count - failed.count
        summary.campaigns[campaign.name]?.published += requests.count - failed.count
        self.metrics.published.increment(by: requests.count - failed.count)
        if let first = failed.first {
            summary.unpublished += failed.count
            self.metrics.publishFailed.increment(by: failed.count)
            try await self.store.revertClaims(failed.map(\.0.callID), contacts: failed.map(\.0.contactID))
            if case .failure(let error) = first.1 { throw error }
        }
    }
}

/// How long a pass may claim. However slow everything is, it asks one campaign: each has its turn in time.
private struct PassTime {
    let end: Duration
    var hasAsked = false

    func isLeft(_ now: Duration) -> Bool { now < self.end || !self.hasAsked }
}

/// A trunk's place in a pass.
private struct TrunkTurn {
    let trunk: CallStore.RunningTrunk
    /// Those that may have more to call.
    var campaigns: [CampaignTurn]
    var isFirstRound = true
    var isDone = false

    init(trunk: CallStore.RunningTrunk, campaigns: [CallStore.RunningCampaign]) {
        self.trunk = trunk
        self.campaigns = campaigns.map { CampaignTurn(campaign: $0) }
    }
}

/// A campaign's place in a pass.
private struct CampaignTurn {
    let campaign: CallStore.RunningCampaign
    var part: LineShares.Part
    var hasMore = true

    init(campaign: CallStore.RunningCampaign) {
        self.campaign = campaign
        self.part = LineShares.Part(inUse: campaign.underWay, weight: campaign.weight)
    }
}

extension AMQPError {
    /// Whether other trunks may be well: not when there is no connection, or no answer.
    var mayConcernOneTrunkOnly: Bool { Self.codesOfAQueue.contains(self.code) }

    private static let codesOfAQueue: Set<Code> = [
        .topologyMismatch, .preconditionFailed, .resourceLocked, .invalidArgument, .accessRefused, .notFound,
        .channelClosed, .returned, .nacked,
    ]
}
