// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Which channel numbers of a connection are taken. A number is given back only once both sides have closed the channel,
/// so that a late frame is never mistaken for one of the channel's next life. The lowest free one is taken: the library
/// keeps memory for each number that was ever used.
struct ChannelNumbers {
    private let limit: UInt16
    private var taken: Set<UInt16> = []
    /// None below is free.
    private var hint: UInt16 = 1

    /// - Parameter limit: The highest number; 0 for no other limit than the protocol's.
    init(limit: Int) {
        self.limit = limit > 0 ? UInt16(clamping: limit) : .max
    }

    /// - Returns: Nil when all are taken.
    mutating func take() -> UInt16? {
        while self.taken.contains(self.hint) {
            guard self.hint < self.limit else { return nil }
            self.hint += 1
        }
        self.taken.insert(self.hint)
        return self.hint
    }

    mutating func giveBack(_ number: UInt16) {
        guard self.taken.remove(number) != nil else { return }
        self.hint = min(self.hint, number)
    }
}
