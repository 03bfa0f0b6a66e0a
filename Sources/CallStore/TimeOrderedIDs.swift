// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Time-ordered ids (RFC 9562, UUID version 7) for many rows at once: each is greater than the one before, as index
/// inserts like it. The database's function `uuid_v7()` takes about a seventh of the time of inserting a contact.
struct TimeOrderedIDs {
    private static let digits = Array("0123456789abcdef".utf8)

    private let milliseconds = UInt64(Date().timeIntervalSince1970 * 1000)
    private var count: UInt64 = 0
    private var random = SystemRandomNumberGenerator()

    /// The next id, as text.
    mutating func next() -> String {
        // 48 bits of time, the version, and 26 bits of a counter around the variant; the rest is random.
        let high = self.milliseconds << 16 | 0x7000 | (self.count >> 14 & 0xFFF)
        let low = 0x8000_0000_0000_0000 | (self.count & 0x3FFF) << 48 | (self.random.next() & 0xFFFF_FFFF_FFFF)
        self.count += 1
        return String(unsafeUninitializedCapacity: 32) { bytes in
            for index in 0..<16 {
                bytes[index] = Self.digits[Int(high >> UInt64(60 - 4 * index) & 0xF)]
                bytes[16 + index] = Self.digits[Int(low >> UInt64(60 - 4 * index) & 0xF)]
            }
            return 32
        }
    }
}
