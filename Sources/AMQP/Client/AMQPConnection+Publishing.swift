// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Logging
import ThreadEngine

extension AMQPConnection {
    /// Publishes a message and waits for the broker's confirm.
    /// - Throws: ``AMQPError``; ``AMQPError/isOutcomeUnknown`` says whether the message may have arrived all the same.
    public func publish(
        _ message: AMQPMessage,
        exchange: String,
        routingKey: String,
        mandatory: Bool = true
    ) async throws(AMQPError) {
        let publication = AMQPPublication(
            message: message,
            exchange: exchange,
            routingKey: routingKey,
            mandatory: mandatory
        )
        let outcome = await self.publish(batch: [publication]).first
        try outcome?.get()
    }

    /// Publishes messages, those to one exchange in order, and waits for all their confirms.
    ///
    /// What found no exchange or no queue although this connection's topology has them is sent once more after the topology
    /// has been declared again. What AMQP cannot carry fails by itself, with `invalidArgument`, and is not sent.
    /// - Returns: One outcome per message, in order.
    public func publish(batch publications: [AMQPPublication]) async -> [Result<Void, AMQPError>] {
        var outcomes: [Result<Void, AMQPError>] = publications.map { publication in
            AMQPNames.fault(of: publication).map { .failure($0) } ?? .success(())
        }
        let deadline = ContinuousClock.now + self.configuration.publishTimeout
        await self.send(publications, outcomes.indices.filter { outcomes[$0].isSuccess }, deadline, &outcomes)
        let missed = outcomes.indices.filter { index in
            guard case .failure(let error) = outcomes[index] else { return false }
            // What may have arrived is not repeated.
            return [.returned, .notFound].contains(error.code) && !error.isOutcomeUnknown
        }
        guard !missed.isEmpty else { return outcomes }
        let topology = self.shared.topology
        let restored = missed.filter { topology.restores(publications[$0]) }
        guard !restored.isEmpty, await self.declareAgain(until: deadline) else { return outcomes }
        await self.send(publications, restored, deadline, &outcomes)
        return outcomes
    }

    /// Publishes a message that may be lost; dropped at once when the broker cannot take it now.
    public func publishUnconfirmed(_ publication: AMQPPublication) {
        if let fault = AMQPNames.fault(of: publication) {
            self.logger.warning("A message cannot be sent", metadata: ["error": "\(fault)"])
            return
        }
        self.start()
        let deadline = ContinuousClock.now + self.configuration.publishTimeout
        self.inbox.append(.publish(PublishBatch([publication], deadline: deadline, isDisposable: true)))
    }

    private func send(
        _ publications: [AMQPPublication],
        _ indices: [Int],
        _ deadline: ContinuousClock.Instant,
        _ outcomes: inout [Result<Void, AMQPError>]
    ) async {
        guard !indices.isEmpty else { return }
        self.start()
        let all = indices.count == publications.count
        let batch = PublishBatch(all ? publications : indices.map { publications[$0] }, deadline: deadline)
        let results = await withTaskCancellationHandler {
            self.inbox.append(.publish(batch))
            return await batch.wait()
        } onCancel: {
            batch.cancel()
        }
        for (index, result) in zip(indices, results) { outcomes[index] = result }
    }

    /// Waits until everything is declared again.
    private func declareAgain(until deadline: ContinuousClock.Instant) async -> Bool {
        let answer = Answer<Void>()
        self.inbox.append(.declareAgain(answer))
        let timer = Task {
            // A broker that is away declares nothing, and says nothing of it.
            try await Task.sleep(until: deadline, clock: .continuous)
            answer.give(.failure(AMQPError(code: .timeout, message: "nothing was declared in time")))
        }
        defer { timer.cancel() }
        return await answer.wait().isSuccess
    }
}

extension Result {
    fileprivate var isSuccess: Bool {
        if case .success = self { true } else { false }
    }
}
