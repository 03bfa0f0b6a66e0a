// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Random numbers that a seed repeats, for tests that try many cases: a linear congruential generator (Knuth, MMIX) with
/// its low bits stirred.
public struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    /// - Parameter seed: The seed; put it into the message of a failure.
    public init(seed: UInt64) {
        self.state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
    }

    /// The next 64 bits.
    public mutating func next() -> UInt64 {
        self.state = self.state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return self.state ^ (self.state >> 29)
    }
}
