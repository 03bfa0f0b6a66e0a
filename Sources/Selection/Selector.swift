// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import AMQP
import CallModel
import CallQueues
public import CallStore
import Foundation
public import Logging
import Metrics
import NIOConcurrencyHelpers
import Observability
public import ServiceLifecycle
import Tracing

/// Finds contacts that may be called now, claims them and asks the dialers to call them.
///
/// Several may run: a campaign's row lock keeps two of them off one campaign for the length of a claim.
public final class Selector: Service {
    /// What one pass did.
    public struct PassSummary: Sendable, Equatable {
        /// Requests that the broker has confirmed.
        public var published = 0
        /// Claims that were given back because their request was not confirmed.
        public var unpublished = 0
        /// Claims whose lease had ended.
        public var expiredLeases = 0
        /// Open attempts that nobody watched, offered for adoption.
        public var renewedOrphans = 0
        /// Campaigns that have nothing left to call.
        public var completedCampaigns = 0
        /// Trunks on which more was due than the queue had room for.
        public var fullTrunks: Set<String> = []
        /// Whether there are any.
        public var wasLimitedByQueue: Bool { !self.fullTrunks.isEmpty }
        /// Whether so many that were due had to be put off that the others were not reached.
        public var wasLimitedByRests = false
    }

    private let configuration: SelectorConfiguration
    private let store: CallStore
    private let broker: AMQPConnection
    private let logger: Logger
    private let metrics = SelectorMetrics()
    private let declaredTrunks = NIOLockedValueBox<Set<String>>([])
    private let fault = NIOLockedValueBox<String?>("no pass has been made yet")

    /// Creates a Selector.
    /// - Parameters:
    ///   - configuration: Its settings.
    ///   - store: The database.
    ///   - broker: A connection that is only published on.
    ///   - logger: Where it logs.
    public init(configuration: SelectorConfiguration, store: CallStore, broker: AMQPConnection, logger: Logger) {
        self.configuration = configuration
        self.store = store
        self.broker = broker
        self.logger = logger
    }

    /// Why the last pass failed; nil when it went well.
    public var currentFault: String? { self.fault.withLockedValue(\.self) }

    /// Makes a pass every interval until the process drains. A failed pass is logged and repeated.
    public func run() async throws {
        async let _: Void = self.mergeCounts()
        while !Task.isShuttingDownGracefully, !Task.isCancelled {
            // A pass that has claimed must also publish: only the pause between passes is cut short.
            let (pause, fullTrunks) = await self.guardedPass()
            try? await cancelWhenGracefulShutdown { try await self.rest(for: pause, orUntilRoomOn: fullTrunks) }
        }
    }

    /// Beside the passes: claims do not wait for bookkeeping. What fails is merged the next time.
    private func mergeCounts() async {
        while !Task.isCancelled {
            try? await self.store.mergeCounts()
            try? await Task.sleep(for: Self.mergeInterval)
        }
    }

    /// Between two merges of the counters that the tables' triggers have added to.
    public static let mergeInterval = Duration.seconds(10)

    /// Waits, but no longer than until half of a full queue is gone: its dialers are quick, and must not run dry.
    private func rest(for pause: Duration, orUntilRoomOn trunks: Set<String>) async throws {
        let end = ContinuousClock.now + pause
        while !trunks.isEmpty, ContinuousClock.now + self.configuration.fullQueueInterval < end {
            try await Task.sleep(for: self.configuration.fullQueueInterval)
            for trunk in trunks where try await self.room(on: trunk) >= (self.configuration.queueDepth + 1) / 2 {
                return
            }
        }
        try await Task.sleep(until: end)
    }

    private func room(on trunk: String) async throws -> Int {
        let status = try await self.broker.queueStatus(CallTopology.dialQueue(trunk: trunk))
        self.metrics.queueReady(status.messagesReady, trunk: trunk)
        return self.configuration.queueDepth - status.messagesReady
    }

    private func guardedPass() async -> (pause: Duration, fullTrunks: Set<String>) {
        do {
            let summary = try await self.pass()
            self.fault.withLockedValue { $0 = nil }
            let pause =
                summary.wasLimitedByQueue || summary.wasLimitedByRests
                ? min(self.configuration.intervalWhenLimited, self.configuration.interval)
                : self.configuration.interval
            return (pause, summary.fullTrunks)
        } catch {
            guard !Task.isCancelled else { return (.zero, []) }
            self.metrics.passesFailed.increment()
            self.declaredTrunks.withLockedValue { $0.removeAll() }
            self.fault.withLockedValue { $0 = "\(error)" }
            self.logger.warning("A selection pass failed", metadata: .keys([.error: "\(error)"]))
            return (min(.seconds(5), self.configuration.interval), [])
        }
    }

    /// Makes one pass.
    /// - Throws: When the database or the broker cannot be asked; nothing is lost then, the next pass starts over.
    public func pass() async throws -> PassSummary {
        let start = ContinuousClock.now
        var summary = PassSummary()
        try await self.sweep(&summary)
        let campaigns = try await self.store.runningCampaigns()
        for trunk in Set(campaigns.map(\.trunk)).sorted() {
            try await self.fill(trunk: trunk, with: campaigns.filter { $0.trunk == trunk }, &summary)
        }
        let standing = try await self.store.campaignFigures()
        self.metrics.standing(standing.campaigns, now: standing.now)
        // The queue is declared with the trunks' queues: without any, nobody has sent anything to it.
        if !campaigns.isEmpty {
            self.metrics.deadLetters.record(try await self.broker.queueStatus(CallTopology.dead).messagesReady)
        }
        self.metrics.passes.increment()
        self.metrics.passDuration.record(duration: ContinuousClock.now - start)
        if summary != PassSummary() {
            self.logger.debug(
                "Made a selection pass",
                metadata: .keys([.count: summary.published, .duration: "\(ContinuousClock.now - start)"])
            )
        }
        return summary
    }

