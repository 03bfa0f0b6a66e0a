// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// The pauses between attempts to connect. A connection that breaks again at once counts like one that was never made: what
/// breaks it would otherwise be repeated ten times a second.
struct Backoff {
    /// A connection that lived as long was healthy.
    private static let health = Duration.seconds(5)
    private let nodes: Int
    private var failures = 0

    init(nodes: Int) {
        self.nodes = max(1, nodes)
    }

    /// Whether the last attempt was the first to fail.
    var isFirstFailure: Bool { self.failures == 1 }

    /// No connection could be made.
    mutating func failed() {
        self.failures += 1
    }

    /// A connection broke.
    mutating func lost(after life: Duration) {
        if life >= Self.health { self.failures = 0 }
        self.failures += 1
    }

    /// The longest pause before the next attempt. The other nodes of a cluster are tried quickly; only when all have
    /// failed does it grow.
    var limit: Duration {
        let exponent = min(max(0, self.failures - 1) / self.nodes, 7)
        return .milliseconds(min(10_000, 100 << exponent))
    }
}
