// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestBasics
import TestSupport

/// The documents of the repository, and the commands in them.
enum Documents {
    static let articleFolder = "Sources/CallScheduler/Documentation.docc"

    static let articles: [String] = {
        let folder = Shell.root.appendingPathComponent(Self.articleFolder).path
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { $0.hasSuffix(".md") }.sorted().map { "\(Self.articleFolder)/\($0)" }
    }()

    static let all =
        [
            "README.md", "CONTRIBUTING.md", "ops/THREATS.md", "ops/RUNBOOK.md", "ops/prometheus/METRICS.md",
            "ops/kubernetes/README.md", "Tests/FaultTests/README.md", "Tests/Mutations/README.md",
            "ops/two-countries.md",
        ] + Self.articles

    static func text(_ path: String) throws -> String {
        try String(contentsOf: Shell.root.appendingPathComponent(path), encoding: .utf8)
    }

    static func article(_ name: String) throws -> String { try Self.text("\(Self.articleFolder)/\(name).md") }

    /// Code of a document, in its order.
    struct Code {
        let text: String
        /// A shell block; else words in a line.
        let isBlock: Bool
        /// The text between two headings in which it is.
        let section: String
    }

    static func code(in document: String) throws -> [Code] {
        // What looks like a heading within a block is a remark of the shell.
        var sections: [String] = [""]
        var isInBlock = false
        for line in try Self.text(document).components(separatedBy: "\n") {
            if line.contains(/^ *```/) { isInBlock.toggle() }
            if !isInBlock, line.hasPrefix("## ") { sections.append("") }
            sections[sections.count - 1] += line + "\n"
        }
        return sections.flatMap { section in
            section.matches(of: #/(?m:^ *```(?<kind>[a-z]*)\n(?<block>(?s:.*?))^ *```$)|`(?<words>[^`]+)`/#).compactMap
            { (match) -> Code? in
                if let block = match.output.block {
                    guard match.output.kind == "sh" else { return nil }
                    return Code(text: String(block).replacing(#/\\\n */#, with: ""), isBlock: true, section: section)
                }
                let words = (match.output.words ?? "").split(whereSeparator: \.isWhitespace).joined(separator: " ")
                return Code(text: words, isBlock: false, section: section)
            }
        }
    }

    /// A command of the program as a document writes it.
    struct Command {
        let words: [String]
        let section: String
        /// As it is written, but for the program's name.
        var text: String { self.words.joined(separator: " ") }
    }

    /// The commands that a document shows. `names` are the program's own: `campaign why` is one without the program's name, too.
    static func commands(in document: String, names: Set<String>) throws -> [Command] {
        try Self.code(in: document).flatMap { code in
            let texts: [Substring]
            if code.isBlock {
                texts = code.text.matches(of: #/(?m:(?:^|[ (])call-scheduler +([^\n|;&)>]+))/#).map(\.1)
            } else if let match = code.text.wholeMatch(of: #/call-scheduler (.+)/#) {
                texts = [match.1]
            } else {
                let words = code.text.split(separator: " ")
                texts = words.count > 1 && names.contains(String(words[0])) ? [Substring(code.text)] : []
            }
            return texts.map { text in
                let words = text.matches(of: #/(?:'[^']*'|"[^"]*"|[^\s'"])+/#).map {
                    $0.output.trimmingCharacters(in: ["[", "]"])
                }
                return Command(words: words, section: code.section)
            }
        }
    }
}

/// A command as the program's parser knows it.
struct ParsedCommand: Decodable {
    private struct Argument: Decodable {
        struct Name: Decodable { let name: String }
        let names: [Name]?
    }

    let commandName: String
    private let subcommands: [ParsedCommand]?
    private let arguments: [Argument]?

    static func program() async throws -> ParsedCommand {
        struct Tool: Decodable { let command: ParsedCommand }
        let ended = try await Product.run(["--experimental-dump-help"])
        return try JSONDecoder().decode(Tool.self, from: Data(ended.output.utf8)).command
    }

    var names: Set<String> { Set((self.subcommands ?? []).map(\.commandName)) }

    /// The names of its options, without those that every command has.
    var options: Set<String> { Set((self.arguments ?? []).flatMap { $0.names ?? [] }.map(\.name)) }

    /// All options of it and of the commands in it.
    var allOptions: Set<String> { (self.subcommands ?? []).reduce(self.options) { $0.union($1.allOptions) } }

    /// The names that lead to the command that these words are for, and what is wrong with them.
    func understood(_ words: [String]) -> (path: [String], options: [String], faults: [String]) {
        var command = self
        var path: [String] = []
        for word in words {
            guard let next = command.subcommands?.first(where: { $0.commandName == word }) else { break }
            command = next
            path.append(word)
        }
        let rest = words.dropFirst(path.count)
        var faults: [String] = []
        if let subcommands = command.subcommands, !subcommands.isEmpty, let word = rest.first, !word.hasPrefix("-") {
            faults.append("'\(word)' is no command")
        }
        let options = rest.compactMap { word in
            word.wholeMatch(of: #/--([a-z][a-z-]*)(?:=.*)?/#).map { String($0.1) }
        }
        let known = command.options.union(["help", "version"])
        faults += options.filter { !known.contains($0) }.map { "--\($0) is no option" }
        return (path, options, faults)
    }
}
