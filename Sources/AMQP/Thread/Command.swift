// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ThreadEngine

/// What the connection's thread is asked to do.
enum Command: Sendable {
    case publish(PublishBatch)
    case settle([Settlement])
    case call(Call)
    case addConsumer(Subscriber)
    case cancelConsumer(Subscriber, CheckedContinuation<Void, Never>)
    case abandonConsumer(Subscriber)
    case declareAgain(Answer<Void>)
    case close
}

/// A question to the broker whose caller waits for the answer.
struct Call: Sendable {
    /// When the broker must have begun to take it.
    let deadline: ContinuousClock.Instant
    /// Asks; the answer goes to the caller.
    let begin: @Sendable (Session) -> Void
    /// Tells the caller that it was not asked.
    let fail: @Sendable (AMQPError) -> Void
}

/// Commands on their way to the connection's thread.
typealias Commands = Inbox<Command>

extension Command {
    /// Tells whoever waits that the connection was closed.
    @Sendable
    static func refuse(_ command: Command) {
        let closed = AMQPError(code: .closed, message: "the connection was closed")
        switch command {
        case .publish(let batch): batch.settleAll(closed)
        case .call(let call): call.fail(closed)
        case .addConsumer(let subscriber), .abandonConsumer(let subscriber): subscriber.deliveries.finish()
        case .cancelConsumer(let subscriber, let continuation):
            subscriber.deliveries.finish()
            continuation.resume()
        case .declareAgain(let answer): answer.give(.failure(closed))
        case .settle, .close: break
        }
    }
}
