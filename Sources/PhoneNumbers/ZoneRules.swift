// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// How a time zone's clocks behave during a period: two zones with equal rules show the same time throughout.
///
/// Read from the system's TZif files (RFC 8536), which PostgreSQL uses as well; the tables that Foundation brings along
/// are as old as the compiler.
struct ZoneRules: Hashable {
    private struct Change: Hashable {
        let at: Int
        let offset: Int
    }

    private let offset: Int
    private let changes: [Change]
    /// What the file says about the time after its last transition, if that matters.
    private let rule: String

    /// Nil when the file is not one that can be read.
    /// - Parameters:
    ///   - file: The contents of a TZif file.
    ///   - period: Seconds since 1970.
    init?(file: [UInt8], period: Range<Int>) {
        let first = TZifBlock(file[...], timeSize: 4)
        guard let first, first.version >= UInt8(ascii: "2"),
            let block = TZifBlock(file[first.end...], timeSize: 8), let initial = block.initialOffset
        else { return nil }
        var offset = initial
        var changes: [Change] = []
        for (at, next) in block.transitions {
            if at <= period.lowerBound {
                offset = next
            } else if at < period.upperBound, next != (changes.last?.offset ?? offset) {
                changes.append(Change(at: at, offset: next))
            }
        }
        self.offset = offset
        self.changes = changes
        let isCovered = (block.transitions.last?.at ?? Int.min) >= period.upperBound
        let rule = String(decoding: file[block.end...], as: UTF8.self)
        // Without a comma there is no daylight saving, and the offset stays that of the last transition.
        self.rule = !isCovered && rule.contains(",") ? rule : ""
    }
}

/// One of the two data blocks of a TZif file.
private struct TZifBlock {
    let version: UInt8
    let transitions: [(at: Int, offset: Int)]
    /// The offset before the first transition.
    let initialOffset: Int?
    /// Where the block ends in the file.
    let end: Int

    init?(_ bytes: ArraySlice<UInt8>, timeSize: Int) {
        let start = bytes.startIndex
        guard bytes.count >= 44, bytes.prefix(4).elementsEqual("TZif".utf8) else { return nil }
        func integer(_ at: Int, _ size: Int) -> Int {
            let value = bytes[at..<at + size].reduce(into: UInt64(0)) { $0 = $0 << 8 | UInt64($1) }
            return size == 4 ? Int(Int32(truncatingIfNeeded: value)) : Int(Int64(bitPattern: value))
        }
        let counts = (0..<6).map { integer(start + 20 + 4 * $0, 4) }
        guard counts.allSatisfy({ (0...100_000).contains($0) }) else { return nil }
        let (times, types) = (counts[3], counts[4])
        let indices = start + 44 + times * timeSize
        let records = indices + times
        self.end = records + types * 6 + counts[5] + counts[2] * (timeSize + 4) + counts[1] + counts[0]
        guard self.end <= bytes.endIndex else { return nil }
        let offsets = (0..<types).map { integer(records + 6 * $0, 4) }
        var transitions: [(at: Int, offset: Int)] = []
        for index in 0..<times {
            let type = Int(bytes[indices + index])
            guard type < types else { return nil }
            transitions.append((integer(start + 44 + index * timeSize, timeSize), offsets[type]))
        }
        self.version = bytes[start + 4]
        self.transitions = transitions
        self.initialOffset = offsets.first
    }
}
