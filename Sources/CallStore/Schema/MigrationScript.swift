// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Schemas

/// A migration's script, taken apart at the lines that mark its steps; without such lines it is one transaction.
///
///     -- @transaction add the column
///     -- @batches contacts id: fill the column
///     -- @alone index it
struct MigrationScript: Sendable {
    enum Kind: Sendable, Equatable {
        /// A script that runs in a transaction.
        case transaction
        /// One statement that is run for range after range of a table's key: `$1` is the first key, `$2` the last, as text.
        case batches(table: String, key: String)
        /// One statement that must not run in a transaction, and that can be repeated.
        case alone
    }

    struct Step: Sendable {
        let kind: Kind
        /// What it does, for people; empty for a script of one step.
        let label: String
        let sql: String
    }

    let steps: [Step]

    /// - Throws: ``StoreError`` with code `notAllowed` when a mark cannot be read.
    init(_ migration: Schemas.Migration) throws {
        var steps: [Step] = []
        var mark: (kind: Kind, label: String)?
        var lines: [Substring] = []
        func finish() {
            let hasSQL = lines.contains { line in
                let text = line.drop { $0 == " " }
                return !text.isEmpty && !text.hasPrefix("--")
            }
            if hasSQL {
                let sql = lines.joined(separator: "\n")
                steps.append(Step(kind: mark?.kind ?? .transaction, label: mark?.label ?? "", sql: sql))
            }
            lines = []
        }
        for line in migration.sql.split(separator: "\n", omittingEmptySubsequences: false) {
            guard line.hasPrefix("-- @") else {
                lines.append(line)
                continue
            }
            finish()
            guard let next = Self.mark(line.dropFirst(4)) else {
                throw StoreError(
                    code: .notAllowed,
                    message: "migration \(migration.number) \(migration.name): '\(line)' is no mark of a step"
                )
            }
            mark = next
        }
        finish()
        self.steps = steps
    }

    /// Where to begin again before this step: statements that run alone and follow each other are repeated together, so that
    /// the first can clear up what is left of the second.
    func startOfRepetition(_ index: Int) -> Int {
        guard index < self.steps.count, self.steps[index].kind == .alone else { return index }
        var start = index
        while start > 0, self.steps[start - 1].kind == .alone { start -= 1 }
        return start
    }

    private static func mark(_ text: Substring) -> (kind: Kind, label: String)? {
        let words = text.split(separator: " ", maxSplits: 1)
        let rest = words.count > 1 ? String(words[1]) : ""
        switch words.first {
        case "transaction": return (.transaction, rest)
        case "alone": return (.alone, rest)
        case "batches":
            let parts = rest.split(separator: ":", maxSplits: 1)
            let names = (parts.first ?? "").split(separator: " ").map(String.init)
            // They go into statements as they are.
            let areNames = names.allSatisfy {
                $0.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
            }
            guard names.count == 2, areNames else { return nil }
            let label = parts.count > 1 ? parts[1].drop { $0 == " " } : ""
            return (.batches(table: names[0], key: names[1]), String(label))
        default: return nil
        }
    }
}
