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
public import Telephony

/// Places the calls that the Selector asked for, at most once each, and holds every message until its call has ended.
///
/// The parts: this file takes messages and drains; `Dialer+Placement` creates the row and asks the provider;
/// `Dialer+Watch` waits for ends, asks the provider when in doubt, and acks.
public final class Dialer: Service {
    let configuration: DialerConfiguration
    let store: CallStore
    let provider: any TelephonyProvider
    let consuming: AMQPConnection
    let publishing: AMQPConnection
    let logger: Logger
    let metrics: DialerMetrics
    let slots: CallSlots
    let held = HeldCalls()
    let tokens: TokenBucket
    let breaker: NIOLockedValueBox<CircuitBreaker>
    /// Whether the database's permissions come in time to be used.
    let permissions: NIOLockedValueBox<CircuitBreaker>
    let refusals = NIOLockedValueBox(RefusalBook())
    let isDraining = NIOLockedValueBox(false)
    let attempts: Batcher<CallStore.AttemptRequest, CallStore.AttemptVerdict>
    let placements: Batcher<PlacedAttempt, Void>
    let clock: DialerClock
    private let fault = NIOLockedValueBox<String?>(nil)

    /// The provider's id of an accepted call, on its way into the row.
    struct PlacedAttempt: Sendable {
        let callID: UUID
        let call: PlacedCall
    }

    /// At most this many held deliveries on a channel: acks out of order cost a walk through them.
    private static let channelPrefetch = 1000

    /// Creates a Dialer.
    /// - Parameters:
    ///   - configuration: Its settings.
    ///   - store: The database.
    ///   - provider: Who places the calls.
    ///   - consuming: The connection that requests arrive on; its loss returns all held messages.
    ///   - publishing: Another connection, so that a blocked publisher never stops acks and heartbeats.
    ///   - logger: Where it logs.
    public convenience init(
        configuration: DialerConfiguration,
        store: CallStore,
        provider: any TelephonyProvider,
        consuming: AMQPConnection,
        publishing: AMQPConnection,
        logger: Logger
    ) {
        self.init(
            configuration: configuration,
            store: store,
            provider: provider,
            consuming: consuming,
            publishing: publishing,
            logger: logger,
            clock: .continuous
        )
    }

    init(
        configuration: DialerConfiguration,
        store: CallStore,
        provider: any TelephonyProvider,
        consuming: AMQPConnection,
        publishing: AMQPConnection,
        logger: Logger,
        clock: DialerClock
    ) {
        self.configuration = configuration
        self.store = store
        self.provider = provider
        self.consuming = consuming
        self.publishing = publishing
        var logger = logger
        logger[.dialerID] = configuration.id
        logger[.trunk] = configuration.trunk
        self.logger = logger
        self.metrics = DialerMetrics(trunk: configuration.trunk)
        self.slots = CallSlots(capacity: configuration.maximumConcurrentCalls)
        self.clock = clock
        self.tokens = TokenBucket(rate: configuration.callsPerSecond, clock: clock)
        self.breaker = NIOLockedValueBox(
            CircuitBreaker(threshold: configuration.breakerThreshold, pause: configuration.breakerPause)
        )
        self.permissions = NIOLockedValueBox(
            CircuitBreaker(threshold: 1, pause: configuration.outdatedPause, longestPause: .seconds(60))
        )
        // The other half of the time is for the way to the provider.
        self.attempts = Batcher(
            maximum: 200,
            patience: configuration.permissionLifetime / 2,
            now: clock.now
        ) { requests in
            try await store.beginAttempts(
                requests,
                dialerID: configuration.id,
                trunk: configuration.trunk,
                margin: configuration.margin,
                now: clock.now
            )
        }
        self.placements = Batcher(maximum: 500) { placed in
            try await store.markPlaced(placed.map { ($0.callID, $0.call.providerCallID, $0.call.rawStatus) })
            return placed.map { _ in }
        }
    }

    /// Why no calls are placed now; nil when all is well.
    public var currentFault: String? {
        if let fault = self.fault.withLockedValue(\.self) { return fault }
        if self.permissions.withLockedValue({ $0.state != .closed }) {
            return
                "the database answers later than \(self.configuration.permissionLifetime) after it was asked, which is "
                + "how long a permission to call is good for; contacts go back, and one at a time is tried"
        }
        switch self.breaker.withLockedValue(\.state) {
        case .closed: return nil
        case .open, .probing: return "the provider fails; the circuit breaker is open"
        }
    }

    /// How many calls this dialer holds: also those that are being placed, or are over and not recorded yet.
    public var heldCalls: Int { self.slots.heldCount }

    /// How many of them ring or are answered, as far as is known.
    public var liveCalls: Int { self.held.liveCount }

