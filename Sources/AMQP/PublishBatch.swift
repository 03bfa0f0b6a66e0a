// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// Messages whose caller waits for all their confirms. Resumes the caller exactly once.
final class PublishBatch: Sendable {
    typealias Outcome = Result<Void, AMQPError>

    private struct State {
        var outcomes: [Outcome?]
        var remaining: Int
        var continuation: CheckedContinuation<[Outcome], Never>?
    }

    let publications: [AMQPPublication]
    let deadline: ContinuousClock.Instant
    private let state: NIOLockedValueBox<State>

    init(_ publications: [AMQPPublication], deadline: ContinuousClock.Instant) {
        self.publications = publications
        self.deadline = deadline
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

    /// Settles one message; the first settlement stands.
    func settle(_ index: Int, _ outcome: Outcome) {
        self.finish { state in
            guard state.outcomes[index] == nil else { return }
            state.outcomes[index] = outcome
            state.remaining -= 1
        }
    }

    /// Settles all that is not settled yet.
    func settleAll(_ error: AMQPError) {
        self.finish { state in
            for index in state.outcomes.indices where state.outcomes[index] == nil {
                state.outcomes[index] = .failure(error)
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
