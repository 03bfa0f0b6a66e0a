// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// The settings of a Selector.
public struct SelectorConfiguration: Sendable {
    /// Time between passes.
    public var interval: Duration = .seconds(60)
    /// Contacts claimed per campaign in one round of a pass, 1 to 5,000.
    public var batchSize: Int = 50
    /// Requests kept waiting per trunk, 1 to 100,000.
    public var queueDepth: Int = 100
    /// How long a claim may wait in the queue before its lease ends.
    public var claimLease: Duration = .seconds(300)
    /// The next pass comes after this time when the queue's depth was the limit, so that trunks do not idle.
    public var intervalWhenLimited: Duration = .seconds(1)
    /// How often a full queue is looked at before then: once half of it is gone, the next pass comes at once.
    public var fullQueueInterval: Duration = .milliseconds(100)
    /// A pass claims no longer than this, whatever is due: leases are swept and calls that nobody watches are found between
    /// passes. The next one comes at once.
    public var passLimit: Duration = .seconds(5)

    /// Half of the requests that are kept waiting: with that much room a full queue is worth filling again.
    var halfDepth: Int { (self.queueDepth + 1) / 2 }

    /// Creates settings with the defaults.
    public init() {}
}
