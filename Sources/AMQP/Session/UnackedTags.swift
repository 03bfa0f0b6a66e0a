// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Which deliveries of one channel are unacked, so that a batch of acks can be told from a whole prefix of them, and so that
/// none is settled twice: the broker would close the channel over it, under all the others.
struct UnackedTags {
    /// Everything up to here is settled.
    private var base: UInt64 = 0
    private var settledAbove: Set<UInt64> = []
    private var highest: UInt64 = 0

    /// How many are handed out and not settled.
    var count: Int { Int(max(self.highest, self.base) - self.base) - self.settledAbove.count }

    /// A delivery has come.
    mutating func handedOut(_ tag: UInt64) {
        self.highest = max(self.highest, tag)
    }

    /// Settles one tag.
    /// - Returns: False when it was settled before.
    @discardableResult
    mutating func settle(_ tag: UInt64) -> Bool {
        guard tag > self.base, self.settledAbove.insert(tag).inserted else { return false }
        self.highest = max(self.highest, tag)
        while self.settledAbove.remove(self.base + 1) != nil { self.base += 1 }
        return true
    }

    /// Settles tags; those that were settled before are left out.
    /// - Returns: The tag up to which one `multiple` ack says it all, if any, and the tags that need one each.
    mutating func settle(_ tags: [UInt64]) -> (multipleUpTo: UInt64?, single: [UInt64]) {
        let wanted = Set(tags).filter { $0 > self.base && !self.settledAbove.contains($0) }
        var top = self.base
        while wanted.contains(top + 1) || self.settledAbove.contains(top + 1) { top += 1 }
        let multiple = wanted.filter { $0 <= top }.max()
        let single = wanted.filter { tag in multiple.map { tag > $0 } ?? true }.sorted()
        for tag in wanted { self.settle(tag) }
        return (multiple, single)
    }
}
