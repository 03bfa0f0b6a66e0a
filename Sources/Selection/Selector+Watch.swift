// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallQueues
import CallStore
import Logging
import NIOConcurrencyHelpers
import Observability

/// Figures of trunks and queues: whether or not a pass has a reason to look at them, and also while passes fail.
extension Selector {
    /// Between two looks.
    public static let watchInterval = Duration.seconds(10)

    /// Beside the passes, and at least as often.
    func watchTrunks() async {
        while !Task.isCancelled {
            do {
                try await self.lookAtQueues()
            } catch {
                self.logger.debug("Queues cannot be looked at now", metadata: .keys([.error: "\(error)"]))
            }
            try? await self.clock.sleep(min(Self.watchInterval, self.configuration.interval))
        }
    }

    /// Brings the figures of trunks and queues up to date.
    func lookAtQueues() async throws {
        let trunks = try await self.store.trunkFigures()
        let present = Set(trunks.map(\.name))
        let gone = self.watchedTrunks.withLockedValue { watched in
            defer { watched = present }
            return watched.subtracting(present)
        }
        for trunk in trunks {
            do {
                let status = try await self.queueStatus(trunk.name)
                self.metrics.standing(trunk, (status.messagesReady, status.consumers))
            } catch let error as AMQPError where error.mayConcernOneTrunkOnly {
                self.metrics.standing(trunk, nil)
            }
        }
        // Else those whose campaigns have ended would be shown for ever as they were last.
        for name in gone {
            self.metrics.standing(
                CallStore.TrunkFigures(name: name, isInUse: false, isPaused: false, oldestClaimSeconds: 0),
                (0, 0)
            )
        }
        for queue in CallTopology.deadLetterQueues {
            self.metrics.deadLetters(try await self.deadLetters(queue), queue: queue)
        }
    }

    private func deadLetters(_ queue: String) async throws -> Int {
        do {
            return try await self.broker.queueStatus(queue).messagesReady
        } catch {
            guard error.code == .notFound else { throw error }
        }
        // It was never there, or somebody has deleted it.
        try await self.broker.declare(CallTopology.deadLetters().union(CallTopology.unplacedRequests()))
        return 0
    }
}
