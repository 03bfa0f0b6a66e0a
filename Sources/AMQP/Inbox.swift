// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CRabbitMQ
import Foundation
import NIOConcurrencyHelpers

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

/// Commands on their way to the connection's thread, which an eventfd wakes.
final class Inbox: Sendable {
    private struct State {
        var commands: [Command] = []
        var isWoken = false
        var isShut = false
    }

    let wakeup: Int32
    private let state = NIOLockedValueBox(State())

    init() {
        self.wakeup = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
    }

    deinit {
        Glibc.close(self.wakeup)
    }

    /// - Returns: False when the thread is gone and nobody will take the command; it was refused then.
    @discardableResult
    func append(_ command: Command) -> Bool {
        let (accepted, wakes) = self.state.withLockedValue { state -> (Bool, Bool) in
            guard !state.isShut else { return (false, false) }
            state.commands.append(command)
            defer { state.isWoken = true }
            return (true, !state.isWoken)
        }
        if !accepted { Self.refuse(command) }
        if wakes { _ = eventfd_write(self.wakeup, 1) }
        return accepted
    }

    /// Takes all commands.
    func take() -> [Command] {
        // Always: whoever appended may write only now what an earlier turn has served already, and a descriptor that stays
        // readable would keep the thread spinning.
        var value: eventfd_t = 0
        _ = eventfd_read(self.wakeup, &value)
        return self.state.withLockedValue { state in
            state.isWoken = false
            defer { state.commands.removeAll(keepingCapacity: true) }
            return state.commands
        }
    }

    /// Refuses everything from now on.
    func shut() {
        let commands = self.state.withLockedValue { state in
            state.isShut = true
            defer { state.commands.removeAll() }
            return state.commands
        }
        for command in commands { Self.refuse(command) }
    }

    private static func refuse(_ command: Command) {
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
