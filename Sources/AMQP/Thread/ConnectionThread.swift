// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CRabbitMQ
import DequeModule
import Foundation
import Logging
import ThreadEngine

/// The loop of the one thread that owns a connection: connect, serve commands and frames, and connect again.
final class ConnectionThread {
    private let configuration: AMQPConfiguration
    private let shared: ConnectionState
    private let inbox: Commands
    private let logger: Logger
    private var consumers: [Subscriber] = []
    private var outbox: Outbox
    /// Questions that wait for a broker which takes nothing now.
    private var held: Deque<Call> = []
    private var isClosing = false
    /// Whether it was told that the broker is away.
    private var isMissed = false
    private var backoff: Backoff
    /// The time by which it rests between attempts to connect.
    private let now: @Sendable () -> ContinuousClock.Instant
    /// Any at first, so that many clients spread over a cluster; then the next whenever one fails.
    private var turn: Int

    init(
        configuration: AMQPConfiguration,
        shared: ConnectionState,
        inbox: Commands,
        logger: Logger,
        now: @escaping @Sendable () -> ContinuousClock.Instant
    ) {
        self.now = now
        self.configuration = configuration
        self.shared = shared
        self.inbox = inbox
        self.logger = logger
        self.outbox = Outbox(maximumUnconfirmed: configuration.maximumUnconfirmed)
        self.backoff = Backoff(nodes: configuration.nodes.count)
        self.turn = Int.random(in: 0..<configuration.nodes.count)
    }

    private var node: AMQPNode { self.configuration.nodes[self.turn % self.configuration.nodes.count] }

    func run() {
        while !self.isClosing {
            do {
                try self.live()
            } catch {
                self.backoff.failed()
                self.shared.disconnected(error)
                if self.backoff.isFirstFailure {
                    self.isMissed = true
                    self.logger.warning("Cannot reach the broker", metadata: ["error": "\(error)"])
                }
            }
            self.turn += 1
            self.rest()
        }
        for consumer in self.consumers { consumer.deliveries.finish() }
        self.inbox.shut()
        self.shared.closed()
    }

    /// One life of the connection.
    /// - Throws: ``AMQPError``, when it never was of any use.
    private func live() throws(AMQPError) {
        let session = try self.connect()
        let start = self.now()
        let error = self.serve(session)
        session.abandon(error)
        self.failWaiting(error)
        guard !self.isClosing else { return }
        guard session.upkeep.isReady else { throw error }
        self.backoff.lost(after: self.now() - start)
        self.shared.disconnected(error)
        self.isMissed = true
        self.logger.warning("Lost the broker", metadata: ["error": "\(error)"])
    }

    private func connect() throws(AMQPError) -> Session {
        let shared = self.shared
        let logger = self.logger
        return try Session(
            configuration: self.configuration,
            node: self.node,
            inbox: self.inbox,
            topology: { shared.topology }
        ) { news in
            let areNew = shared.note(news)
            switch news {
            case .blocked(let reason):
                logger.warning("The broker takes no messages now", metadata: ["reason": "\(reason)"])
            case .unblocked: logger.info("The broker takes messages again")
            case .consumerLost(let reason): logger.warning("A consumer was lost", metadata: ["reason": "\(reason)"])
            case .faults(let faults):
                guard areNew else { return }
                for fault in faults {
                    logger.warning("The broker refuses what the connection needs", metadata: ["error": "\(fault)"])
                }
            case .delivered, .opened: break
            }
        }
    }

    /// Serves until the connection breaks or its owner closes it.
    private func serve(_ session: Session) -> AMQPError {
        session.declareAll { [unowned session] result in self.start(session, result) }
        while true {
            session.readFrames()
            self.perform(self.inbox.takeAll(), session)
            if self.isClosing {
                session.close()
                return AMQPError(code: .closed, message: "the connection was closed")
            }
            let now = ContinuousClock.now
            if session.upkeep.isReady { self.outbox.write(to: session) }
            session.tendUpkeep(now: now)
            session.tendPublishers(now: now)
            session.expireOperations(now: now)
            self.outbox.expire(now: now, isBlocked: session.isBlocked)
            self.ask(session, now: now)
            if let failure = session.failure { return failure }
            self.poll(session)
        }
    }

