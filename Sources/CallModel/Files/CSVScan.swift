// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// One look at the bytes from the beginning of a record on: a record is taken whole or not yet.
struct CSVScan {
    /// What the look has found.
    struct Found {
        /// The fields; none for an empty line.
        var fields: [String] = []
        /// What makes the record unreadable, if anything.
        var fault: String?
        /// Where the next record begins.
        var next = 0
        /// How many lines the record has taken; 0 when the rest of its line is to be skipped.
        var lines = 0
    }

    private static let quote = UInt8(ascii: "\"")
    private static let lineFeed = UInt8(ascii: "\n")
    private static let carriageReturn = UInt8(ascii: "\r")
    /// A row holds a number or a date, which a line of somebody's remarks rarely does in as many fields.
    private static let digitsOfARow = 7
    private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    let bytes: UnsafeBufferPointer<UInt8>
    let delimiter: UInt8
    let encoding: String
    let isEnd: Bool
    let width: Int?

    /// - Parameter start: Where the record begins; in bounds.
    /// - Returns: What is there; nil when it goes on beyond the bytes.
    func record(from start: Int) -> Found? {
        guard var index = self.behindMark(start) else { return nil }
        var found = Found()
        if let length = self.lineBreak(at: index) {
            return length == 0 ? nil : Found(next: index + length, lines: 1)
        }
        let limit = min(self.bytes.count, start + CSVReader.maximumRecordSize)
        let isFull = limit - start == CSVReader.maximumRecordSize
        found.fields.reserveCapacity(self.width ?? 8)
        while true {
            if index < limit, self.bytes[index] == Self.quote {
                guard let end = self.quotedField(from: index, limit, isFull, &found) else { return nil }
                if found.next > 0 { return found }
                index = end
            } else {
                let end = self.plainEnd(from: index, limit)
                self.take(UnsafeBufferPointer(rebasing: self.bytes[index..<end]), &found)
                index = end
            }
            guard index < limit else { break }
            if self.bytes[index] == self.delimiter {
                index += 1
                continue
            }
            guard let length = self.lineBreak(at: index), length > 0 else { return nil }
            found.next = index + length
            found.lines += 1
            return found.lines > 1 ? self.judged(found, from: start) : found
        }
        guard self.isEnd || isFull else { return nil }
        found.next = limit
        if isFull {
            found.fault = "is longer than \(CSVReader.maximumRecordSize) bytes: is a quote never closed?"
            found.lines = 0
            return found
        }
        found.lines += 1
        return found.lines > 1 ? self.judged(found, from: start) : found
    }

    /// Where a line ends.
    /// - Returns: The index behind its line break; nil when there is none.
    func lineEnd(from start: Int) -> Int? {
        var index = start
        while index < self.bytes.count {
            if let length = self.lineBreak(at: index) { return length == 0 ? nil : index + length }
            index += 1
        }
        return nil
    }

    /// - Returns: The length of the line break; 0 when it may go on beyond the bytes, nil when there is none.
    private func lineBreak(at index: Int) -> Int? {
        guard index < self.bytes.count else { return nil }
        switch self.bytes[index] {
        case Self.lineFeed: return 1
        case Self.carriageReturn:
            guard index + 1 < self.bytes.count else { return self.isEnd ? 1 : 0 }
            return self.bytes[index + 1] == Self.lineFeed ? 2 : 1
        default: return nil
        }
    }

    /// - Returns: The index behind a byte order mark; nil when that cannot be told yet.
    private func behindMark(_ start: Int) -> Int? {
        guard self.bytes[start] == 0xEF else { return start }
        let mark = Self.byteOrderMark
        let beginning = self.bytes[start..<min(start + mark.count, self.bytes.count)]
        guard mark.starts(with: beginning) else { return start }
        guard beginning.count == mark.count, start + mark.count < self.bytes.count || self.isEnd else {
            return self.isEnd ? start : nil
        }
        return start + mark.count
    }

    private func plainEnd(from start: Int, _ limit: Int) -> Int {
        var end = start
        while end < limit, self.bytes[end] != self.delimiter, self.bytes[end] != Self.lineFeed,
            self.bytes[end] != Self.carriageReturn
        {
            end += 1
        }
        return end
    }

