// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallQueues

/// A dialer's name, which no other may have at the same time: each would take the other's calls for its own.
struct DialerName {
    private let id: String
    /// A dialer that has died may still be connected until the broker misses its heartbeats.
    private static let patience = Duration.seconds(25)

    init(_ id: String) {
        self.id = id
    }

    /// Waits until this connection alone has the queue of the name.
    /// - Throws: ``NameTaken``; `AMQPError`.
    func claim(on connection: AMQPConnection) async throws {
        let end = ContinuousClock.now + Self.patience
        try await connection.waitUntilReady(timeout: .seconds(30))
        while connection.faults.contains(where: { $0.code == .resourceLocked }) {
            guard ContinuousClock.now < end else {
                throw NameTaken(id: self.id, queue: CallTopology.hintQueue(dialerID: self.id))
            }
            // The connection tries again by itself, and tells only that a fault is gone.
            try await Task.sleep(for: .milliseconds(200))
        }
    }
}

/// Another dialer has the name: exit code 69, since it may end.
struct NameTaken: Error, CustomStringConvertible {
    let id: String
    let queue: String

    var description: String {
        "DIALER_ID: another dialer with the id '\(self.id)' is connected and has the queue \(self.queue); give each an id of "
            + "its own, or end the other"
    }
}
