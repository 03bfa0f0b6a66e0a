// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestBasics
import TestSupport
import Testing

/// What the documents say of the program and of its tests is so.
struct DocumentTests {
    /// All test modules and types of the tests, each with the functions of its files.
    private static func suites() throws -> [String: Set<String>] {
        let tests = Shell.root.appendingPathComponent("Tests")
        var names: [String: Set<String>] = [:]
        for module in try FileManager.default.contentsOfDirectory(atPath: tests.path) {
            names[module] = []
            let files = (try? FileManager.default.contentsOfDirectory(atPath: tests.path + "/" + module)) ?? []
            for file in files where file.hasSuffix(".swift") {
                let source = try Documents.text("Tests/\(module)/\(file)")
                let functions = Set(source.matches(of: #/func ([A-Za-z0-9]+)/#).map { String($0.1) })
                let types = source.matches(of: #/(?:struct|class|enum|actor|extension) ([A-Za-z0-9]+)/#)
                for name in types.map({ String($0.1) }) + [module] { names[name, default: []].formUnion(functions) }
            }
        }
        return names
    }

    @Test("every test that a document names exists", arguments: Documents.all)
    func named(document: String) throws {
        let suites = try Self.suites()
        #expect(suites.count > 60 && suites["DocumentTests"]?.contains("named") == true)
        for match in try Documents.text(document).matches(of: #/`([A-Z][A-Za-z]*Tests)(?:[./]([a-z][A-Za-z]*))?`/#) {
            let functions = suites[String(match.1)]
            #expect(functions != nil, "\(document) names \(match.0)")
            guard let function = match.2 else { continue }
            #expect(functions?.contains(String(function)) == true, "\(document) names \(match.0)")
        }
    }

    @Test("the documents name the tests that they rest on at all")
    func anyNamed() throws {
        for document in [
            "ops/THREATS.md", "ops/RUNBOOK.md", "README.md", "CONTRIBUTING.md", "Tests/FaultTests/README.md",
        ] + Documents.articles where !document.hasSuffix("/CallScheduler.md") && !document.hasSuffix("/HowFast.md") {
            #expect(try Documents.text(document).contains(#/`[A-Za-z]+Tests`/#), "\(document)")
        }
    }

    @Test("every row of the boundaries names a test, a document or what else shows it")
    func boundaries() throws {
        let rows = try Documents.text("ops/THREATS.md").split(separator: "\n").filter { $0.hasPrefix("| ") }.dropFirst()
        #expect(rows.count > 12)
        let suites = try Self.suites()
        for row in rows where !row.hasPrefix("|---") {
            let cells = row.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            let proofs = (cells.last ?? "").matches(of: #/`([A-Za-z\/.-]+)`/#).map { String($0.1) }
            let files = proofs.filter { FileManager.default.fileExists(atPath: Shell.root.path + "/" + $0) }
            #expect(cells.count >= 3 && proofs.contains { suites[$0] != nil } || !files.isEmpty, "\(row)")
        }
    }

    @Test("the table of settings is that of the program: names, defaults and meanings")
    func settings() async throws {
        // Wide, so that nothing is wrapped.
        let help = try await Product.run(["--help"], ["COLUMNS": "2000"])
        let lines = help.output.components(separatedBy: "\n")
        var known: [String: String] = [:]
        for (line, next) in zip(lines, lines.dropFirst()) {
            guard let match = line.wholeMatch(of: #/  ([A-Z][A-Z0-9_]+)(?: \[(.*)\])?/#) else { continue }
            let name = String(match.1)
            let meaning = next.trimmingCharacters(in: .whitespaces)
                .replacing(" (or the file named by \(name)_FILE)", with: "")
            known[name] = "`\(name)` | \(match.2.map { "`\($0)`" } ?? "–") | \(meaning)"
        }
        #expect(known.count > 30, "\(help.output)")
        var told: [String: String] = [:]
        for line in try Documents.article("Settings").components(separatedBy: "\n") {
            guard let match = line.wholeMatch(of: #/\| (`([A-Z][A-Z0-9_]+)` \| .* \| .*) \|/#) else { continue }
            told[String(match.2)] = String(match.1)
        }
        for name in Set(known.keys).union(told.keys).sorted() { #expect(told[name] == known[name], "\(name)") }
    }
}
