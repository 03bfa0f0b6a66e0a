// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// How a connection stands.
public enum AMQPConnectionState: Sendable, Equatable {
    /// Not connected, trying.
    case connecting
    /// Connected, topology declared.
    case ready
    /// Connected, but the broker takes no messages now, for this reason (an alarm).
    case blocked(String)
    /// Closed by its owner.
    case closed
}

/// Figures of one connection since it was made.
public struct AMQPStatistics: Sendable, Equatable {
    /// Deliveries handed out to consumers.
    public var delivered = 0
    /// Times that the connection was made anew.
    public var reconnects = 0
    /// Times that a consumer was lost with its channel or queue.
    public var consumersLost = 0
}

/// What the connection's thread and its users share.
final class ConnectionState: Sendable {
    private struct State {
        var phase: AMQPConnectionState = .connecting
        var lastError: AMQPError?
        var faults: [AMQPError] = []
        var topology: AMQPTopology
        var statistics = AMQPStatistics()
        var wasConnected = false
        var socket: SocketHandle?
        var nextWaiter = 0
        var readyWaiters: [Int: Answer<Void>] = [:]
        var closeWaiters: [Answer<Void>] = []
    }

    private let state: NIOLockedValueBox<State>

    init(topology: AMQPTopology) {
        self.state = NIOLockedValueBox(State(topology: topology))
    }

    var phase: AMQPConnectionState { self.state.withLockedValue(\.phase) }
    var lastError: AMQPError? { self.state.withLockedValue(\.lastError) }
    var faults: [AMQPError] { self.state.withLockedValue(\.faults) }
    var topology: AMQPTopology { self.state.withLockedValue(\.topology) }
    var statistics: AMQPStatistics { self.state.withLockedValue(\.statistics) }
    var wasConnected: Bool { self.state.withLockedValue(\.wasConnected) }
    var socket: SocketHandle? { self.state.withLockedValue(\.socket) }

    /// Remembers what must be declared again after a reconnect.
    func remember(_ topology: AMQPTopology) {
        self.state.withLockedValue { $0.topology.formUnion(topology) }
    }

    func connected() {
        let waiters = self.state.withLockedValue { state in
            state.phase = .ready
            state.lastError = nil
            if state.wasConnected { state.statistics.reconnects += 1 }
            state.wasConnected = true
            defer { state.readyWaiters.removeAll() }
            return state.readyWaiters.values
        }
        for waiter in waiters { waiter.give(.success(())) }
    }

    /// A refusal does not go away by waiting, so that those who wait for the connection hear of it at once.
    func disconnected(_ error: AMQPError) {
        let waiters = self.state.withLockedValue { state -> [Answer<Void>] in
            state.phase = .connecting
            state.lastError = error
            state.faults = []
            state.socket = nil
            guard Self.isFinal(error) else { return [] }
            defer { state.readyWaiters.removeAll() }
            return Array(state.readyWaiters.values)
        }
        for waiter in waiters { waiter.give(.failure(error)) }
    }

    private static func isFinal(_ error: AMQPError) -> Bool {
        [.accessRefused, .topologyMismatch, .tls].contains(error.code)
    }

    /// - Returns: Whether it changed anything.
    @discardableResult
    func note(_ news: SessionNews) -> Bool {
        self.state.withLockedValue { state in
            switch news {
            case .opened(let socket): state.socket = socket
            case .blocked(let reason): state.phase = .blocked(reason)
            case .unblocked: state.phase = .ready
            case .delivered(let count): state.statistics.delivered += count
            case .consumerLost: state.statistics.consumersLost += 1
            case .faults(let faults):
                guard faults != state.faults else { return false }
                state.faults = faults
            }
            return true
        }
    }

    /// How many wait for the connection.
    var waitingCount: Int { self.state.withLockedValue { $0.readyWaiters.count } }

    func closed() {
        let (ready, close) = self.state.withLockedValue { state -> ([Answer<Void>], [Answer<Void>]) in
            state.phase = .closed
            state.faults = []
            state.socket = nil
            defer {
                state.readyWaiters.removeAll()
                state.closeWaiters.removeAll()
            }
            return (Array(state.readyWaiters.values), state.closeWaiters)
        }
        for waiter in ready { waiter.give(.failure(Self.closedError)) }
        for waiter in close { waiter.give(.success(())) }
    }

    private static let closedError = AMQPError(code: .closed, message: "the connection was closed")

    /// Waits until it is closed.
    /// - Returns: At once when the task is cancelled.
    func waitUntilClosed() async {
        let answer = Answer<Void>()
        let isClosed = self.state.withLockedValue { state in
            if state.phase == .closed { return true }
            state.closeWaiters.append(answer)
            return false
        }
        if isClosed { answer.give(.success(())) }
        _ = await answer.wait()
    }

    /// Waits for the connection.
    func waitUntilReady(timeout: Duration) async -> Result<Void, AMQPError> {
        let answer = Answer<Void>()
        let (id, now) = self.state.withLockedValue { state -> (Int, Result<Void, AMQPError>?) in
            state.nextWaiter += 1
            switch state.phase {
            case .ready, .blocked: return (0, .success(()))
            case .closed: return (0, .failure(Self.closedError))
            case .connecting:
                if let error = state.lastError, Self.isFinal(error) { return (0, .failure(error)) }
                state.readyWaiters[state.nextWaiter] = answer
                return (state.nextWaiter, nil)
            }
        }
        if let now { return now }
        let timer = Task {
            // Until the caller gives up: a broker that is away says nothing.
            try await Task.sleep(for: timeout)
            let late = AMQPError(code: .timeout, message: "the broker did not answer in time")
            answer.give(.failure(self.lastError ?? late))
        }
        defer {
            timer.cancel()
            self.state.withLockedValue { $0.readyWaiters[id] = nil }
        }
        return await answer.wait()
    }
}
