// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CRabbitMQ
import Foundation
import NIOConcurrencyHelpers

/// What the connection's thread is asked to do.
enum Command: Sendable {
    case publish(PublishBatch)
    case publishUnconfirmed(AMQPPublication)
    case settle([Settlement])
    case call(@Sendable (Session) throws(AMQPError) -> Void, fail: @Sendable (AMQPError) -> Void)
    case addConsumer(AMQPConsumer)
    case cancelConsumer(AMQPConsumer, CheckedContinuation<Void, Never>)
    case close
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
        self.state.withLockedValue { state in
            var value: eventfd_t = 0
            if state.isWoken { _ = eventfd_read(self.wakeup, &value) }
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
        case .call(_, let fail): fail(closed)
        case .addConsumer(let consumer): consumer.finish()
        case .cancelConsumer(let consumer, let continuation):
            consumer.finish()
            continuation.resume()
        case .publishUnconfirmed, .settle, .close: break
        }
    }
}
