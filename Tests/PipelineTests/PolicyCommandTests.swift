// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import TestSupport
import Testing

/// Policies as operators use them.
@Suite(.timeLimit(.minutes(20)))
struct PolicyCommandTests {
    @Test("create says what the policy tightens, show what is in force, and a window outside the policy is refused")
    func create() async throws {
        try await Scratch.run { scratch in
            let environment = ["DATABASE_URL": scratch.databaseURL]
            let created = try await Product.run(
                ["campaign", "create", "c", "--time-zone", "Europe/Paris", "--max-attempts", "10", "--policy", "fr"],
                environment
            )
            #expect(created.exitCode == 0, "\(created.errors)")
            for text in [
                "Mon-Sun 09:00-20:00 becomes Mon-Fri 10:00-13:00, 14:00-20:00", "10 becomes 8", "no legal advice",
                "prior consent",
            ] {
                #expect(created.output.contains(text), "\(text) in: \(created.output)")
            }
            let shown = try await Product.run(["campaign", "show", "c"], environment)
            for text in ["fr@", "Mon-Fri 10:00-13:00, 14:00-20:00", "4 per 31 d", "2026-12-25", "required"] {
                #expect(shown.output.contains(text), "\(text) in: \(shown.output)")
            }
            let outside = try await Product.run(
                [
                    "campaign", "create", "d", "--time-zone", "Europe/Paris", "--window", "21:00-23:00", "--policy",
                    "fr",
                ],
                environment
            )
            #expect(outside.exitCode == 64)
            #expect(outside.errors.contains("window: Mon-Sun 21:00-23:00 lies wholly outside"))
            let changed = try await Product.run(["campaign", "policy", "c", "--policy", "cautious"], environment)
            #expect(changed.exitCode == 0, "\(changed.errors)")
            let list = try await Product.run(["policy", "list", "--json"], environment)
            #expect(list.output.contains("\"name\" : \"cautious\""))
        }
    }

    @Test("a document with a misspelt field is refused with the place of it")
    func check() async throws {
        let document = try #require(try CallStore.shippedPolicies().first { $0.name == "us" }).document
        let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString + ".json")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data(document.utf8).write(to: file)
        let good = try await Product.run(["policy", "check", file.path])
        #expect(good.exitCode == 0, "\(good.errors)")
        #expect(good.output.contains("47 CFR 64.1200(c)(1)"))
        try Data(document.replacing("\"limits\"", with: "\"limit\"").utf8).write(to: file)
        let bad = try await Product.run(["policy", "check", file.path])
        #expect(bad.exitCode == 64)
        #expect(bad.errors.contains("$.limit: is not a field here"), "\(bad.errors)")
    }
}
