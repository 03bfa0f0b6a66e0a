// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CRabbitMQ
import DequeModule
import Foundation
import Logging

/// The loop of the one thread that owns a connection: connect, serve commands and frames, and connect again.
final class ConnectionThread {
    private let configuration: AMQPConfiguration
    private let shared: ConnectionState
    private let inbox: Inbox
    private let logger: Logger
    private var consumers: [AMQPConsumer] = []
    private var unsent: Deque<(batch: PublishBatch, next: Int)> = []
    private var watched: Deque<PublishBatch> = []
    private var isClosing = false
    private var failures = 0
    /// Any at first, so that many clients spread over a cluster; then the next whenever one fails.
    private var turn: Int

    init(configuration: AMQPConfiguration, shared: ConnectionState, inbox: Inbox, logger: Logger) {
        self.configuration = configuration
        self.shared = shared
        self.inbox = inbox
        self.logger = logger
        self.turn = Int.random(in: 0..<configuration.nodes.count)
    }

    private var node: AMQPNode { self.configuration.nodes[self.turn % self.configuration.nodes.count] }

    func run() {
        while !self.isClosing {
            do {
                let session = try self.connect()
                self.failures = 0
                let error = self.serve(session)
                session.abandon(error)
                self.failUnsent(error)
                if !self.isClosing {
                    self.shared.disconnected(error)
                    self.logger.warning("Lost the broker", metadata: ["error": "\(error)"])
                }
            } catch {
                self.shared.disconnected(error)
                if self.failures == 0 {
                    self.logger.warning("Cannot reach the broker", metadata: ["error": "\(error)"])
                }
            }
            self.failures += 1
            self.turn += 1
            self.rest()
        }
        for consumer in self.consumers { consumer.finish() }
        self.inbox.shut()
        self.shared.closed()
    }

    private func connect() throws(AMQPError) -> Session {
        let shared = self.shared
        let logger = self.logger
        let session = try Session(configuration: self.configuration, node: self.node, inbox: self.inbox) { news in
            shared.note(news)
            switch news {
            case .blocked(let reason):
                logger.warning("The broker takes no messages now", metadata: ["reason": "\(reason)"])
            case .unblocked: logger.info("The broker takes messages again")
            case .consumerLost(let reason): logger.warning("A consumer was lost", metadata: ["reason": "\(reason)"])
            case .delivered: break
            }
        }
        try session.declare(shared.topology)
        for consumer in self.consumers {
            do {
                try session.subscribe(consumer)
            } catch  where error.code == .notFound {
                session.lostConsumers.append((consumer, .now + .seconds(1)))
            }
        }
        shared.connected(socket: session.socket)
        self.logger.debug("Connected to the broker", metadata: ["node": "\(self.node)"])
        return session
    }

    /// Serves until the connection breaks or its owner closes it.
    private func serve(_ session: Session) -> AMQPError {
        do {
            while true {
                try session.readFrames()
                try self.perform(self.inbox.take(), session)
                if self.isClosing {
                    session.close()
                    return AMQPError(code: .closed, message: "the connection was closed")
                }
                try self.publish(session)
                try self.resubscribe(session)
                self.expire(session)
                self.poll(session)
            }
        } catch {
            return error
        }
    }

    /// Acks that wait go together: the broker has one to log for many.
    private func perform(_ commands: [Command], _ session: Session) throws(AMQPError) {
        var settlements: [Settlement] = []
        for command in commands {
            if case .settle(let more) = command {
                settlements += more
                continue
            }
            if !settlements.isEmpty { try session.settle(settlements) }
            settlements.removeAll(keepingCapacity: true)
            try self.perform(command, session)
        }
        if !settlements.isEmpty { try session.settle(settlements) }
    }

    private func perform(_ command: Command, _ session: Session) throws(AMQPError) {
        switch command {
        case .publish(let batch):
            self.unsent.append((batch, 0))
            self.watched.append(batch)
        case .publishUnconfirmed(let publication):
            // A hint is worth nothing later.
            guard !session.isBlocked else { return }
            try session.publish(publication, confirmedBy: nil)
        case .settle(let settlements):
            try session.settle(settlements)
        case .call(let body, let fail):
            do {
                try body(session)
            } catch {
                fail(error)
                if error.code == .connectionLost || error.code == .timeout { throw error }
            }
        case .addConsumer(let consumer):
            self.consumers.append(consumer)
            do {
                try session.subscribe(consumer)
            } catch  where error.code != .connectionLost && error.code != .timeout {
                self.logger.warning("Cannot consume yet", metadata: ["error": "\(error)"])
                session.lostConsumers.append((consumer, .now + .seconds(1)))
            }
        case .cancelConsumer(let consumer, let continuation):
            defer {
                consumer.finish()
                continuation.resume()
            }
            self.consumers.removeAll { $0 === consumer }
            try session.cancel(consumer)
        case .close:
            self.isClosing = true
        }
    }

