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

/// Finds contacts that may be called now, claims them and asks the dialers to call them.
///
/// Several may run: a campaign's row lock keeps two of them off one campaign for the length of a claim.
public final class Selector: Service {
    /// What one pass did.
    public struct PassSummary: Sendable, Equatable {
        /// What was done for each campaign, by its name.
        public var campaigns: [String: CampaignShare] = [:]
        /// Campaigns that the clock has started.
        public var started: [String] = []
        /// Campaigns that the clock has ended.
        public var ended: [String] = []
        /// Requests that the broker has confirmed.
        public var published = 0
        /// Claims that were given back because their request was not confirmed.
        public var unpublished = 0
        /// Claims whose lease had ended.
        public var expiredLeases = 0
        /// Open attempts that nobody watched, offered for adoption.
        public var renewedOrphans = 0
        /// Campaigns that have nothing left to call.
        public var completed: [String] = []
        /// How many those are.
        public var completedCampaigns: Int { self.completed.count }
        /// Campaigns and trunks that were put aside, because their own statements and queues fail.
        public var putAside = 0
        /// Trunks on which more was due than the queue had room for.
        public var fullTrunks: Set<String> = []
        /// Whether there are any.
        public var wasLimitedByQueue: Bool { !self.fullTrunks.isEmpty }
        /// Whether so many that were due had to be put off that the others were not reached.
        public var wasLimitedByRests = false
        /// Whether its time was up while there was still room, and somebody to call.
        public var wasCutShort = false

        /// What a pass did for one campaign.
        public struct CampaignShare: Sendable, Equatable {
            /// Its trunk.
            public let trunk: String
            /// Contacts that were claimed.
            public var claimed = 0
            /// Requests that the broker has confirmed.
            public var published = 0
        }
    }

    let configuration: SelectorConfiguration
    let store: CallStore
    let broker: AMQPConnection
    let logger: Logger
    let metrics = SelectorMetrics()
    let clock: PassClock
    let declaredTrunks = NIOLockedValueBox<Set<String>>([])
    let unwatchedTrunks = NIOLockedValueBox<Set<String>>([])
    let watchedTrunks = NIOLockedValueBox<Set<String>>([])
    let turns = NIOLockedValueBox(TurnOrder())
    private let fault = NIOLockedValueBox<String?>("no pass has been made yet")
    private let lastPass = NIOLockedValueBox<Date?>(nil)

    /// Creates a Selector.
    /// - Parameters:
    ///   - configuration: Its settings.
    ///   - store: The database.
    ///   - broker: A connection that is only published on.
    ///   - logger: Where it logs.
    ///   - clock: What it waits by. The calls' times are the database's.
    public init(
        configuration: SelectorConfiguration,
        store: CallStore,
        broker: AMQPConnection,
        logger: Logger,
        clock: some Clock<Duration> = ContinuousClock()
    ) {
        self.configuration = configuration
        self.store = store
        self.broker = broker
        self.logger = logger
        self.clock = PassClock(clock)
    }

    /// Why the last pass failed; nil when it went well.
    public var currentFault: String? { self.fault.withLockedValue(\.self) }

    /// When its last pass ended and how long it rests after one.
    public func tell(_ report: inout CallStore.RoleReport) {
        report.passedAt = self.lastPass.withLockedValue(\.self)
        report.restsSeconds = self.configuration.interval / .seconds(1)
    }

    /// Makes a pass every interval until the process drains. A failed pass is logged and repeated.
    public func run() async throws {
        async let _: Void = self.mergeCounts()
        async let _: Void = self.watchTrunks()
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
            try? await self.clock.sleep(Self.mergeInterval)
        }
    }

    /// Between two merges of the counters that the tables' triggers have added to.
    public static let mergeInterval = Duration.seconds(10)

    /// Waits, but no longer than until half of a full queue is gone: its dialers are quick, and must not run dry.
    private func rest(for pause: Duration, orUntilRoomOn trunks: Set<String>) async throws {
        let end = self.clock.now() + pause
        while !trunks.isEmpty, self.clock.now() + self.configuration.fullQueueInterval < end {
            try await self.clock.sleep(self.configuration.fullQueueInterval)
            for trunk in trunks where try await self.room(on: trunk) >= self.configuration.halfDepth { return }
        }
        try await self.clock.sleep(max(.zero, end - self.clock.now()))
    }

    func room(on trunk: String) async throws -> Int {
        let status = try await self.queueStatus(trunk)
        self.metrics.queueReady(status.messagesReady, trunk: trunk)
        return self.configuration.queueDepth - status.messagesReady
    }

    private func guardedPass() async -> (pause: Duration, fullTrunks: Set<String>) {
        do {
            let summary = try await self.pass()
            self.fault.withLockedValue { $0 = nil }
            self.lastPass.withLockedValue { $0 = Date() }
            let pause =
                summary.wasCutShort
                ? .zero
                : summary.wasLimitedByQueue || summary.wasLimitedByRests
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

    /// Makes one pass. It ends, however quick the dialers are and however much is due: sweeps come again soon.
    /// - Throws: When the database or the broker cannot be asked; nothing is lost then, the next pass starts over.
    public func pass() async throws -> PassSummary {
        let start = self.clock.now()
        var summary = PassSummary()
        try await self.sweep(&summary)
        try await self.fill(until: start + self.configuration.passLimit, &summary)
        for campaign in try await self.store.completeExhausted() {
            summary.completed.append(campaign.name)
            self.logger.info("Campaign is complete", metadata: campaign.metadata)
        }
        self.metrics.standing(try await self.store.campaignFigures())
        self.metrics.aside(try await self.store.faults())
        try await self.lookAtQueues()
        let duration = self.clock.now() - start
        self.metrics.passes.increment()
        self.metrics.passDuration.record(duration: duration)
        if summary != PassSummary() {
            self.logger.debug(
                "Made a selection pass",
                metadata: .keys([.count: summary.published, .duration: "\(duration)"])
            )
        }
        return summary
    }

    func declare(trunk: String) async throws {
        guard !self.declaredTrunks.withLockedValue({ $0.contains(trunk) }) else { return }
        try await self.broker.declare(CallTopology.dialRequests(trunk: trunk))
        self.declaredTrunks.withLockedValue { _ = $0.insert(trunk) }
    }
}
