// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import Postgres
import ProviderSimulator
import TestBasics
import TestSupport
import Testing

/// Commands of an operator that nothing else runs: what they find, what they change, and how they fail.
@Suite(.timeLimit(.minutes(20)))
struct OperatorCommandTests {
    private static func environment(_ scratch: Scratch) -> [String: String] {
        ["DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL]
    }

    /// The checks of `doctor --json` that did not pass, with what they found.
    private static func faults(_ environment: [String: String]) async throws -> (code: Int32, [String: String]) {
        let ended = try await Product.run(["doctor", "--json"], environment)
        let findings = try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [[String: Any]] ?? []
        #expect(!findings.isEmpty, "\(ended.output)\(ended.errors)")
        var faults: [String: String] = [:]
        for finding in findings where finding["ok"] as? Bool == false {
            #expect((finding["advice"] as? String)?.isEmpty == false, "\(finding)")
            faults[finding["check"] as? String ?? ""] = finding["finding"] as? String
        }
        return (ended.exitCode, faults)
    }

    @Test("doctor passes a sound installation, and says of each fault where it is, with exit code 1")
    func doctor() async throws {
        try await Scratch.run { scratch in
            let rehearsal = try await Rehearsal.start(scenario: "{}")
            do {
                var environment = Self.environment(scratch)
                environment["TWILIO_ACCOUNT_SID"] = Rehearsal.account
                environment["TWILIO_AUTH_TOKEN"] = Rehearsal.token
                environment["TWILIO_BASE_URL"] = rehearsal.url
                environment["WEBHOOK_PUBLIC_URL"] = "http://127.0.0.1:9"
                let sound = try await Self.faults(environment)
                #expect(sound.code == 0 && sound.1.isEmpty, "\(sound)")
                for (name, value, check) in [
                    ("DATABASE_URL", "postgresql://app@127.0.0.1:1/x", "database"),
                    ("AMQP_URL", "amqp://127.0.0.1:1/", "broker"), ("TWILIO_AUTH_TOKEN", "another", "provider"),
                    ("SELECTOR_BATCH_SIZE", "none", "configuration"),
                ] {
                    var changed = environment
                    changed[name] = value
                    let found = try await Self.faults(changed)
                    #expect(found.code == 1 && Array(found.1.keys) == [check], "\(name): \(found)")
                }
                _ = try await scratch.store.pauseTrunk("default", reason: "no credit")
                let paused = try await Self.faults(environment)
                #expect(paused.code == 1 && paused.1 == ["trunk default": "paused: no credit"], "\(paused)")
                _ = try await scratch.store.resumeTrunk("default")
                try await scratch.execute(
                    "delete from schema_migrations where number = (select max(number) from schema_migrations)"
                )
                let behind = try await Self.faults(environment)
                #expect(behind.code == 1 && behind.1["schema"]?.contains("1 migration(s) missing") == true, "\(behind)")
                await rehearsal.role.stop()
            } catch {
                await rehearsal.role.stop()
                throw error
            }
        }
    }

    @Test("what nobody has foreseen ends with 70 and one line")
    func unforeseen() async throws {
        try await Scratch.run { scratch in
            try await scratch.execute("alter table campaigns rename column priority to importance")
            let ended = try await Product.run(["campaign", "list"], Self.environment(scratch))
            #expect(ended.exitCode == 70, "\(ended.errors)")
            #expect(ended.errors.hasPrefix("call-scheduler: PostgreSQL: "), "\(ended.errors)")
            #expect(ended.errors.split(separator: "\n").count == 1, "\(ended.errors)")
        }
    }

    @Test("a trunk is paused and resumed by name, once each, and its reason is kept")
    func trunk() async throws {
        try await Scratch.run { scratch in
            let environment = Self.environment(scratch)
            let reason = "select paused_reason from trunks where name = 'east'"
            for words in ["trunk east is paused", "trunk east was paused already"] {
                let paused = try await Product.run(["trunk", "pause", "east", "--reason", "no credit"], environment)
                #expect(paused.exitCode == 0 && paused.output.contains(words), "\(paused.output)\(paused.errors)")
                #expect(try await scratch.value(reason, as: String?.self) == "no credit")
            }
            for words in ["trunk east is open", "trunk east was not paused"] {
                let resumed = try await Product.run(["trunk", "resume", "east"], environment)
                #expect(resumed.exitCode == 0 && resumed.output.contains(words), "\(resumed.output)\(resumed.errors)")
                #expect(try await scratch.value(reason, as: String?.self) == nil)
            }
        }
    }

    @Test("exclusions are imported from a file, all or none, take contacts out at once, and are listed")
    func exclusions() async throws {
        try await Scratch.run { scratch in
            _ = try await Fixtures.runningCampaign(in: scratch.store, contacts: 3)
            let environment = Self.environment(scratch)
            let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString + ".csv")
            defer { try? FileManager.default.removeItem(at: file) }
            func load(_ text: String) async throws -> Product.Ended {
                try text.write(to: file, atomically: true, encoding: .utf8)
                return try await Product.run(["exclusions", "import", file.path, "--reason", "asked"], environment)
            }
            let bad = try await load("phone_number\n+19990000000\n0151 123\n")
            #expect(bad.exitCode == 64 && bad.errors.contains("\(file.path):3:"), "\(bad.errors)")
            #expect(try await scratch.value("select count(*) from exclusion_list_entries", as: Int.self) == 0)
            let good = "phone_number,reason\n+19990000000,\n+19990000001,moved\n+14155550123,\n"
            for added in [3, 0] {
                let ended = try await load(good)
                #expect(
                    ended.exitCode == 0 && ended.output.contains("added \(added) number"),
                    "\(ended.output)\(ended.errors)"
                )
            }
            #expect(
                try await scratch.value("select count(*) from contacts where state = 'excluded'", as: Int.self) == 2
            )
            let listed = try await Product.run(["exclusions", "list"], environment)
            for words in ["+19990000000", "+19990000001", "+14155550123", "moved", "asked", "for good"] {
                #expect(listed.output.contains(words), "\(listed.output)")
            }
            let json = try await Product.run(["exclusions", "list", "--json"], environment)
            let entries = try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [[String: Any]]
            #expect(entries?.count == 3, "\(json.output)")
        }
    }
}