    /// Writes as many messages as the window holds. Reads come first: a write to a broker that has stopped reading
    /// would block, and only reading finds out that it is dead.
    private func publish(_ session: Session) throws(AMQPError) {
        while !session.isBlocked, let (batch, start) = self.unsent.first {
            guard !batch.isDone else {
                self.unsent.removeFirst()
                continue
            }
            let room = self.configuration.maximumUnconfirmed - session.window.count
            guard room > 0 else { return }
            let end = min(batch.publications.count, start + min(room, 100))
            for index in start..<end {
                try session.publish(batch.publications[index], confirmedBy: (batch, index))
                self.unsent[0].next = index + 1
            }
            if end == batch.publications.count { self.unsent.removeFirst() }
            try session.readFrames()
        }
    }

    private func resubscribe(_ session: Session) throws(AMQPError) {
        let now = ContinuousClock.now
        let due = session.lostConsumers.filter { $0.retryAt <= now }
        guard !due.isEmpty else { return }
        session.lostConsumers.removeAll { $0.retryAt <= now }
        for (consumer, _) in due {
            do {
                try session.subscribe(consumer)
            } catch  where error.code != .connectionLost && error.code != .timeout {
                session.lostConsumers.append((consumer, now + .seconds(1)))
            }
        }
    }

    /// Fails what has waited too long; the broker may still take what was sent.
    private func expire(_ session: Session) {
        let now = ContinuousClock.now
        while let batch = self.watched.first, batch.isDone || batch.deadline <= now {
            self.watched.removeFirst()
            batch.settleAll(
                AMQPError(
                    code: .timeout,
                    message: session.isBlocked ? "the broker takes no messages now" : "no confirm in time",
                    isOutcomeUnknown: true
                )
            )
        }
    }

    private func failUnsent(_ error: AMQPError) {
        for batch in self.watched { batch.settleAll(error) }
        self.watched.removeAll()
        self.unsent.removeAll()
    }

    private func poll(_ session: Session) {
        let heartbeat = self.configuration.heartbeat.components.seconds * 1000
        // What an RPC has read along with its answer is not seen by poll: frames set aside, and bytes not decoded yet.
        guard amqp_frames_enqueued(session.connection) == 0, amqp_data_in_buffer(session.connection) == 0 else {
            return
        }
        var timeout = max(100, heartbeat / 3)
        if !session.lostConsumers.isEmpty || !self.watched.isEmpty { timeout = min(timeout, 250) }
        self.wait(socket: session.socket, milliseconds: Int32(clamping: timeout))
    }

    private func wait(socket: Int32, milliseconds: Int32) {
        var descriptors = [
            pollfd(fd: socket, events: Int16(POLLIN), revents: 0),
            pollfd(fd: self.inbox.wakeup, events: Int16(POLLIN), revents: 0),
        ]
        _ = Glibc.poll(&descriptors, nfds_t(descriptors.count), milliseconds)
    }

    /// Waits before the next attempt, answering commands meanwhile.
    private func rest() {
        // The other nodes of a cluster are tried quickly; only when all have failed does the pause grow.
        let exponent = min((self.failures - 1) / self.configuration.nodes.count, 7)
        let pause = min(10_000, 100 << exponent)
        let end = ContinuousClock.now + .milliseconds(Int.random(in: pause / 2...pause))
        while !self.isClosing {
            self.inbox.take().forEach(self.performDisconnected)
            let left = end - .now
            guard left > .zero, !self.isClosing else { return }
            let parts = left.components
            self.wait(
                socket: -1,
                milliseconds: Int32(clamping: parts.seconds * 1000 + parts.attoseconds / 1_000_000_000_000_000 + 1)
            )
        }
    }

    private func performDisconnected(_ command: Command) {
        let error = AMQPError(
            code: .notConnected,
            message: "there is no connection to the broker now"
                + (self.shared.lastError.map { ": \($0.message)" } ?? "")
        )
        switch command {
        case .publish(let batch): batch.settleAll(error)
        case .publishUnconfirmed, .settle: break
        case .call(_, let fail): fail(error)
        case .addConsumer(let consumer): self.consumers.append(consumer)
        case .cancelConsumer(let consumer, let continuation):
            self.consumers.removeAll { $0 === consumer }
            consumer.finish()
            continuation.resume()
        case .close: self.isClosing = true
        }
    }
}