    /// Everything is declared for the first time in this session. What the broker refuses then is an error only if it was
    /// never otherwise: later it is put aside, and the rest goes on.
    private func start(_ session: Session, _ result: Result<[AMQPError], AMQPError>) {
        guard !session.upkeep.isReady else { return }
        switch result {
        case .failure(let error):
            session.fail(error)
        case .success(let refused):
            let fatal = refused.first { [.topologyMismatch, .accessRefused].contains($0.code) }
            if let fatal, !self.shared.wasConnected {
                session.fail(fatal)
                return
            }
            session.upkeep.isReady = true
            for consumer in self.consumers { session.subscribe(consumer) }
            self.shared.connected()
            self.logger.log(
                level: self.isMissed ? .notice : .debug,
                self.isMissed ? "The broker is back" : "Connected to the broker",
                metadata: ["node": "\(self.node)"]
            )
            self.isMissed = false
        }
    }

    /// Acks that wait go together: the broker has one to log for many.
    private func perform(_ commands: Deque<Command>, _ session: Session) {
        var settlements: [Settlement] = []
        for command in commands {
            if case .settle(let more) = command {
                settlements += more
                continue
            }
            if !settlements.isEmpty { session.settle(settlements) }
            settlements.removeAll(keepingCapacity: true)
            self.perform(command, session)
        }
        if !settlements.isEmpty { session.settle(settlements) }
    }

    private func perform(_ command: Command, _ session: Session) {
        switch command {
        case .publish(let batch):
            // A hint is worth nothing later.
            if batch.isDisposable, session.isBlocked || self.outbox.isFull(session) { return }
            self.outbox.append(batch)
        case .settle(let settlements):
            session.settle(settlements)
        case .call(let call):
            self.held.append(call)
        case .addConsumer(let subscriber):
            self.consumers.append(subscriber)
            if session.upkeep.isReady { session.subscribe(subscriber) }
        case .cancelConsumer(let subscriber, let continuation):
            self.consumers.removeAll { $0 === subscriber }
            session.cancel(subscriber) {
                subscriber.deliveries.finish()
                continuation.resume()
            }
        case .abandonConsumer(let subscriber):
            self.consumers.removeAll { $0 === subscriber }
            session.abandon(subscriber)
        case .declareAgain(let answer):
            session.declareAgain(answer)
        case .close:
            self.isClosing = true
        }
    }

    /// Asks what has been asked for. A broker that takes no messages reads nothing from this connection: to wait for an
    /// answer would be in vain.
    private func ask(_ session: Session, now: ContinuousClock.Instant) {
        if !session.isBlocked {
            while let call = self.held.popFirst() { call.begin(session) }
            return
        }
        while let call = self.held.first, call.deadline <= now {
            self.held.removeFirst()
            call.fail(AMQPError(code: .timeout, message: "the broker takes nothing now"))
        }
    }

    private func failWaiting(_ error: AMQPError) {
        self.outbox.failAll(error)
        while let call = self.held.popFirst() { call.fail(error.withKnownOutcome) }
    }

    private func poll(_ session: Session) {
        // What a write has read along is not seen by poll: frames set aside, and bytes not decoded yet.
        guard amqp_frames_enqueued(session.connection) == 0, amqp_data_in_buffer(session.connection) == 0 else {
            return
        }
        let isWaiting = !self.outbox.isIdle || !self.held.isEmpty || session.isWaiting
        let timeout = max(100, session.heartbeat * 1000 / 3)
        let limit = isWaiting ? min(timeout, 250) : timeout
        _ = self.inbox.wait(socket: session.socket, events: POLLIN, milliseconds: Int32(clamping: limit))
    }

    /// Waits before the next attempt, answering commands meanwhile.
    private func rest() {
        let pause = self.backoff.limit / .milliseconds(1)
        let end = self.now() + .milliseconds(Int.random(in: Int(pause / 2)...Int(pause)))
        while !self.isClosing {
            self.inbox.takeAll().forEach(self.performDisconnected)
            let left = end - self.now()
            guard left > .zero, !self.isClosing else { return }
            _ = self.inbox.wait(socket: -1, events: 0, milliseconds: Int32(clamping: left.wholeMilliseconds + 1))
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
        case .settle: break
        case .call(let call): call.fail(error)
        case .addConsumer(let subscriber): self.consumers.append(subscriber)
        case .cancelConsumer(let subscriber, let continuation):
            self.consumers.removeAll { $0 === subscriber }
            subscriber.deliveries.finish()
            continuation.resume()
        case .abandonConsumer(let subscriber):
            self.consumers.removeAll { $0 === subscriber }
            subscriber.deliveries.stopWaiting()
        case .declareAgain(let answer): answer.give(.failure(error))
        case .close: self.isClosing = true
        }
    }
}