    /// Brings the figures up to date that are read off its state.
    public func updateFigures() {
        self.metrics.live.record(self.liveCalls)
        self.metrics.held.record(self.heldCalls)
        self.metrics.limit.record(self.configuration.maximumConcurrentCalls)
        self.metrics.breakerOpen.record(self.breaker.withLockedValue { $0.state == .closed } ? 0 : 1)
    }

    /// How it is, but for what others know better.
    public var standing: CallStore.RoleReport {
        var report = CallStore.RoleReport(kind: .dialer, id: self.configuration.id)
        report.trunk = self.configuration.trunk
        report.lines = self.configuration.maximumConcurrentCalls
        report.live = self.held.count
        switch self.breaker.withLockedValue(\.state) {
        case .closed: report.breaker = .closed
        case .open: report.breaker = .open
        case .probing: report.breaker = .probing
        }
        return report
    }

    /// How often its connections to the broker were made anew.
    public var reconnects: Int { self.consuming.statistics.reconnects + self.publishing.statistics.reconnects }

    /// Dials until the process drains: takes no more then, lets placements in flight finish, and gives the messages
    /// of live calls back to the head of the queue by closing its connection, for other dialers to adopt.
    public func run() async throws {
        await withTaskCancellationOrGracefulShutdownHandler {
            await self.seed()
        } onCancelOrGracefulShutdown: {
            self.isDraining.withLockedValue { $0 = true }
        }
        let prefetch = self.configuration.maximumConcurrentCalls
        let channels = (prefetch + Self.channelPrefetch - 1) / Self.channelPrefetch
        let consumers = (0..<channels).map { index in
            self.consuming.consume(
                queue: CallTopology.dialQueue(trunk: self.configuration.trunk),
                prefetch: min(Self.channelPrefetch, prefetch - index * Self.channelPrefetch)
            )
        }
        let hints = self.consuming.consume(
            queue: CallTopology.hintQueue(dialerID: self.configuration.id),
            prefetch: 500
        )
        await withTaskCancellationOrGracefulShutdownHandler {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.watch() }
                group.addTask { await self.listen(to: hints) }
                await withDiscardingTaskGroup { takers in
                    for consumer in consumers { takers.addTask { await self.take(from: consumer) } }
                }
                group.cancelAll()
            }
        } onCancelOrGracefulShutdown: {
            self.isDraining.withLockedValue { $0 = true }
            self.slots.drain()
            self.tokens.drain()
            // The handler may not wait, and a sequence ends only once the broker has agreed.
            Task {
                for consumer in consumers { await consumer.cancel() }
                await hints.cancel()
            }
        }
        self.logger.info("Hands its calls over", metadata: .keys([.count: self.held.count]))
        await self.consuming.close()
    }

    private func take(from consumer: AMQPConsumer) async {
        let handling = Task {
            await withDiscardingTaskGroup { group in
                for await delivery in consumer {
                    group.addTask { await self.handle(delivery) }
                }
            }
        }
        // A placement that outlasts the drain stays `placing`; whoever adopts it asks the provider.
        let limit = Task {
            while !self.isDraining.withLockedValue(\.self) { try await self.clock.sleep(for: .milliseconds(50)) }
            try await self.clock.sleep(for: self.configuration.drainLimit)
            handling.cancel()
        }
        await handling.value
        limit.cancel()
    }

    private func seed() async {
        await self.untilDone("Open calls cannot be read") {
            for attempt in try await self.store.openAttempts(dialerID: self.configuration.id) {
                self.slots.seed(attempt.callID)
                self.hold(adopted: attempt, delivery: nil)
            }
        }
    }

    private func listen(to hints: AMQPConsumer) async {
        for await delivery in hints {
            if let hint = try? CallMessages.decode(
                CallEndedHint.self,
                from: delivery,
                as: CallEndedHint.messageType
            ) {
                self.settle(hint.allCalls)
            }
            self.consuming.ack([delivery])
        }
    }

    /// Repeats a step that must succeed before anything else may happen, until it does or the process drains.
    /// - Returns: The result; nil when the process drains.
    func untilDone<Result: Sendable>(
        _ message: Logger.Message,
        _ step: () async throws -> Result
    ) async -> Result? {
        var pause = Duration.milliseconds(100)
        while true {
            do {
                let result = try await step()
                self.fault.withLockedValue { $0 = nil }
                return result
            } catch {
                if Task.isCancelled || self.isDraining.withLockedValue(\.self) { return nil }
                self.fault.withLockedValue { $0 = "\(error)" }
                self.logger.warning(message, metadata: .keys([.error: "\(error)"]))
                try? await self.clock.sleep(for: pause)
                pause = min(pause * 2, .seconds(5))
            }
        }
    }
}
