// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Foundation
import Logging
import Metrics
import Observability
import Tracing

extension OutcomeRecorder {
    /// What became of reports that were not recorded.
    struct Unrecorded {
        /// The database took others, and not these.
        var failedAlone: [RecorderInput] = []
        /// Nothing can be recorded now.
        var notTried: [RecorderInput] = []
        /// What the server said last, without values.
        var reason: String?
    }

    /// Records what can be recorded: a batch that fails is halved until what is at fault stands alone, so that one bad
    /// report costs a few statements and holds up none of the others. A report is dead-lettered for its own values only.
    /// - Parameters:
    ///   - events: The reports.
    ///   - lockTimeout: How long to wait for rows that somebody has locked; parts of a batch wait for a second at most.
    /// - Returns: What is to be tried again.
    func recordApart(_ events: [RecorderInput], lockTimeout: Duration?) async -> Unrecorded {
        guard !events.isEmpty else { return Unrecorded() }
        do {
            try await self.record(events, lockTimeout: lockTimeout)
            return Unrecorded()
        } catch {
            let fault = RecordingFault(error)
            if case .ofTheReport = fault {} else { self.metrics.failures.increment() }
            guard fault != .ofEverything, !Task.isCancelled else {
                return Unrecorded(notTried: events, reason: "\(error)")
            }
            guard events.count > 1 else {
                guard case .ofTheReport(let reason) = fault else {
                    return Unrecorded(failedAlone: events, reason: "\(error)")
                }
                await self.putAside(events[0].delivery, reason: reason)
                return Unrecorded()
            }
            let middle = events.count / 2
            var result = await self.recordApart(Array(events[..<middle]), lockTimeout: .seconds(1))
            guard result.notTried.isEmpty else {
                // The server has gone meanwhile.
                result.notTried += events[middle...]
                return result
            }
            let other = await self.recordApart(Array(events[middle...]), lockTimeout: .seconds(1))
            result.failedAlone += other.failedAlone
            result.notTried = other.notTried
            result.reason = other.reason ?? result.reason
            return result
        }
    }

    /// Dead-letters a message, with the reason.
    func putAside(_ delivery: AMQPDelivery, reason: String) async {
        self.metrics.poison.increment()
        self.logger.warning(
            "A report cannot be read or recorded and was dead-lettered",
            metadata: .keys([.queue: CallTopology.callEvents, .reason: reason])
        )
        let copy = DeadLetter.publication(of: delivery, from: CallTopology.callEvents, reason: reason)
        do {
            if case .failure(let error)? = await self.publishing.publish(batch: [copy]).first { throw error }
            try delivery.ack()
        } catch {
            self.logger.notice("A dead letter goes without its reason", metadata: .keys([.error: "\(error)"]))
            do {
                try delivery.nack(requeue: false)
            } catch {
                self.logger.debug("The delivery is gone and will come again", metadata: .keys([.error: "\(error)"]))
            }
        }
    }

    private func record(_ events: [RecorderInput], lockTimeout: Duration?) async throws {
        FailPoint.recorderReceived.reach()
        let span = startSpan("record reports", context: .topLevel, ofKind: .consumer)
        defer { span.end() }
        if span.isRecording {
            for event in events {
                span.addLink(SpanLink(context: CallMessages.context(of: event.delivery), attributes: [:]))
            }
        }
        // First, or an interview that was refused would be a complete for a moment: announced as one, and counted for a quota.
        try await self.tell(
            self.store.record(SurveyOutcomeReport.merge(events.compactMap(\.surveyOutcome)), lockTimeout: lockTimeout),
            events
        )
        try await self.tell(
            self.store.record(CallReport.merge(events.compactMap(\.callEvent)), lockTimeout: lockTimeout),
            events
        )
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

    func publish(_ events: [SurveyEvent], after inputs: [RecorderInput] = []) async throws {
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
}
