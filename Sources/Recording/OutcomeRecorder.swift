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
import Tracing

/// Turns reports about calls into rows: batch by batch, commit first, then publish, then ack.
///
/// "Recording" an outcome; no audio is recorded here. Any number may run.
public final class OutcomeRecorder: Service {
    private let configuration: RecorderConfiguration
    private let store: CallStore
    private let consuming: AMQPConnection
    private let publishing: AMQPConnection
    private let logger: Logger
    private let metrics = RecorderMetrics()
    private let fault = NIOLockedValueBox<String?>(nil)

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
    public var currentFault: String? { self.fault.withLockedValue(\.self) }

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
            // Two at a time, so that the database works while the broker confirms; the second only when many wait, because a
            // few batches of many reports cost less than many of few.
            let limit = self.configuration.batchSize
            await withTaskGroup(of: Void.self) { recorders in
                for atLeast in [1, (limit + 1) / 2] {
                    recorders.addTask {
                        while let batch = await buffer.take(atLeast: atLeast, limit: limit) {
                            await self.handle(batch)
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
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: self.configuration.outboxInterval) }
        }
    }

    private func handle(_ deliveries: [AMQPDelivery]) async {
        let start = ContinuousClock.now
        var events: [RecorderInput] = []
        events.reserveCapacity(deliveries.count)
        for delivery in deliveries {
            do {
                events.append(try RecorderInput(delivery))
            } catch {
                self.reject(delivery, reason: error.reason)
            }
        }
        if await self.recordUntilDone(events) {
            let now = Date()
            for event in events.compactMap(\.callEvent) {
                self.metrics.lag.recordSeconds(max(0, now.timeIntervalSince(event.occurredAt)))
            }
            self.metrics.batchSize.record(events.count)
            self.metrics.batchDuration.record(duration: ContinuousClock.now - start)
        }
    }

    /// Nothing is acked before it is committed: while the database is away, this waits.
    private func recordUntilDone(_ events: [RecorderInput]) async -> Bool {
        guard !events.isEmpty else { return true }
        var pause = Duration.milliseconds(100)
        while true {
            do {
                try await self.record(events)
                self.fault.withLockedValue { $0 = nil }
                return true
            } catch let error as PostgresError where [.server, .encoding].contains(error.code) && !error.isRetryable {
                await self.isolate(events, after: error)
                return true
            } catch {
                self.metrics.failures.increment()
                self.fault.withLockedValue { $0 = "\(error)" }
                self.logger.warning("Reports wait to be recorded", metadata: .keys([.error: "\(error)"]))
                // Unacked reports are delivered again, to this recorder's successor.
                if Task.isCancelled || Task.isShuttingDownGracefully { return false }
                try? await cancelWhenGracefulShutdown { [pause] in try await Task.sleep(for: pause) }
                pause = min(pause * 2, .seconds(5))
            }
        }
    }

    /// One report that the database will never take must not hold up the others.
    private func isolate(_ events: [RecorderInput], after error: PostgresError) async {
        guard events.count > 1 else {
            for event in events { self.reject(event.delivery, reason: "the database refuses it: \(error)") }
            return
        }
        let middle = events.count / 2
        _ = await self.recordUntilDone(Array(events[..<middle]))
        _ = await self.recordUntilDone(Array(events[middle...]))
    }

    private func record(_ events: [RecorderInput]) async throws {
        FailPoint.recorderReceived.reach()
        let span = startSpan("record reports", context: .topLevel, ofKind: .consumer)
        defer { span.end() }
        if span.isRecording {
            for event in events {
                span.addLink(SpanLink(context: CallMessages.context(of: event.delivery), attributes: [:]))
            }
        }
        // First, or an interview that was refused would be a complete for a moment: announced as one, and counted for a quota.
        try await self.tell(self.store.record(SurveyOutcomeReport.merge(events.compactMap(\.surveyOutcome))), events)
        try await self.tell(self.store.record(CallReport.merge(events.compactMap(\.callEvent))), events)
        FailPoint.recorderPublished.reach()
        self.metrics.reports.increment(by: events.count)
        self.consuming.ack(events.map(\.delivery))
    }

    /// Tells the world what is committed.
    private func tell(_ batch: CallStore.RecordedBatch, _ inputs: [RecorderInput]) async throws {
        FailPoint.recorderCommitted.reach()
        for callID in batch.unknownCalls {
            self.metrics.unknownCalls.increment()
            self.logger.notice("A report names a call that is not ours", metadata: .keys([.callID: callID.lowercased]))
        }
        self.metrics.outcomes(batch.outcomes)
        if !batch.surveyEvents.isEmpty {
            do {
                try await self.publish(batch.surveyEvents, after: inputs)
            } catch {
                // They are in the outbox: the report itself is recorded and must not be held back.
                self.logger.notice("Survey events wait to be published", metadata: .keys([.error: "\(error)"]))
            }
        }
        for (dialerID, ended) in Dictionary(grouping: batch.ended, by: \.dialerID) {
            for start in stride(from: 0, to: ended.count, by: CallEndedHint.maximumCalls) {
                let calls = ended[start..<min(start + CallEndedHint.maximumCalls, ended.count)]
                guard let hint = CallEndedHint(callIDs: calls.map(\.callID)) else { continue }
                self.publishing.publishUnconfirmed(CallMessages.publication(of: hint, dialerID: dialerID))
            }
        }
    }

    private func publish(_ events: [SurveyEvent], after inputs: [RecorderInput] = []) async throws {
        let deliveries = Dictionary(inputs.compactMap { input in input.callID.map { ($0, input.delivery) } }) {
            _,
            last in last
        }
        let publications = events.map { event in
            let context = deliveries[event.callID].map { CallMessages.context(of: $0) } ?? .topLevel
            return CallMessages.publication(of: event, context: context.rooted(at: event.callID))
        }
        let results = await self.publishing.publish(batch: publications)
        var published: [UUID] = []
        var fault: AMQPError?
        for (event, result) in zip(events, results) {
            switch result {
            case .success: published.append(event.eventID)
            case .failure(let error): fault = error
            }
        }
        try await self.store.markPublished(published)
        self.metrics.surveyEvents.increment(by: published.count)
        if let fault { throw fault }
    }

    private func reject(_ delivery: AMQPDelivery, reason: String) {
        self.metrics.poison.increment()
        self.logger.warning(
            "A report cannot be read and was dead-lettered",
            metadata: .keys([.queue: CallTopology.callEvents, .reason: reason])
        )
        do {
            try delivery.nack(requeue: false)
        } catch {
            self.logger.debug("The delivery is gone and will come again", metadata: .keys([.error: "\(error)"]))
        }
    }
}