    private func sweep(_ summary: inout PassSummary) async throws {
        let moved = try await self.store.advanceCampaigns()
        for name in moved.started { self.logger.info("Campaign starts", metadata: .keys([.campaign: name])) }
        for name in moved.ended { self.logger.info("Campaign ends by its date", metadata: .keys([.campaign: name])) }
        summary.expiredLeases = try await self.store.sweepExpiredClaims()
        self.metrics.leasesExpired.increment(by: summary.expiredLeases)
        if summary.expiredLeases > 0 {
            self.logger.notice(
                "Claims expired in the queue and were given back",
                metadata: .keys([.count: summary.expiredLeases])
            )
        }
        let orphans = try await self.store.orphanedAttempts()
        guard !orphans.isEmpty else { return }
        for trunk in Set(orphans.map(\.trunk)) { try await self.declare(trunk: trunk) }
        let publications = orphans.map { orphan in
            CallMessages.publication(
                of: orphan.request,
                trunk: orphan.trunk,
                context: InstrumentationContext.topLevel.rooted(at: orphan.request.callID)
            )
        }
        _ = await self.broker.publish(batch: publications)
        summary.renewedOrphans = orphans.count
        self.metrics.orphansRenewed.increment(by: orphans.count)
        self.logger.notice(
            "Calls past their deadline are watched by no dialer and were offered for adoption",
            metadata: .keys([.count: orphans.count])
        )
    }

    /// Claims until the queue is full or nothing is due: by priority, and within one priority so that lines come to be in
    /// use in proportion to the campaigns' weights.
    private func fill(
        trunk: String,
        with campaigns: [CallStore.RunningCampaign],
        _ summary: inout PassSummary
    ) async throws {
        try await self.declare(trunk: trunk)
        var room = try await self.room(on: trunk)
        for priority in Set(campaigns.map(\.priority)).sorted(by: >) {
            var turns = campaigns.filter { $0.priority == priority }.map { CampaignTurn(campaign: $0) }
            while !turns.isEmpty {
                if room <= 0 {
                    // Quick dialers have taken much of it meanwhile.
                    room = try await self.room(on: trunk)
                    guard room >= (self.configuration.queueDepth + 1) / 2 else {
                        summary.fullTrunks.insert(trunk)
                        return
                    }
                }
                let shares = LineShares.divide(room, among: turns.map(\.part))
                for (index, share) in shares.enumerated() where share > 0 {
                    let wanted = min(share, self.configuration.batchSize)
                    let claimed = try await self.claimAndPublish(
                        turns[index].campaign,
                        limit: wanted,
                        trunk: trunk,
                        &summary
                    )
                    room -= claimed
                    turns[index].part.inUse += claimed
                    turns[index].hasMore = claimed == wanted
                }
                turns.removeAll { !$0.hasMore }
            }
        }
    }

    /// Claims of one campaign until the limit is reached or nothing more can be claimed.
    /// - Returns: How many were claimed and published.
    private func claimAndPublish(
        _ campaign: CallStore.RunningCampaign,
        limit: Int,
        trunk: String,
        _ summary: inout PassSummary
    ) async throws -> Int {
        var claimed = 0
        for round in 1... {
            let claim = try await self.store.claim(
                campaign: campaign.id,
                limit: limit - claimed,
                leaseDuration: self.configuration.claimLease,
                mayRest: campaign.mayRest
            )
            try await self.publish(claim.requests, campaign: campaign.name, trunk: trunk, &summary)
            claimed += claim.requests.count
            guard claimed < limit else { break }
            if claim.mayHaveMore {
                // Many that are due rest by a rule: the others come next, but not at the expense of other campaigns.
                if round < Self.roundsPerTurn { continue }
                summary.wasLimitedByRests = true
            } else if claimed == 0, !claim.isContended,
                try await self.store.completeIfExhausted(campaign: campaign.id)
            {
                summary.completedCampaigns += 1
                self.logger.info("Campaign is complete", metadata: .keys([.campaign: campaign.name]))
            }
            break
        }
        return claimed
    }

    private static let roundsPerTurn = 25

    private func publish(
        _ requests: [DialRequest],
        campaign: String,
        trunk: String,
        _ summary: inout PassSummary
    ) async throws {
        guard !requests.isEmpty else { return }
        self.metrics.claimed(requests.count, campaign: campaign)
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
            CallMessages.publication(of: request, trunk: trunk, context: span.context)
        }
        let start = ContinuousClock.now
        let results = await self.broker.publish(batch: publications)
        self.metrics.confirmDuration.record(duration: ContinuousClock.now - start)
        FailPoint.selectorPublished.reach()
        let failed = zip(requests, results).filter { _, result in
            if case .failure = result { true } else { false }
        }
        summary.published += requests.count - failed.count
        self.metrics.published.increment(by: requests.count - failed.count)
        if let first = failed.first {
            summary.unpublished += failed.count
            self.metrics.publishFailed.increment(by: failed.count)
            try await self.store.revertClaims(failed.map(\.0.callID), contacts: failed.map(\.0.contactID))
            if case .failure(let error) = first.1 { throw error }
        }
    }

    private func declare(trunk: String) async throws {
        guard !self.declaredTrunks.withLockedValue({ $0.contains(trunk) }) else { return }
        try await self.broker.declare(CallTopology.dialRequests(trunk: trunk))
        self.declaredTrunks.withLockedValue { _ = $0.insert(trunk) }
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