    /// Takes a quoted field, and what stands between it and the delimiter.
    /// - Returns: The index behind it; nil when it goes on beyond the bytes. ``Found/next`` is set when the record is at fault
    ///   and ends here.
    private func quotedField(from start: Int, _ limit: Int, _ isFull: Bool, _ found: inout Found) -> Int? {
        var index = start + 1
        var lines = 0
        var hasQuotes = false
        while index < limit {
            switch self.bytes[index] {
            case Self.quote:
                guard index + 1 < self.bytes.count || self.isEnd else { return nil }
                guard index + 1 < self.bytes.count, self.bytes[index + 1] == Self.quote else {
                    found.lines += lines
                    return self.closedField(start + 1..<index, limit, hasQuotes, &found)
                }
                hasQuotes = true
                index += 1
            case Self.lineFeed: lines += 1
            case Self.carriageReturn:
                if index + 1 < self.bytes.count, self.bytes[index + 1] != Self.lineFeed { lines += 1 }
            default: break
            }
            index += 1
        }
        guard self.isEnd || isFull else { return nil }
        found.fault = isFull ? "is longer than \(CSVReader.maximumRecordSize) bytes: " : ""
        return self.unclosedField(from: start + 1, limit, lines, &found)
    }

    private func closedField(_ range: Range<Int>, _ limit: Int, _ hasQuotes: Bool, _ found: inout Found) -> Int {
        let behind = range.upperBound + 1
        let end = self.plainEnd(from: behind, max(behind, limit))
        if !hasQuotes, end == behind {
            self.take(UnsafeBufferPointer(rebasing: self.bytes[range]), &found)
            return end
        }
        var text: [UInt8] = []
        text.reserveCapacity(range.count)
        var index = range.lowerBound
        while index < range.upperBound {
            text.append(self.bytes[index])
            index += self.bytes[index] == Self.quote ? 2 : 1
        }
        if end > behind {
            found.fault = found.fault ?? "has text after a closing quote"
            text += self.bytes[behind..<end]
        }
        text.withUnsafeBufferPointer { self.take($0, &found) }
        return end
    }

    /// The lines behind the one with the quote are rows of their own.
    private func unclosedField(from start: Int, _ limit: Int, _ lines: Int, _ found: inout Found) -> Int {
        let end = (start..<limit).first { self.lineBreak(at: $0) != nil }
        self.take(UnsafeBufferPointer(rebasing: self.bytes[start..<(end ?? limit)]), &found)
        found.fault = (found.fault ?? "") + "has a quote that is never closed"
        let behind = lines > 0 && self.lineBreak(at: limit - 1) != nil ? lines - 1 : lines
        if behind > 0 {
            found.fault? += ", not in the \(behind) line(s) behind it either, which are read as rows of their own"
        }
        if let end, let length = self.lineBreak(at: end), length > 0 {
            found.next = end + length
            found.lines += 1
        } else {
            found.next = end ?? limit
            found.lines = 0
        }
        return found.next
    }

    /// A record of several lines: is each of them what it seems to be?
    private func judged(_ found: Found, from start: Int) -> Found {
        guard let first = self.lineEnd(from: start) else { return found }
        var lines: [Range<Int>] = []
        var index = first
        while index < found.next {
            let end = self.lineEnd(from: index) ?? found.next
            lines.append(index..<end)
            index = end
        }
        if found.fault != nil, lines.allSatisfy(self.looksLikeARow) {
            var line = Found(next: first, lines: 1)
            self.take(UnsafeBufferPointer(rebasing: self.bytes[start..<self.plainLineEnd(from: start)]), &line)
            line.fault =
                "has a quote that is not closed in its line; \(lines.count) line(s) behind it are read as rows of their own"
            return line
        }
        var found = found
        let inner = lines.dropLast()
        if found.fault == nil, !inner.isEmpty, inner.allSatisfy(self.looksLikeARow) {
            found.fault = "has a quoted field with lines in it that look like rows: is a quote not closed?"
        }
        return found
    }

    private func plainLineEnd(from start: Int) -> Int {
        (start..<self.bytes.count).first { self.lineBreak(at: $0) != nil } ?? self.bytes.count
    }

    private func looksLikeARow(_ line: Range<Int>) -> Bool {
        guard let width = self.width else { return false }
        var delimiters = 0
        var digits = 0
        var isQuoted = false
        for byte in self.bytes[line] {
            if byte == Self.quote { isQuoted.toggle() }
            if byte == self.delimiter, !isQuoted { delimiters += 1 }
            if (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { digits += 1 }
        }
        return delimiters == width - 1 && digits >= Self.digitsOfARow
    }

    private func take(_ bytes: UnsafeBufferPointer<UInt8>, _ found: inout Found) {
        if let text = String(validating: bytes, as: UTF8.self) {
            found.fields.append(text)
        } else {
            found.fields.append("")
            found.fault = found.fault ?? "is not \(self.encoding)"
        }
    }
}
