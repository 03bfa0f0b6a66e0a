// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Which deliveries of one channel are unacked, so that a batch of acks can be told from a whole prefix of them.
struct UnackedTags {
    /// Everything up to here is settled.
    private var base: UInt64 = 0
    private var settledAbove: Set<UInt64> = []

    /// Settles one tag.
    mutating func settle(_ tag: UInt64) {
        guard tag > self.base else { return }
        self.settledAbove.insert(tag)
        while self.settledAbove.remove(self.base + 1) != nil { self.base += 1 }
    }

    /// Settles tags.
    /// - Parameter tags: Unacked tags.
    /// - Returns: The tag up to which one `multiple` ack says it all, if any, and the tags that need one each.
    mutating func settle(_ tags: [UInt64]) -> (multipleUpTo: UInt64?, single: [UInt64]) {
        let wanted = Set(tags)
        var top = self.base
        while wanted.contains(top + 1) || self.settledAbove.contains(top + 1) { top += 1 }
        let multiple = wanted.filter { $0 <= top }.max()
        let single = wanted.filter { tag in multiple.map { tag > $0 } ?? true }.sorted()
        for tag in wanted { self.settle(tag) }
        return (multiple, single)
    }
}
