// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// Groups what many callers want into one statement: while a flush runs, wishes gather; when it returns, all that have
/// gathered go together. An idle system has no added latency, a busy one has large batches.
final class Batcher<Input: Sendable, Output: Sendable>: Sendable {
    private struct Item {
        let input: Input
        let continuation: CheckedContinuation<Output, any Error>
    }

    private struct State {
        var waiting: [Item] = []
        var isFlushing = false
        var limit: Int
    }

    private let maximum: Int
    private let patience: Duration?
    private let now: @Sendable () -> ContinuousClock.Instant
    private let flush: @Sendable ([Input]) async throws -> [Output]
    private let state: NIOLockedValueBox<State>

    /// - Parameters:
    ///   - maximum: The largest batch.
    ///   - patience: How long a flush may take, if its results are of use for some time only: after one that took longer,
    ///     batches are half as large, down to a single wish, until they are quick again.
    ///   - now: The time.
    ///   - flush: Handles a batch; returns one output per input, in order.
    init(
        maximum: Int,
        patience: Duration? = nil,
        now: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
        flush: @escaping @Sendable ([Input]) async throws -> [Output]
    ) {
        self.maximum = maximum
        self.patience = patience
        self.now = now
        self.flush = flush
        self.state = NIOLockedValueBox(State(limit: maximum))
    }

    /// How many wishes go together at most, at present.
    var limit: Int { self.state.withLockedValue(\.limit) }

    /// Hands in a wish and waits for its result. An error is that of the whole batch.
    func submit(_ input: Input) async throws -> Output {
        try await withCheckedThrowingContinuation { continuation in
            let starts = self.state.withLockedValue { state in
                state.waiting.append(Item(input: input, continuation: continuation))
                guard !state.isFlushing else { return false }
                state.isFlushing = true
                return true
            }
            // Not the caller's task: its cancellation must not take the others' wishes with it.
            if starts { Task { await self.drain() } }
        }
    }

    private func drain() async {
        while true {
            let batch = self.state.withLockedValue { state -> [Item] in
                let batch = Array(state.waiting.prefix(state.limit))
                state.waiting.removeFirst(batch.count)
                if batch.isEmpty { state.isFlushing = false }
                return batch
            }
            guard !batch.isEmpty else { return }
            let start = self.now()
            do {
                let outputs = try await self.flush(batch.map(\.input))
                for (item, output) in zip(batch, outputs) { item.continuation.resume(returning: output) }
            } catch {
                for item in batch { item.continuation.resume(throwing: error) }
            }
            self.adapt(to: self.now() - start, of: batch.count)
        }
    }

    private func adapt(to duration: Duration, of count: Int) {
        guard let patience = self.patience else { return }
        self.state.withLockedValue { state in
            if duration > patience {
                state.limit = max(1, count / 2)
            } else if count == state.limit {
                state.limit = min(self.maximum, state.limit * 2)
            }
        }
    }
}
