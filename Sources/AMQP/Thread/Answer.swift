// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// The answer to one question to the connection's thread. Resumes its caller exactly once: with the first of the answer,
/// a failure and a cancellation.
final class Answer<Value: Sendable>: Sendable {
    typealias Outcome = Result<Value, AMQPError>

    private struct State {
        var continuation: CheckedContinuation<Outcome, Never>?
        var outcome: Outcome?
    }

    private let state = NIOLockedValueBox(State())

    func give(_ outcome: Outcome) {
        let continuation = self.state.withLockedValue { state -> CheckedContinuation<Outcome, Never>? in
            guard state.outcome == nil else { return nil }
            state.outcome = outcome
            return state.continuation.take()
        }
        continuation?.resume(returning: outcome)
    }

    func wait() async -> Outcome {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let outcome = self.state.withLockedValue { state -> Outcome? in
                    if state.outcome == nil { state.continuation = continuation }
                    return state.outcome
                }
                if let outcome { continuation.resume(returning: outcome) }
            }
        } onCancel: {
            self.give(
                .failure(AMQPError(code: .cancelled, message: "the caller was cancelled", isOutcomeUnknown: true))
            )
        }
    }
}
