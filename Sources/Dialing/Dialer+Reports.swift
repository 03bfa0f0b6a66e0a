// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import Logging
import Metrics
import Observability
import Tracing

extension Dialer {
    /// Hands a report to the Recorder, which alone writes outcomes.
    func report(_ event: CallEvent) async {
        self.held.update(event.callID) { $0.isReported(event, now: self.clock.now()) }
        _ = await self.untilDone("A report waits for the broker") { try await self.send(event) }
    }

    /// Hands it over once more: the broker has lost it, or no recorder has come to it.
    func reportAgain(_ event: CallEvent) async {
        self.metrics.reportsRepeated.increment()
        self.held.update(event.callID) { $0.isReported(event, now: self.clock.now()) }
        do {
            try await self.send(event)
        } catch {
            self.logger.notice(
                "A report could not be repeated now",
                metadata: .keys([.callID: event.callID.lowercased, .error: "\(error)"])
            )
        }
    }

    private func send(_ event: CallEvent) async throws {
        let context = (self.held.delivery(of: event.callID).map { CallMessages.context(of: $0) } ?? .topLevel)
            .rooted(at: event.callID)
        let publication = CallMessages.publication(of: event, context: context)
        try await self.publishing.publish(
            publication.message,
            exchange: publication.exchange,
            routingKey: publication.routingKey
        )
    }
}
