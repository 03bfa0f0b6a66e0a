// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// How what is declared at a broker compares with what ought to be.
public struct AMQPSight: Sendable {
    /// The queues and exchanges that are not there.
    public internal(set) var missing: [String] = []
    /// What is there, and has other properties.
    public internal(set) var different: [AMQPError] = []
    /// How many queues and exchanges were looked for.
    public internal(set) var count = 0
}

extension AMQPConnection {
    /// Compares what is declared with what ought to be, and makes nothing: what is not there stays so. Bindings, which
    /// cannot be looked at, are left out, and so are queues of one connection alone.
    /// - Parameter topology: What ought to be.
    /// - Returns: What is missing or different. Without the right to declare something, it is not known whether that is
    ///   different.
    /// - Throws: ``AMQPError``.
    public func look(at topology: AMQPTopology) async throws(AMQPError) -> AMQPSight {
        if let fault = topology.fault { throw fault }
        var sight = AMQPSight()
        for exchange in topology.exchanges {
            sight.count += 1
            guard try await self.isThere(exchange.name) else {
                sight.missing.append("exchange \(exchange.name)")
                continue
            }
            // Of what is there, a declaration is a comparison.
            sight.different += try await self.compare(.exchange(exchange))
        }
        for queue in topology.queues where !queue.exclusive {
            sight.count += 1
            do {
                _ = try await self.queueStatus(queue.name)
            } catch {
                guard error.code == .notFound else { throw error }
                sight.missing.append("queue \(queue.name)")
                continue
            }
            sight.different += try await self.compare(.queue(queue))
        }
        return sight
    }

    private func isThere(_ exchange: String) async throws(AMQPError) -> Bool {
        do {
            try await self.call { session, answer in session.call([.look(atExchange: exchange)], done: answer) }
            return true
        } catch {
            guard error.code == .notFound else { throw error }
            return false
        }
    }

    private func compare(_ declaration: Declaration) async throws(AMQPError) -> [AMQPError] {
        let refused = try await self.call { session, answer in session.declare([declaration]) { answer($0) } }
        return refused.filter { $0.code == .topologyMismatch }
    }

    /// Whether the broker takes no messages now, for which reason: asked by sending one to nobody, which it tells at once
    /// when an alarm is on, and throws away else.
    /// - Returns: The reason; nil when it takes messages.
    public func alarm(within limit: Duration) async -> String? {
        self.publishUnconfirmed(
            AMQPPublication(message: AMQPMessage(body: []), exchange: "", routingKey: "nobody", mandatory: false)
        )
        let end = ContinuousClock.now + limit
        while ContinuousClock.now < end {
            if case .blocked(let reason) = self.state { return reason }
            // A broker without an alarm says nothing that could be waited for.
            try? await Task.sleep(for: .milliseconds(20))
        }
        return nil
    }
}
