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
        var topology: AMQPTopology
        var statistics = AMQPStatistics()
        var wasConnected = false
        var socket: Int32 = -1
        var nextWaiter = 0
        var readyWaiters: [Int: CheckedContinuation<Result<Void, AMQPError>, Never>] = [:]
        var closeWaiters: [CheckedContinuation<Void, Never>] = []
    }

    private let state: NIOLockedValueBox<State>

    init(topology: AMQPTopology) {
        self.state = NIOLockedValueBox(State(topology: topology))
    }

    var phase: AMQPConnectionState { self.state.withLockedValue(\.phase) }
    var lastError: AMQPError? { self.state.withLockedValue(\.lastError) }
    var topology: AMQPTopology { self.state.withLockedValue(\.topology) }
    var statistics: AMQPStatistics { self.state.withLockedValue(\.statistics) }
    var socket: Int32 { self.state.withLockedValue(\.socket) }

    /// Remembers what must be declared again after a reconnect.
    func remember(_ topology: AMQPTopology) {
        self.state.withLockedValue { $0.topology.formUnion(topology) }
    }

    func connected(socket: Int32) {
        let waiters = self.state.withLockedValue { state in
            state.phase = .ready
            state.lastError = nil
            state.socket = socket
            if state.wasConnected { state.statistics.reconnects += 1 }
            state.wasConnected = true
            defer { state.readyWaiters.removeAll() }
            return state.readyWaiters.values
        }
        for waiter in waiters { waiter.resume(returning: .success(())) }
    }

    /// A refusal does not go away by waiting, so that those who wait for the connection hear of it at once.
    func disconnected(_ error: AMQPError) {
        let waiters = self.state.withLockedValue { state -> [CheckedContinuation<Result<Void, AMQPError>, Never>] in
            state.phase = .connecting
            state.lastError = error
            state.socket = -1
            guard [.accessRefused, .topologyMismatch, .tls].contains(error.code) else { return [] }
            defer { state.readyWaiters.removeAll() }
            return Array(state.readyWaiters.values)
        }
        for waiter in waiters { waiter.resume(returning: .failure(error)) }
    }

    func note(_ news: SessionNews) {
        self.state.withLockedValue { state in
            switch news {
            case .blocked(let reason): state.phase = .blocked(reason)
            case .unblocked: state.phase = .ready
            case .delivered(let count): state.statistics.delivered += count
            case .consumerLost: state.statistics.consumersLost += 1
            }
        }
    }

    func closed() {
        let (ready, close) = self.state.withLockedValue {
            state -> (
                [CheckedContinuation<Result<Void, AMQPError>, Never>], [CheckedContinuation<Void, Never>]
            ) in
            state.phase = .closed
            state.socket = -1
            defer {
                state.readyWaiters.removeAll()
                state.closeWaiters.removeAll()
            }
            return (Array(state.readyWaiters.values), state.closeWaiters)
        }
        let error = AMQPError(code: .closed, message: "the connection was closed")
        for waiter in ready { waiter.resume(returning: .failure(error)) }
        for waiter in close { waiter.resume() }
    }

    func waitUntilClosed() async {
        await withCheckedContinuation { continuation in
            let isClosed = self.state.withLockedValue { state in
                if state.phase == .closed { return true }
                state.closeWaiters.append(continuation)
                return false
            }
            if isClosed { continuation.resume() }
        }
    }

    /// Waits for the connection.
    func waitUntilReady(timeout: Duration) async -> Result<Void, AMQPError> {
        let id = self.state.withLockedValue { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        let timer = Task {
            try await Task.sleep(for: timeout)
            self.giveUp(id)
        }
        defer { timer.cancel() }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let result = self.state.withLockedValue { state -> Result<Void, AMQPError>? in
                    switch state.phase {
                    case .ready, .blocked: return .success(())
                    case .closed: return .failure(AMQPError(code: .closed, message: "the connection was closed"))
                    case .connecting:
                        if let error = state.lastError,
                            [.accessRefused, .topologyMismatch, .tls].contains(error.code)
                        {
                            return .failure(error)
                        }
                        state.readyWaiters[id] = continuation
                        return nil
                    }
                }
                if let result { continuation.resume(returning: result) }
            }
        } onCancel: {
            self.giveUp(id)
        }
    }

    private func giveUp(_ id: Int) {
        let (waiter, error) = self.state.withLockedValue { ($0.readyWaiters.removeValue(forKey: id), $0.lastError) }
        waiter?.resume(
            returning: .failure(error ?? AMQPError(code: .timeout, message: "the broker did not answer in time"))
        )
    }
}
