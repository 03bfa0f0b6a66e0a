// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallQueues
import Foundation
import Logging
import NIOConcurrencyHelpers

/// What lies in `dial.dead` and, after that, in `dial.unplaced`, each from the oldest on. What is only looked at goes back when the connection ends. The broker keeps the
/// order of what one consumer held and puts it behind what it did not hold, so that all of it is taken, however little is asked
/// for. Of more than ``mostAtOnce`` the oldest lie behind the others afterwards.
struct DeadLetterBox {
    /// What is to become of a letter.
    enum Fate {
        case stays
        case isSentAgain
        case isDiscarded
    }

    /// What became of the letters.
    struct Outcome: Sendable {
        /// How many there were; no more than ``mostAtOnce`` of those that stay.
        var lookedAt = 0
        var sentAgain = 0
        var discarded = 0
        /// Those that could not be sent, with the reason.
        var faults: [(id: String, reason: String)] = []
    }

    /// What a channel may hold at once (AMQP 0-9-1, `basic.qos`).
    static let mostAtOnce = 65_535

    private let connection: AMQPConnection

    /// Opens it.
    static func open<Result: Sendable>(
        _ configuration: AMQPConfiguration,
        _ body: (DeadLetterBox) async throws -> Result
    ) async throws -> Result {
        var configuration = configuration
        configuration.connectionName = "call-scheduler dead-letters"
        var logger = Logger(label: "call-scheduler")
        logger.logLevel = .critical
        let connection = AMQPConnection(configuration: configuration, logger: logger)
        do {
            try await connection.waitUntilReady(timeout: .seconds(5))
            let result = try await body(DeadLetterBox(connection: connection))
            await connection.close()
            return result
        } catch {
            await connection.close()
            throw error
        }
    }

    /// How many there are.
    private func count(_ queue: String) async throws -> Int {
        do {
            return try await self.connection.queueStatus(queue).messagesReady
        } catch  where error.code == .notFound {
            return 0
        }
    }

    /// Shows the letters one by one, and does with each as it is told. A letter is removed once it has been sent again.
    /// - Parameter decide: Tells what is to become of a letter.
    /// - Returns: What became of them.
    /// - Throws: `AMQPError`, and `CheckFailed` when the connection broke meanwhile.
    func walk(_ decide: (DeadLetter) -> Fate) async throws -> Outcome {
        var outcome = Outcome()
        for queue in CallTopology.deadLetterQueues { try await self.walk(queue, &outcome, decide) }
        return outcome
    }

    private func walk(_ queue: String, _ outcome: inout Outcome, _ decide: (DeadLetter) -> Fate) async throws {
        guard try await self.count(queue) > 0 else { return }
        let consumer = self.connection.consume(queue: queue, prefetch: Self.mostAtOnce)
        let seen = NIOLockedValueBox((count: 0, at: ContinuousClock.now))
        let watchdog = Task {
            // Over when nothing more comes, and nothing more is there; a consumer is told of letters, never of their end.
            while !Task.isCancelled {
                try await Task.sleep(for: .milliseconds(200))
                let isQuiet = ContinuousClock.now - seen.withLockedValue(\.at) > .seconds(1)
                if isQuiet, try await self.isOver(queue, held: seen.withLockedValue(\.count)) { break }
            }
            await consumer.cancel()
        }
        defer { watchdog.cancel() }
        var batch: [(letter: DeadLetter, delivery: AMQPDelivery)] = []
        for await delivery in consumer {
            seen.withLockedValue { $0 = ($0.count + 1, .now) }
            outcome.lookedAt += 1
            let letter = DeadLetter(delivery)
            switch decide(letter) {
            case .stays: break
            case .isSentAgain: batch.append((letter, delivery))
            case .isDiscarded:
                outcome.discarded += 1
                self.connection.ack([delivery])
            }
            if batch.count == 200 { await self.sendAgain(&batch, &outcome) }
        }
        await self.sendAgain(&batch, &outcome)
        guard self.connection.statistics.reconnects == 0 else {
            throw CheckFailed(message: "the broker went away meanwhile: say it again")
        }
    }

    /// Whether nothing more will come: nothing waits, or all that one consumer may hold is held.
    private func isOver(_ queue: String, held: Int) async throws -> Bool {
        if held >= Self.mostAtOnce { return true }
        return try await self.count(queue) == 0
    }

    private func sendAgain(_ batch: inout [(letter: DeadLetter, delivery: AMQPDelivery)], _ outcome: inout Outcome)
        async
    {
        let known = batch.compactMap { entry in
            DeadLetter.revival(of: entry.delivery).map { (entry: entry, publication: $0) }
        }
        for entry in batch where entry.letter.exchange == nil {
            outcome.faults.append((entry.letter.id, "nobody knows where it was sent"))
        }
        batch.removeAll()
        let results = await self.connection.publish(batch: known.map(\.publication))
        var confirmed: [AMQPDelivery] = []
        for (item, result) in zip(known, results) {
            switch result {
            case .success: confirmed.append(item.entry.delivery)
            case .failure(let error): outcome.faults.append((item.entry.letter.id, "\(error)"))
            }
        }
        outcome.sentAgain += confirmed.count
        self.connection.ack(confirmed)
    }
}
