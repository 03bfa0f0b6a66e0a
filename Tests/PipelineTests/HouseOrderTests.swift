// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestBasics
import Testing

/// `ops/check-house`, which lets no file and no folder grow until nobody finds the way.
@Suite(.timeLimit(.minutes(20)))
struct HouseOrderTests {
    /// A house of two modules, one of which uses the other.
    private static func check(_ files: [String: String]) async throws -> (exitCode: String, words: String) {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: root) }
        let house = [
            "Sources/Model/Call.swift": "public struct Call {\n    public let steps: Int\n}\n",
            "Sources/Role/Role.swift": "import Model\n\nfunc tell(_ call: Call) {}\n",
        ]
        for (path, text) in house.merging(files, uniquingKeysWith: { $1 }) {
            let file = root.appendingPathComponent(path)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(),
                withIntermediateDirectories: true
            )
            try text.write(to: file, atomically: true, encoding: .utf8)
        }
        let script = Shell.root.appendingPathComponent("ops/check-house").path
        let output = try await Shell.output("status=0; '\(script)' '\(root.path)' 2>&1 || status=$?; echo \"=$status\"")
        let parts = output.trimmingCharacters(in: .whitespacesAndNewlines).components(separatedBy: "=")
        return (parts.last ?? "", parts.dropLast().joined(separator: "="))
    }

    @Test("what is in order passes: a name of the module, or a member of what it declares, is use enough")
    func inOrder() async throws {
        let full = Dictionary(
            uniqueKeysWithValues: (1...19).map { ("Sources/Role/File\($0).swift", "let a\($0) = 1\n") }
        )
        let ended = try await Self.check(
            full.merging(
                [
                    "Sources/Role/Member.swift": "import Foundation\nimport Model\n\nlet f = { $0.steps }\n",
                    "Sources/Model/Long.swift": String(repeating: "let x = 1\n", count: 300),
                ],
                uniquingKeysWith: { $1 }
            )
            .filter { $0.key != "Sources/Role/File19.swift" }
        )
        #expect(ended.exitCode == "0", "\(ended.words)")
    }

    @Test("a long file, a full folder and an import without need fail, and are named")
    func faults() async throws {
        let long = try await Self.check(["Sources/Model/Long.swift": String(repeating: "let x = 1\n", count: 301)])
        #expect(long.exitCode == "1" && long.words.contains("Sources/Model/Long.swift: 301 lines"), "\(long.words)")
        let many = Dictionary(uniqueKeysWithValues: (1...20).map { ("Sources/Role/File\($0).swift", "let a = 1\n") })
        let full = try await Self.check(many)
        #expect(full.exitCode == "1" && full.words.contains("Sources/Role: 21 files"), "\(full.words)")
        for line in ["import Model", "public import Model", "import struct Model.Call"] {
            let idle = try await Self.check(["Sources/Role/Idle.swift": line + "\n\n/// Of a Call.\nlet a = 1\n"])
            #expect(idle.exitCode == "1", "\(line)")
            #expect(
                idle.words.contains("Sources/Role/Idle.swift: imports Model and uses nothing of it"),
                "\(idle.words)"
            )
        }
        let logging = try await Self.check(["Sources/Role/Idle.swift": "import Logging\n\nlet a = 1\n"])
        #expect(logging.exitCode == "1", "\(logging.words)")
        let empty = try await Self.check(["Sources/Model/Call.swift": "", "Sources/Role/Role.swift": "import Model\n"])
        #expect(empty.exitCode == "1")
    }
}
