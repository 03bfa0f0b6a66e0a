// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import DequeModule
import Logging
import NIOConcurrencyHelpers

/// Lends connections, one caller each, oldest caller first, and makes new ones while somebody waits.
final class ConnectionPool: Sendable {
    private typealias Waiter = CheckedContinuation<Result<ConnectionWorker, PostgresError>, Never>

    private struct State {
        var idle: [ConnectionWorker] = []
        var workers: [ObjectIdentifier: ConnectionWorker] = [:]
        var opening: Set<ObjectIdentifier> = []
        var waiters: [UInt64: Waiter] = [:]
        var order = Deque<(id: UInt64, deadline: ContinuousClock.Instant)>()
        var nextID: UInt64 = 0
        var isSweeping = false
        var isClosed = false
        var failures = 0
        var firstFailure: PostgresError?
        var reconnects = 0
        var losses = 0
        var executed = 0

        mutating func nextWaiter() -> Waiter? {
            while let (id, _) = self.order.popFirst() {
                if let waiter = self.waiters.removeValue(forKey: id) { return waiter }
            }
            return nil
        }
    }

    private let configuration: PostgresConfiguration
    private let logger: Logger
    private let rotation = HostRotation()
    private let state = NIOLockedValueBox(State())

    init(configuration: PostgresConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    var statistics: PostgresStatistics {
        self.state.withLockedValue { state in
            let open = state.workers.count - state.opening.count
            return PostgresStatistics(
                open: open,
                idle: state.idle.count,
                busy: open - state.idle.count,
                waiting: state.waiters.count,
                reconnects: state.reconnects,
                executed: state.executed
            )
        }
    }

    func countExecuted(_ number: Int) { self.state.withLockedValue { $0.executed += number } }

    func acquire() async throws(PostgresError) -> ConnectionWorker {
        guard !Task.isCancelled else { throw PostgresError(.cancelled, "cancelled before a connection was asked for") }
        let id = self.state.withLockedValue { state in
            state.nextID += 1
            return state.nextID
        }
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: Waiter) in
                self.enqueue(id, continuation)
                // The handler may have run before the waiter was in the queue.
                if Task.isCancelled { self.cancel(id) }
            }
        } onCancel: {
            self.cancel(id)
        }
        return try result.get()
    }

    func release(_ worker: ConnectionWorker) {
        guard worker.isUsable else {
            self.forget(worker)
            worker.shutDown()
            self.grow()
            return
        }
        self.offer(worker)
    }

    /// Ends everything; callers get `.closed`.
    func close() {
        let (workers, waiters) = self.state.withLockedValue { state in
            state.isClosed = true
            defer {
                state.waiters = [:]
                state.order = []
                state.idle = []
            }
            return (Array(state.workers.values), Array(state.waiters.values))
        }
        for waiter in waiters { waiter.resume(returning: .failure(Self.closed)) }
        for worker in workers { worker.shutDown() }
    }

    private static let closed = PostgresError(.closed, "the client was closed")

    private func enqueue(_ id: UInt64, _ continuation: Waiter) {
        enum Next {
            case lend(ConnectionWorker), refuse, wait(startSweeping: Bool)
        }
        let next = self.state.withLockedValue { state -> Next in
            guard !state.isClosed else { return .refuse }
            while let worker = state.idle.popLast() {
                if worker.isUsable { return .lend(worker) }
            }
            state.waiters[id] = continuation
            state.order.append((id, .now + self.configuration.acquireTimeout))
            defer { state.isSweeping = true }
            return .wait(startSweeping: !state.isSweeping)
        }
        switch next {
        case .lend(let worker): continuation.resume(returning: .success(worker))
        case .refuse: continuation.resume(returning: .failure(Self.closed))
        case .wait(let startSweeping):
            if startSweeping { Task { await self.sweep() } }
            self.grow()
        }
    }

    private func cancel(_ id: UInt64) {
        let waiter = self.state.withLockedValue { $0.waiters.removeValue(forKey: id) }
        waiter?.resume(returning: .failure(PostgresError(.cancelled, "cancelled while waiting for a connection")))
    }

    private func offer(_ worker: ConnectionWorker) {
        let (waiter, isClosed) = self.state.withLockedValue { state -> (Waiter?, Bool) in
            if let waiter = state.nextWaiter() { return (waiter, false) }
            if !state.isClosed { state.idle.append(worker) }
            return (nil, state.isClosed)
        }
        waiter?.resume(returning: .success(worker))
        if isClosed { worker.shutDown() }
    }

    private func forget(_ worker: ConnectionWorker) {
        self.state.withLockedValue { state in
            let id = ObjectIdentifier(worker)
            state.idle.removeAll { $0 === worker }
            let isOpening = state.opening.remove(id) != nil
            if state.workers.removeValue(forKey: id) != nil, !isOpening { state.losses += 1 }
        }
    }

    /// Starts as many connections as there are callers for; while the server is away, one at a time.
    private func grow() {
        let started = self.state.withLockedValue { state -> [ConnectionWorker] in
            var started: [ConnectionWorker] = []
            let maximum = max(1, self.configuration.maximumConnections)
            while !state.isClosed, state.opening.count < state.waiters.count, state.workers.count < maximum,
                state.failures == 0 || state.opening.isEmpty
            {
                let worker = ConnectionWorker(
                    configuration: self.configuration,
                    rotation: self.rotation,
                    events: self.events
                )
                state.workers[ObjectIdentifier(worker)] = worker
                state.opening.insert(ObjectIdentifier(worker))
                started.append(worker)
            }
            return started
        }
        for worker in started { worker.start() }
    }

    private var events: ConnectionWorker.Events {
        ConnectionWorker.Events(
            connected: { [weak self] worker in
                guard let self else { return worker.shutDown() }
                let wasMissed = self.state.withLockedValue { state in
                    state.opening.remove(ObjectIdentifier(worker))
                    if state.failures > 0 || state.losses > 0 { state.reconnects += 1 }
                    state.losses = max(0, state.losses - 1)
                    defer { state.failures = 0 }
                    state.firstFailure = nil
                    return state.failures > 0
                }
                if wasMissed { self.logger.notice("The database is back") }
                self.offer(worker)
                self.grow()
            },
            failed: { [weak self] worker, error in self?.failed(worker, error) },
            readOnly: { [weak self] endpoint in self?.leave(endpoint) },
            ended: { [weak self] worker in
                self?.forget(worker)
                self?.grow()
            }
        )
    }

    /// After a failover the old server, or a proxy before it, keeps connections that cannot write: all of them are given up.
    private func leave(_ endpoint: PostgresEndpoint) {
        self.rotation.leave(endpoint)
        let idle = self.state.withLockedValue { state in
            for worker in state.workers.values where worker.endpoint == endpoint { worker.retire() }
            let idle = state.idle.filter { $0.endpoint == endpoint }
            state.idle.removeAll { $0.endpoint == endpoint }
            return idle
        }
        for worker in idle { worker.shutDown() }
    }

    private func failed(_ worker: ConnectionWorker, _ error: PostgresError) -> Duration? {
        let (waiters, delay, isFirst) = self.state.withLockedValue { state -> ([Waiter], Duration?, Bool) in
            guard !error.isPermanentConnectionFault else {
                defer {
                    state.waiters = [:]
                    state.order = []
                }
                return (Array(state.waiters.values), nil, false)
            }
            state.failures += 1
            state.firstFailure = state.firstFailure ?? error
            let isFirst = state.failures == 1
            let isSpare = state.opening.count > 1 || state.waiters.isEmpty || state.isClosed
            guard !isSpare else {
                // One is enough to find out when the server is back.
                state.opening.remove(ObjectIdentifier(worker))
                state.workers[ObjectIdentifier(worker)] = nil
                return ([], nil, isFirst)
            }
            let step = min(5000.0, 50 * Double(1 << min(state.failures - 1, 7)))
            return ([], .milliseconds(Int64(step * Double.random(in: 0.5...1))), isFirst)
        }
        if isFirst {
            self.logger.warning("Cannot reach the database", metadata: ["error": "\(error)"])
        }
        for waiter in waiters { waiter.resume(returning: .failure(error)) }
        return delay
    }

    /// Fails callers whose time is up. All wait equally long, so the oldest is due first.
    private func sweep() async {
        while true {
            let (due, next) = self.state.withLockedValue { state -> ([Waiter], ContinuousClock.Instant?) in
                var due: [Waiter] = []
                while let (id, deadline) = state.order.first {
                    guard deadline <= .now else { break }
                    state.order.removeFirst()
                    if let waiter = state.waiters.removeValue(forKey: id) { due.append(waiter) }
                }
                while let (id, _) = state.order.first, state.waiters[id] == nil { state.order.removeFirst() }
                state.isSweeping = !state.order.isEmpty
                return (due, state.order.first?.deadline)
            }
            let failure = self.state.withLockedValue { $0.firstFailure }
            let error = failure ?? PostgresError(.timeout, "no connection was free in time")
            for waiter in due { waiter.resume(returning: .failure(error)) }
            guard let next else { return }
            try? await Task.sleep(until: next, clock: .continuous)
        }
    }
}
