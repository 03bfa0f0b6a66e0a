// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// Makes the ids of calls and events: UUID version 7, time-ordered, so that index inserts stay at the right edge.
///
/// Source: RFC 9562, section 5.7; the 12 bits after the milliseconds are random.
public enum CallID {
    /// A fresh id.
    /// - Parameter date: The instant that the id carries; now unless told.
    /// - Returns: The id.
    public static func make(at date: Date = Date()) -> UUID {
        let milliseconds = UInt64(max(0, date.timeIntervalSince1970 * 1000))
        var random = SystemRandomNumberGenerator()
        let a = UInt16.random(in: 0...0x0FFF, using: &random)
        let b = UInt64.random(in: 0...UInt64.max, using: &random)
        return UUID(
            uuid: (
                UInt8(truncatingIfNeeded: milliseconds >> 40), UInt8(truncatingIfNeeded: milliseconds >> 32),
                UInt8(truncatingIfNeeded: milliseconds >> 24), UInt8(truncatingIfNeeded: milliseconds >> 16),
                UInt8(truncatingIfNeeded: milliseconds >> 8), UInt8(truncatingIfNeeded: milliseconds),
                0x70 | UInt8(truncatingIfNeeded: a >> 8), UInt8(truncatingIfNeeded: a),
                0x80 | (UInt8(truncatingIfNeeded: b >> 56) & 0x3F), UInt8(truncatingIfNeeded: b >> 48),
                UInt8(truncatingIfNeeded: b >> 40), UInt8(truncatingIfNeeded: b >> 32),
                UInt8(truncatingIfNeeded: b >> 24), UInt8(truncatingIfNeeded: b >> 16),
                UInt8(truncatingIfNeeded: b >> 8), UInt8(truncatingIfNeeded: b)
            )
        )
    }
}
