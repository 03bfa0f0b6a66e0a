// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

extension CSVReader {
    /// What may stand between the fields when nobody says so, the likeliest first.
    public static let usualDelimiters = [",", ";", "\t", "|"].flatMap { $0.utf8 }

    /// Finds the delimiter of a file by its first line that is not empty: the one of ``usualDelimiters`` that occurs
    /// there most often outside of quotes.
    /// - Parameter beginning: The beginning of the file, UTF-8.
    /// - Returns: The delimiter, a comma if there is none; nil when the line goes on beyond the beginning.
    public static func delimiter(in beginning: some Sequence<UInt8>) -> UInt8? {
        var counts = [Int](repeating: 0, count: Self.usualDelimiters.count)
        var isQuoted = false
        var isEmpty = true
        for byte in beginning {
            if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
            let isBreak = byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r")
            if isBreak, !isQuoted, !isEmpty { return Self.most(counts) }
            if !isBreak { isEmpty = false }
            if !isQuoted, let index = Self.usualDelimiters.firstIndex(of: byte) { counts[index] += 1 }
        }
        return nil
    }

    /// The same for a file that has ended, or a line that is too long to be a header.
    /// - Parameter beginning: The beginning of the file, UTF-8.
    /// - Returns: The delimiter.
    public static func delimiter(inWhole beginning: [UInt8]) -> UInt8 {
        Self.delimiter(in: beginning + [UInt8(ascii: "\n")]) ?? UInt8(ascii: ",")
    }

    /// The delimiter that a file names in a line of its own at its beginning, `sep=;`, as Excel writes and reads it.
    /// - Parameter beginning: The beginning of the file, UTF-8.
    /// - Returns: The delimiter; nil when there is no such line.
    public static func namedDelimiter(in beginning: [UInt8]) -> UInt8? {
        var line = beginning.prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
        if line.starts(with: [0xEF, 0xBB, 0xBF]) { line = line.dropFirst(3) }
        if line.first == UInt8(ascii: "\"") { line = line.dropFirst() }
        let word = String(decoding: line.prefix(4), as: UTF8.self).lowercased()
        guard word == "sep=", let delimiter = line.dropFirst(4).first, delimiter < 0x80 else { return nil }
        let rest = line.dropFirst(5)
        return rest.isEmpty || rest.elementsEqual([UInt8(ascii: "\"")]) ? delimiter : nil
    }

    private static func most(_ counts: [Int]) -> UInt8 {
        let highest = counts.max() ?? 0
        return Self.usualDelimiters[counts.firstIndex(of: highest) ?? 0]
    }
}
