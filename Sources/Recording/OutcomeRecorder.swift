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
import Postgres
public import ServiceLifecycle

/// Turns reports about calls into rows: batch by batch, commit first, then publish, then ack.
///
/// "Recording" an outcome; no audio is recorded here. Any number may run.
public final class OutcomeRecorder: Service {
    let configuration: RecorderConfiguration
    let store: CallStore
    let consuming: AMQPConnection
    let publishing: AMQPConnection
    let logger: Logger
    let metrics = RecorderMetrics()
    /// Why whoever records cannot, by its number.
    private let faults = NIOLockedValueBox<[Int: String]>([:])
    private let setAside = NIOLockedValueBox<[RecorderInput]>([])

    /// Creates a Recorder.
    /// - Parameters:
    ///   - configuration: Its settings.
    ///   - store: The database.
    ///   - consuming: The connection that reports arrive on.
    ///   - publishing: Another connection, so that a blocked publisher never stops acks and heartbeats.
    ///   - logger: Where it logs.
    public init(
        configuration: RecorderConfiguration,
        store: CallStore,
        consuming: AMQPConnection,
        publishing: AMQPConnection,
        logger: Logger
    ) {
        self.configuration = configuration
        self.store = store
        self.consuming = consuming
        self.publishing = publishing
        self.logger = logger
    }

    /// Why reports are not recorded now; nil when all is well.
    public var currentFault: String? {
        self.faults.withLockedValue { faults in faults.min { $0.key < $1.key }?.value }
    }

    /// Records until the process drains: takes no more reports then, and records those that it has.
    public func run() async throws {
        let buffer = DeliveryBuffer()
        let consumer = self.consuming.consume(
            queue: CallTopology.callEvents,
            prefetch: self.configuration.batchSize * 2
        )
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await withTaskCancellationOrGracefulShutdownHandler {
                    for await delivery in consumer { buffer.append(delivery) }
                    buffer.finish()
                } onCancelOrGracefulShutdown: {
                    // The handler may not wait, and the sequence ends only once the broker has agreed.
                    Task { await consumer.cancel() }
                }
            }
            group.addTask { await self.publishOutbox() }
            group.addTask { await self.recordWhatIsSetAside() }
            // Two at a time, so that the database works while the broker confirms; the second only when many wait, because a
            // few batches of many reports cost less than many of few.
            let limit = self.configuration.batchSize
            await withTaskGroup(of: Void.self) { recorders in
                for (number, atLeast) in [1, (limit + 1) / 2].enumerated() {
                    recorders.addTask {
                        while let batch = await buffer.take(atLeast: atLeast, limit: limit) {
                            await self.handle(batch, recorder: number)
                        }
                    }
                }
            }
            group.cancelAll()
        }
    }

    /// Publishes survey events that a crash or a broken broker left unpublished.
    private func publishOutbox() async {
        while !Task.isCancelled, !Task.isShuttingDownGracefully {
            do {
                let events = try await self.store.unpublishedSurveyEvents(olderThan: self.configuration.outboxInterval)
                if !events.isEmpty { try await self.publish(events) }
            } catch {
                self.logger.warning("Survey events wait to be published", metadata: .keys([.error: "\(error)"]))
            }
            // What other recorders have left unpublished tells nobody.
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: self.configuration.outboxInterval) }
        }
    }

    private func handle(_ deliveries: [AMQPDelivery], recorder: Int) async {
        let start = ContinuousClock.now
        var events: [RecorderInput] = []
        events.reserveCapacity(deliveries.count)
        for delivery in deliveries {
            do {
                events.append(try RecorderInput(delivery))
            } catch {
                await self.putAside(delivery, reason: error.reason)
            }
        }
        guard !events.isEmpty, await self.recordUntilDone(events, recorder: recorder) else { return }
        let now = Date()
        for event in events.compactMap(\.callEvent) {
            self.metrics.lag.recordSeconds(max(0, now.timeIntervalSince(event.occurredAt)))
        }
        self.metrics.batchSize.record(events.count)
        self.metrics.batchDuration.record(duration: ContinuousClock.now - start)
    }

    /// Nothing is acked before it is committed: while the database is away, this waits. What fails while others do not is
    /// set aside, so that it holds up nobody.
    private func recordUntilDone(_ events: [RecorderInput], recorder: Int) async -> Bool {
        var left = events
        var pause = BackOff(upTo: .seconds(5))
        while true {
            let result = await self.recordApart(left, lockTimeout: nil)
            self.setAside(result.failedAlone, because: result.reason)
            left = result.notTried
            guard !left.isEmpty else {
                self.note(nil, recorder: recorder)
                return true
            }
            self.note(result.reason, recorder: recorder)
            self.logger.warning("Reports wait to be recorded", metadata: .keys([.error: result.reason ?? ""]))
            // Unacked reports are delivered again, to this recorder's successor.
            if Task.isCancelled || Task.isShuttingDownGracefully { return false }
            await pause.wait()
            left.removeAll { !$0.delivery.isValid }
        }
    }

    /// Reports that the database did not take, although it took others: again and again until it does.
    private func recordWhatIsSetAside() async {
        var pause = BackOff(from: .seconds(1), upTo: .seconds(10))
        while !Task.isCancelled, !Task.isShuttingDownGracefully {
            await pause.wait()
            // What the broker delivers anew is tried anew.
            let events = self.setAside.withLockedValue { events in
                defer { events.removeAll() }
                return events.filter(\.delivery.isValid)
            }
            guard !events.isEmpty else {
                self.note(nil, recorder: Self.aside)
                self.metrics.setAside.record(0)
                pause = BackOff(from: .seconds(1), upTo: .seconds(10))
                continue
            }
            let result = await self.recordApart(events, lockTimeout: .seconds(1))
            self.setAside(result.failedAlone + result.notTried, because: result.reason)
        }
    }

    private func setAside(_ events: [RecorderInput], because reason: String?) {
        guard !events.isEmpty else { return }
        let count = self.setAside.withLockedValue { waiting in
            waiting += events
            return waiting.count
        }
        self.metrics.setAside.record(count)
        self.note("\(count) report(s) wait: \(reason ?? "")", recorder: Self.aside)
        for event in events {
            self.logger.warning(
                "A report waits, because the database does not take it now",
                metadata: .keys([.callID: event.callID?.lowercased ?? "", .error: reason ?? ""])
            )
        }
    }

    /// The number of who records what was set aside.
    private static let aside = 2

    private func note(_ fault: String?, recorder: Int) {
        self.faults.withLockedValue { $0[recorder] = fault }
    }
}
