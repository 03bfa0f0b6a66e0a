// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Where settings come from, the strongest first: a value, or the file that holds it, from one source beats whatever a
/// weaker one says of the same setting.
struct SettingSources {
    /// One place that settings are given in.
    private struct Source {
        let name: String
        var values: [String: String] = [:]
    }

    /// A setting's value and where it came from.
    struct Found {
        let value: String
        /// Shown to people, such as `--config call-scheduler.env, line 3`.
        let source: String
        /// The file that holds the value alone.
        var path: String?
    }

    private(set) var faults: [String] = []
    private var found: [String: Found] = [:]
    private static let known = Set(Setting.all.flatMap { $0.isSecret ? [$0.name, $0.name + "_FILE"] : [$0.name] })

    /// - Parameters:
    ///   - overrides: `NAME=VALUE` from the command line.
    ///   - file: A file of `NAME=VALUE` lines.
    ///   - environment: The process's environment.
    init(overrides: [String], file: String?, environment: [String: String]) {
        var sources = [self.commandLine(overrides)]
        sources.append(Source(name: "environment", values: environment.filter { Self.known.contains($0.key) }))
        var lines: [String: Int] = [:]
        if let file { sources.append(self.file(file, &lines)) }
        self.checkSpelling(of: environment, given: Set(sources.flatMap(\.values.keys)))
        for source in sources {
            for setting in Setting.all where self.found[setting.name] == nil {
                self.look(for: setting, in: source, lines)
            }
        }
    }

    /// - Parameter name: The setting.
    /// - Returns: What was given; nil when nothing was, or it was empty.
    func find(_ name: String) -> Found? { self.found[name] }

    private mutating func look(for setting: Setting, in source: Source, _ lines: [String: Int]) {
        let fileName = setting.name + "_FILE"
        func place(_ name: String) -> String {
            guard source.name.hasPrefix("--config"), let line = lines[name] else { return source.name }
            return "\(source.name), line \(line)"
        }
        let value = source.values[setting.name].flatMap { $0.isEmpty ? nil : $0 }
        guard setting.isSecret, let path = source.values[fileName], !path.isEmpty else {
            if let value { self.found[setting.name] = Found(value: value, source: place(setting.name)) }
            return
        }
        guard value == nil else {
            self.faults.append("\(setting.name) and \(fileName) are both given (\(source.name)): leave one out")
            return
        }
        guard let content = try? String(contentsOfFile: path, encoding: .utf8) else {
            self.faults.append("\(fileName): \(path) cannot be read")
            return
        }
        self.found[setting.name] = Found(
            value: content.trimmingCharacters(in: .whitespacesAndNewlines),
            source: "\(path), named by \(fileName) (\(place(fileName)))",
            path: path
        )
    }

    private mutating func commandLine(_ overrides: [String]) -> Source {
        var source = Source(name: "--set")
        for override in overrides {
            let parts = override.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts[0])
            guard Self.known.contains(name) else {
                self.faults.append("--set \(name): there is no such setting\(Self.suggestion(for: name))")
                continue
            }
            guard parts.count == 2 else {
                self.faults.append("--set \(name): has no value; write --set \(name)=VALUE")
                continue
            }
            let value = String(parts[1])
            if Self.holdsSecret(name, value) {
                self.faults.append(
                    "--set \(name): holds a secret, and a command line can be read by everybody on this host; use the "
                        + "environment, --config, or the file that \(name)_FILE names"
                )
                continue
            }
            source.values[name] = value
        }
        return source
    }

    private mutating func file(_ path: String, _ lines: inout [String: Int]) -> Source {
        var source = Source(name: "--config \(path)")
        guard let data = FileManager.default.contents(atPath: path) else {
            self.faults.append("--config \(path): cannot be read")
            return source
        }
        guard let text = String(bytes: data, encoding: .utf8), !text.utf8.contains(0) else {
            self.faults.append("--config \(path): is no UTF-8 text")
            return source
        }
        let file = SettingsFile(text)
        self.faults += file.faults.map { "--config \(path), \($0)" }
        for entry in file.entries {
            guard Self.known.contains(entry.name) else {
                self.faults.append(
                    "--config \(path), line \(entry.line): there is no setting \(entry.name)"
                        + Self.suggestion(for: entry.name)
                )
                continue
            }
            source.values[entry.name] = entry.value
            lines[entry.name] = entry.line
        }
        return source
    }

    /// An environment holds much that is not ours; but a setting's name with a slip in it must not be passed over.
    private mutating func checkSpelling(of environment: [String: String], given: Set<String>) {
        for name in environment.keys.sorted() where !Self.known.contains(name) && name.count >= 8 {
            guard let meant = Self.closest(to: name), meant.distance <= 2, !given.contains(meant.name) else { continue }
            self.faults.append("\(name) in the environment: there is no such setting; \(meant.name) is meant?")
        }
    }

    /// Whether a value must not stand on a command line; a server's URL may, if it has no password.
    private static func holdsSecret(_ name: String, _ value: String) -> Bool {
        guard Setting.all.contains(where: { $0.name == name && $0.isSecret }) else { return false }
        guard name.hasSuffix("_URL") else { return true }
        return value.contains(/:\/\/[^\/@]*:[^@]*@|(^|[\s?&])(password|sslpassword)\s*=/)
    }

    private static func suggestion(for name: String) -> String {
        guard let meant = Self.closest(to: name), meant.distance <= 4 else { return "; --help lists them" }
        return "; \(meant.name) is meant? --help lists them"
    }

    private static func closest(to name: String) -> (name: String, distance: Int)? {
        // Of two as near, the one that begins alike for longer.
        Self.known
            .map { ($0, Self.distance(Array(name.utf8), Array($0.utf8)), -$0.commonPrefix(with: name).count) }
            .min { ($0.1, $0.2, $0.0) < ($1.1, $1.2, $1.0) }
            .map { (name: $0.0, distance: $0.1) }
    }

    /// How many bytes must be added, taken away or exchanged (Levenshtein).
    private static func distance(_ first: [UInt8], _ second: [UInt8]) -> Int {
        var row = Array(0...second.count)
        for (i, left) in first.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, right) in second.enumerated() {
                let change = diagonal + (left == right ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(change, diagonal + 1, row[j] + 1)
            }
        }
        return row[second.count]
    }
}
