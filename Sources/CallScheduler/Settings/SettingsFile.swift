// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// A file of `NAME=VALUE` lines, read as systemd reads an `EnvironmentFile` (systemd.exec(5)) and docker compose an
/// `env_file`; where the two differ, what people plainly mean is taken: `export` before a name (compose), a remark after
/// white space behind a value (compose), a backslash before any character of a value without quotes (systemd).
struct SettingsFile {
    /// One setting and the line that it begins on, from 1.
    struct Entry: Equatable {
        let line: Int
        let name: String
        let value: String
    }

    private(set) var entries: [Entry] = []
    /// What cannot be read, by line; no value is in it.
    private(set) var faults: [String] = []

    private var rest: Substring.UnicodeScalarView
    private var line = 1

    /// - Parameter text: The file's content; a byte order mark and any line ends are taken.
    init(_ text: String) {
        var text = text.replacing("\r\n", with: "\n").replacing("\r", with: "\n")
        if text.unicodeScalars.first == "\u{FEFF}" { text.unicodeScalars.removeFirst() }
        self.rest = Substring(text).unicodeScalars
        while !self.rest.isEmpty { self.readLine() }
    }

    private mutating func readLine() {
        self.skipBlanks()
        let start = self.line
        guard let first = self.rest.first else { return }
        if first == "\n" || first == "#" || first == ";" { return self.skipLine() }
        var name = String(self.take { $0 != "=" && $0 != "\n" })
        guard self.rest.first == "=" else {
            self.faults.append("line \(start): is neither NAME=VALUE nor a remark that begins with #")
            return self.skipLine()
        }
        self.rest.removeFirst()
        if let exported = name.wholeMatch(of: /export[ \t]+(.*)/) { name = String(exported.1) }
        name = String(name.reversed().drop { $0 == " " || $0 == "\t" }.reversed())
        guard let value = self.value(start) else { return self.skipLine() }
        guard name.wholeMatch(of: /[A-Za-z_][A-Za-z0-9_]*/) != nil else {
            self.faults.append("line \(start): what is before the = is no name of a setting")
            return
        }
        self.entries.append(Entry(line: start, name: name, value: value))
    }

    /// - Returns: The value, and the line is used up; nil after a fault.
    private mutating func value(_ start: Int) -> String? {
        self.skipBlanks()
        var value = String.UnicodeScalarView()
        // White space within a value without quotes, which belongs to it only if more follows.
        var blanks = String.UnicodeScalarView()
        while let next = self.rest.popFirst() {
            switch next {
            case "\n":
                self.line += 1
                return String(value)
            case " ", "\t":
                blanks.append(next)
                continue
            case "#" where !blanks.isEmpty:
                self.skipLine()
                return String(value)
            default: break
            }
            value.append(contentsOf: blanks)
            blanks.removeAll()
            switch next {
            case "'", "\"":
                guard let quoted = self.quoted(by: next) else {
                    self.faults.append("line \(start): a quote is never closed")
                    return nil
                }
                value.append(contentsOf: quoted)
            case "\\":
                guard let escaped = self.rest.popFirst() else { break }
                if escaped == "\n" { self.line += 1 } else { value.append(escaped) }
            default: value.append(next)
            }
        }
        return String(value)
    }

    private mutating func quoted(by quote: Unicode.Scalar) -> String.UnicodeScalarView? {
        var value = String.UnicodeScalarView()
        while let next = self.rest.popFirst() {
            if next == quote { return value }
            if next == "\n" { self.line += 1 }
            guard next == "\\", quote == "\"", let escaped = self.rest.first,
                "\"\\`$\n".unicodeScalars.contains(escaped)
            else {
                value.append(next)
                continue
            }
            self.rest.removeFirst()
            if escaped == "\n" { self.line += 1 } else { value.append(escaped) }
        }
        return nil
    }

    private mutating func take(while condition: (Unicode.Scalar) -> Bool) -> Substring.UnicodeScalarView {
        let taken = self.rest.prefix(while: condition)
        self.rest = self.rest[taken.endIndex...]
        return taken
    }

    private mutating func skipBlanks() { _ = self.take { $0 == " " || $0 == "\t" } }

    private mutating func skipLine() {
        _ = self.take { $0 != "\n" }
        if !self.rest.isEmpty {
            self.rest.removeFirst()
            self.line += 1
        }
    }
}
