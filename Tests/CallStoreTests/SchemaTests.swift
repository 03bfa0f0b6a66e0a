// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestBasics
import TestSupport
import Testing

/// `Schemas/Postgres/current.sql`, which nobody runs and many read.
@Suite(.timeLimit(.minutes(20)))
struct SchemaTests {
    private static let file = Shell.root.appendingPathComponent("Schemas/Postgres/current.sql")

    private static func written(_ scratch: Scratch) async throws -> String {
        let script = Shell.root.appendingPathComponent("ops/write-schema")
        return try await Shell.output("'\(script.path)' --print '\(scratch.databaseURL)'")
    }

    @Test("the schema that is shown is that of a migrated database: if not, run ops/write-schema")
    func current() async throws {
        let shown = try String(contentsOf: Self.file, encoding: .utf8)
        let isSame = try await Scratch.run { scratch in
            let written = try await Self.written(scratch)
            let (lines, others) = (shown.split(separator: "\n"), written.split(separator: "\n"))
            let differing = zip(lines, others).first { $0 != $1 }
            return (written == shown, differing.map { "\($0)\n\($1)" } ?? "\(lines.count) and \(others.count) lines")
        }
        #expect(isSame.0, "\(isSame.1)")
        // With words: not one table that a reader would have to guess the use of a column of.
        #expect(shown.contains("    -- The rank of the strongest report so far;"))
        #expect(shown.matches(of: #/(?m:^CREATE TABLE )/#).count > 20)
    }

    @Test("run in an empty database it makes that schema")
    func runs() async throws {
        try await Scratch.run(isMigrated: false) { scratch in
            try await Shell.run("psql -XAqt -v ON_ERROR_STOP=1 -f '\(Self.file.path)' '\(scratch.databaseURL)'")
            // PostgreSQL writes the brackets of an expression that it has read from its own text another way.
            let brackets = #/[()]/#
            let again = try await Self.written(scratch).replacing(brackets, with: "")
            let shown = try String(contentsOf: Self.file, encoding: .utf8).replacing(brackets, with: "")
            #expect(again == shown)
        }
    }
}
