// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOConcurrencyHelpers
import ThreadEngine

/// A connection's thread and its queue of work.
final class ConnectionWorker: Sendable {
    /// What the worker tells its pool.
    struct Events: Sendable {
        /// Connected; the pool may hand the worker out.
        let connected: @Sendable (ConnectionWorker) -> Void
        /// An attempt failed; the delay until the next one, or nil to give up.
        let failed: @Sendable (ConnectionWorker, PostgresError) -> Duration?
        /// The server there takes no writes.
        let readOnly: @Sendable (PostgresEndpoint) -> Void
        /// The thread is over.
        let ended: @Sendable (ConnectionWorker) -> Void
    }

    /// Work for the session.
    struct Job: Sendable {
        let id: UInt64
        let run: @Sendable (Session) -> Void
        let fail: @Sendable (PostgresError) -> Void
    }

    private struct State {
        var current: UInt64?
        var isCurrentCancelled = false
        var nextID: UInt64 = 0
        var isShuttingDown = false
        var isEnded = false
        var isUsable = true
        var endpoint: PostgresEndpoint?
    }

    private let state = NIOLockedValueBox(State())
    private let inbox = Inbox<Job> { job in
        job.fail(PostgresError(.connectionLost, "the connection was closed", neverSent: true))
    }
    private let configuration: PostgresConfiguration
    private let rotation: HostRotation
    private let events: Events

    init(configuration: PostgresConfiguration, rotation: HostRotation, events: Events) {
        self.configuration = configuration
        self.rotation = rotation
        self.events = events
    }

    /// Whether the connection may serve another lease.
    var isUsable: Bool {
        // In this order: a job that has left the inbox is the current one.
        self.inbox.isEmpty
            && self.state.withLockedValue {
                $0.isUsable && !$0.isShuttingDown && !$0.isEnded && $0.current == nil
            }
    }

    /// Where it is connected to; nil before that.
    var endpoint: PostgresEndpoint? { self.state.withLockedValue { $0.endpoint } }

    func start() {
        OwningThread.start("postgres") { self.live() }
    }

    /// Ends the thread; work in flight fails.
    func shutDown() {
        self.state.withLockedValue { $0.isShuttingDown = true }
        self.inbox.shut()
        self.inbox.wake()
    }

    /// The connection serves no further lease.
    func retire() { self.state.withLockedValue { $0.isUsable = false } }

    /// Runs work on the thread.
    /// - Parameters:
    ///   - timeout: The bound; nil for none.
    ///   - shielded: Whether the caller's cancellation is ignored.
    ///   - work: What to do with the session.
    /// - Returns: The work's result.
    /// - Throws: ``PostgresError``: the work's, or `timeout`, `cancelled` or `connectionLost`.
    func perform<T: Sendable>(
        timeout: Duration?,
        shielded: Bool = false,
        _ work: @escaping @Sendable (Session) throws(PostgresError) -> T
    ) async throws(PostgresError) -> T {
        let id = self.state.withLockedValue { state in
            state.nextID += 1
            return state.nextID
        }
        guard !shielded else { return try await self.enqueue(id, timeout, shielded, work).get() }
        let result = await withTaskCancellationHandler {
            await self.enqueue(id, timeout, shielded, work)
        } onCancel: {
            self.cancel(id)
        }
        return try result.get()
    }

    private func enqueue<T: Sendable>(
        _ id: UInt64,
        _ timeout: Duration?,
        _ shielded: Bool,
        _ work: @escaping @Sendable (Session) throws(PostgresError) -> T
    ) async -> Result<T, PostgresError> {
        await withCheckedContinuation { (continuation: CheckedContinuation<Result<T, PostgresError>, Never>) in
            let job = Job(
                id: id,
                run: { session in
                    session.begin(deadline: timeout.map { .now + $0 })
                    let result: Result<T, PostgresError>
                    do throws(PostgresError) {
                        result = .success(try work(session))
                    } catch {
                        result = .failure(error)
                    }
                    session.end()
                    self.finish(session, result)
                    continuation.resume(returning: result)
                },
                fail: { continuation.resume(returning: .failure($0)) }
            )
            guard self.inbox.append(job) else { return }
            // The handler may have run before the job was in the queue.
            if !shielded, Task.isCancelled { self.cancel(id) }
        }
    }

    private func cancel(_ id: UInt64) {
        if let waiting = self.inbox.withdraw(where: { $0.id == id }) {
            waiting.fail(PostgresError(.cancelled, "cancelled before it was sent"))
            return
        }
        self.state.withLockedValue { if $0.current == id { $0.isCurrentCancelled = true } }
        self.inbox.wake()
    }

    /// Before the continuation resumes, so that a release that follows finds the truth.
    private func finish<T>(_ session: Session, _ result: Result<T, PostgresError>) {
        var isReadOnly = false
        if case .failure(let error) = result { isReadOnly = error.sqlState == "25006" }
        self.state.withLockedValue { state in
            state.current = nil
            if session.isBroken || session.wasCancelled || isReadOnly { state.isUsable = false }
        }
        if isReadOnly { self.events.readOnly(session.endpoint) }
    }

    private func live() {
        if let session = self.connectPatiently() {
            self.state.withLockedValue { $0.endpoint = session.endpoint }
            self.events.connected(self)
            self.serve(session)
        }
        self.state.withLockedValue { $0.isEnded = true }
        self.inbox.shut()
        self.events.ended(self)
    }

    private func connectPatiently() -> Session? {
        while !self.state.withLockedValue({ $0.isShuttingDown }) {
            do throws(PostgresError) {
                return try Session.connect(self.configuration, self.rotation, inbox: self.inbox) {
                    self.interruption()
                }
            } catch {
                guard let delay = self.events.failed(self, error) else { return nil }
                let end = ContinuousClock.now + delay
                while case let left = ContinuousClock.now.duration(to: end).milliseconds, left > 0,
                    !self.state.withLockedValue({ $0.isShuttingDown })
                {
                    _ = self.inbox.wait(socket: -1, events: 0, milliseconds: Int32(left))
                }
            }
        }
        return nil
    }

    private func interruption() -> Session.Interruption {
        self.state.withLockedValue { state in
            if state.isShuttingDown { return .shutdown }
            return state.isCurrentCancelled ? .cancel : .none
        }
    }

    private func serve(_ session: Session) {
        while !session.isBroken {
            guard !self.state.withLockedValue({ $0.isShuttingDown }) else { return }
            let next = self.inbox.takeFirst { job in
                self.state.withLockedValue { state in
                    state.current = job.id
                    state.isCurrentCancelled = false
                }
            }
            guard let job = next else {
                session.idle()
                continue
            }
            job.run(session)
        }
        self.state.withLockedValue { $0.isUsable = false }
    }
}
