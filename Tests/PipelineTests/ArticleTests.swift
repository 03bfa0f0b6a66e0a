// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestBasics
import TestSupport
import Testing

/// The articles can be built, lead to what is there, and show commands that the program has and that tests run.
@Suite(.timeLimit(.minutes(20)))
struct ArticleTests {
    @Test("the articles are built without a warning, and a link that leads nowhere is one")
    func built() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: folder) }
        try await Shell.run("'\(Shell.root.path)/ops/manual' --articles '\(folder.path)'")
        let pages = try FileManager.default.contentsOfDirectory(
            atPath: folder.path + "/data/documentation/call-scheduler"
        )
        // The first page is beside the folder.
        #expect(pages.count == Documents.articles.count - 1 && pages.count > 10, "\(pages)")

        let broken = folder.appendingPathComponent("Broken.docc")
        try FileManager.default.createDirectory(at: broken, withIntermediateDirectories: true)
        try "# Broken\n\nLeads to <doc:Nowhere>.\n".write(
            to: broken.appendingPathComponent("Broken.md"),
            atomically: true,
            encoding: .utf8
        )
        await #expect(throws: (any Error).self) {
            try await Shell.run("'\(Shell.root.path)/ops/manual' --articles '\(folder.path)' '\(broken.path)'")
        }
    }

    @Test("the README can be read at one sitting, and every article is found from it")
    func short() throws {
        let readme = try Documents.text("README.md")
        #expect(readme.split(separator: "\n", omittingEmptySubsequences: false).count <= 151)
        for article in Documents.articles where !article.hasSuffix("/CallScheduler.md") {
            #expect(readme.contains(article), "\(article)")
        }
    }

    @Test("every file that a document names exists", arguments: Documents.all)
    func files(document: String) throws {
        var count = 0
        for code in try Documents.code(in: document) where !code.isBlock {
            guard code.text.contains(#/^(?:Sources|Tests|Schemas|ops)\/[A-Za-z0-9_.@+\/-]+$/#),
                !code.text.contains(/NNNN|NAME/)
            else { continue }
            count += 1
            let path = Shell.root.appendingPathComponent(code.text).path
            #expect(FileManager.default.fileExists(atPath: path), "\(document) names \(code.text)")
        }
        for match in try Documents.text(document).matches(of: #/(?m:^\[[a-z ]+\]: (\S+)$)/#) {
            let path = Shell.root.appendingPathComponent(String(match.1)).path
            #expect(FileManager.default.fileExists(atPath: path), "\(document) links \(match.1)")
        }
        if document.contains("Adding") { #expect(count > 8) }
    }

    @Test(
        "every command that a document shows is one of the program's, with options that it has",
        arguments: Documents.all
    )
    func understood(document: String) async throws {
        let program = try await ParsedCommand.program()
        for command in try Documents.commands(in: document, names: program.names) {
            let faults = program.understood(command.words).faults
            #expect(faults.isEmpty, "\(document): \(command.text): \(faults.joined(separator: ", "))")
        }
        guard document.hasSuffix("/Rules.md") || document.hasSuffix("/Files.md") else { return }
        for code in try Documents.code(in: document) where code.text.hasPrefix("--") {
            for match in code.text.matches(of: #/--([a-z-]+)/#) {
                #expect(program.allOptions.contains(String(match.1)), "\(document): \(match.0)")
            }
        }
    }

    @Test("every command of the README and the articles is run by a test, or said not to be")
    func run() async throws {
        let program = try await ParsedCommand.program()
        let tests = try Self.sources()
        var commands = 0
        for document in ["README.md"] + Documents.articles {
            for command in try Documents.commands(in: document, names: program.names)
            where !command.section.contains("not run by a test") {
                commands += 1
                let (path, options, _) = program.understood(command.words)
                let quoted = path.map { "\"\($0)\"" }.joined(separator: ", ")
                let isRun = tests.contains(quoted) || tests.contains("call-scheduler " + path.joined(separator: " "))
                #expect(isRun, "\(document): no test runs \(command.text)")
                for option in options {
                    let isUsed = tests.contains("\"--\(option)\"") || tests.contains("--\(option) ")
                    #expect(isUsed, "\(document): no test runs \(command.text) with --\(option)")
                }
            }
        }
        #expect(commands > 40)
    }

    /// The tests' sources, and the documents whose commands ``WalkThroughTests`` run one by one.
    private static func sources() throws -> String {
        let walked = try ["README.md", "ops/two-countries.md"].flatMap { try Documents.code(in: $0) }
        var text = walked.filter(\.isBlock).map(\.text).joined(separator: "\n")
        for path in try FileManager.default.subpathsOfDirectory(atPath: Shell.root.path + "/Tests")
        where path.hasSuffix(".swift") && !path.hasSuffix("/ArticleTests.swift") {
            // Words that a formatter has put one below the other.
            text += try Documents.text("Tests/" + path).replacing(#/,\s+"/#, with: ", \"")
        }
        return text
    }
}
