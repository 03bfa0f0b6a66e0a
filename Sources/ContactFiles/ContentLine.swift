// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// One content line of iCalendar: RFC 5545, section 3.1.
struct ContentLine {
    /// The file's line on which it begins, from 1.
    let number: Int
    /// As written, unfolded.
    let text: String
    /// The property's name, in capitals.
    let name: String
    /// Its parameters, names in capitals, values without quotes.
    let parameters: [String: String]
    /// Its value as written.
    let value: String

    /// Unfolds a file's lines: one that begins with white space continues the line before.
    static func read(_ lines: [String]) throws(DateFile.Fault) -> [ContentLine] {
        var unfolded: [(number: Int, text: String)] = []
        for (index, line) in lines.enumerated() {
            if let first = line.first, first == " " || first == "\t", !unfolded.isEmpty {
                unfolded[unfolded.count - 1].text += line.dropFirst()
            } else if !line.isEmpty {
                unfolded.append((index + 1, line))
            }
        }
        var result: [ContentLine] = []
        for line in unfolded { result.append(try ContentLine(line.text, number: line.number)) }
        return result
    }

    private init(_ text: String, number: Int) throws(DateFile.Fault) {
        var isQuoted = false
        var pieces: [Substring] = []
        var start = text.startIndex
        var valueStart: String.Index?
        for index in text.indices {
            switch text[index] {
            case "\"": isQuoted.toggle()
            case ";" where !isQuoted:
                pieces.append(text[start..<index])
                start = text.index(after: index)
            case ":" where !isQuoted:
                pieces.append(text[start..<index])
                valueStart = text.index(after: index)
            default: break
            }
            if valueStart != nil { break }
        }
        guard var valueStart, let name = pieces.first, !name.isEmpty else {
            throw DateFile.Fault(line: number, reason: "is no line of a calendar: NAME:value")
        }
        let upper = name.uppercased()
        // Some programs write a zone such as GMT+05:30 without quotes; no date holds a colon.
        if Self.datesAndTimes.contains(upper), let last = text[valueStart...].lastIndex(of: ":") {
            pieces[pieces.count - 1] = text[pieces[pieces.count - 1].startIndex..<last]
            valueStart = text.index(after: last)
        }
        var parameters: [String: String] = [:]
        for piece in pieces.dropFirst() {
            let parts = piece.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            parameters[parts[0].uppercased()] = parts.count > 1 ? parts[1].filter { $0 != "\"" } : ""
        }
        self.number = number
        self.text = text
        self.name = upper
        self.parameters = parameters
        self.value = text[valueStart...].trimmingWhiteSpace
    }

    private static let datesAndTimes: Set<String> = ["DTSTART", "DTEND", "RDATE", "EXDATE", "RECURRENCE-ID"]
}

extension Substring {
    fileprivate var trimmingWhiteSpace: String {
        var text = self
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
