// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// Messages whose caller waits for all their confirms. Resumes the caller exactly once.
final class PublishBatch: Sendable {
    typealias Outcome = Result<Void, AMQPError>

    private struct State {
        var outcomes: [Outcome?]
        var remaining: Int
        /// How many have been handed to the connection; they are written in order.
        var written = 0
        var continuation: CheckedContinuation<[Outcome], Never>?
    }

    let publications: [AMQPPublication]
    let deadline: ContinuousClock.Instant
    /// Whether nobody waits for it, so that it is dropped rather than kept.
    let isDisposable: Bool
    private let state: NIOLockedValueBox<State>

    init(_ publications: [AMQPPublication], deadline: ContinuousClock.Instant, isDisposable: Bool = false) {
        self.publications = publications
        self.deadline = deadline
        self.isDisposable = isDisposable
        self.state = NIOLockedValueBox(
            State(outcomes: Array(repeating: nil, count: publications.count), remaining: publications.count)
        )
    }

    /// Whether nobody waits any more.
    var isDone: Bool { self.state.withLockedValue { $0.remaining == 0 } }

    func wait() async -> [Outcome] {
        await withCheckedContinuation { continuation in
            let outcomes = self.state.withLockedValue { state -> [Outcome]? in
                guard state.remaining > 0 else { return state.outcomes.compactMap(\.self) }
                state.continuation = continuation
                return nil
            }
            if let outcomes { continuation.resume(returning: outcomes) }
        }
    }

    /// A message is about to be written: from now on, a failure leaves open whether it arrived.
    /// - Returns: False when it is settled already, and must not be written.
    func begins(_ index: Int) -> Bool {
        self.state.withLockedValue { state in
            guard state.outcomes[index] == nil else { return false }
            state.written = index + 1
            return true
        }
    }

    /// Settles one message; the first settlement stands.
    func settle(_ index: Int, _ outcome: Outcome) {
        self.finish { state in
            guard state.outcomes[index] == nil else { return }
            state.outcomes[index] = outcome
            state.remaining -= 1
        }
    }

    /// Settles all that is not settled yet. What has not been written has not arrived, whatever the error.
    func settleAll(_ error: AMQPError) {
        self.settleAll { $0 ? error : error.withKnownOutcome }
    }

    /// The caller does not wait any more. It may not know what it has begun, so it is told nothing about that.
    func cancel() {
        let error = AMQPError(code: .cancelled, message: "the publisher was cancelled", isOutcomeUnknown: true)
        self.settleAll { _ in error }
    }

    private func settleAll(_ error: (_ isWritten: Bool) -> AMQPError) {
        self.finish { state in
            for index in state.outcomes.indices where state.outcomes[index] == nil {
                state.outcomes[index] = .failure(error(index < state.written))
            }
            state.remaining = 0
        }
    }

    private func finish(_ change: (inout State) -> Void) {
        let resumed = self.state.withLockedValue { state -> (CheckedContinuation<[Outcome], Never>, [Outcome])? in
            change(&state)
            guard state.remaining == 0, let continuation = state.continuation.take() else { return nil }
            return (continuation, state.outcomes.compactMap(\.self))
        }
        if let (continuation, outcomes) = resumed { continuation.resume(returning: outcomes) }
    }
}
