// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Settings files as people have them, and where each setting comes from.
@Suite(.timeLimit(.minutes(20)))
struct SettingsFileTests {
    private static func write(_ content: String) throws -> String {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString + ".env")
        try Data(content.utf8).write(to: file)
        return file.path
    }

    /// - Returns: What `--show-settings` says with this settings file: setting, value and source by the setting's name.
    private static func shown(
        _ file: String,
        _ environment: [String: String] = [:],
        arguments: [String] = []
    ) async throws -> (ended: Product.Ended, values: [String: String], sources: [String: String]) {
        let path = try Self.write(file)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let ended = try await Product.run(["status", "--show-settings", "--config", path] + arguments, environment)
        var values: [String: String] = [:]
        var sources: [String: String] = [:]
        for line in ended.output.split(separator: "\n").dropFirst() {
            let cells = line.split(separator: /[ ]{2,}/).map(String.init)
            values[cells[0]] = cells.count > 2 ? cells[1] : ""
            sources[cells[0]] = cells[cells.count - 1].replacing(path, with: "FILE")
        }
        return (ended, values, sources)
    }

    @Test(
        "a settings file is read as systemd and docker compose read it",
        arguments: [
            "DIALER_ID=east 1", "# remark\r\nDIALER_ID=east 1\r\nLOG_LEVEL=debug\r\n", "\u{FEFF}DIALER_ID=east 1",
            "export DIALER_ID=east 1", "DIALER_ID = east 1  ", "DIALER_ID='east 1'", "DIALER_ID=\"east 1\" # remark",
            "DIALER_ID=east 1 # remark", "; remark\n\n  DIALER_ID=east\\ 1", "DIALER_ID=\"east\\\n 1\"",
            "DIALER_ID=east \\\n1",
            "DIALER_ID=west\nDIALER_ID=east 1\r", "LOG_LEVEL=\rDIALER_ID=east 1\r",
        ]
    )
    func settingsFile(file: String) async throws {
        let shown = try await Self.shown(file)
        #expect(shown.ended.exitCode == 0, "\(shown.ended.errors)")
        #expect(shown.values["DIALER_ID"] == "east 1")
    }

    @Test("what only looks like a remark or an escape is a value")
    func settingsFileKeeps() async throws {
        let file = "DIALER_ID=a#b\nDIALER_TRUNK='c # \\d'\nHEALTH_HOST=\"\\e\\\"$f\"\n"
        let shown = try await Self.shown(file)
        #expect(shown.values["DIALER_ID"] == "a#b")
        #expect(shown.values["DIALER_TRUNK"] == "c # \\d")
        #expect(shown.values["HEALTH_HOST"] == "\\e\"$f")
    }

    @Test(
        "what is wrong in a settings file is refused with 78, its line and the cure, and without what it holds",
        arguments: [
            (
                "# x\nDIALER_MAX_CONCURENT_CALLS=1\nDIALER_CALLS_PER_SECONDS=0.1\nWEBHOOK_PROXY=hush",
                [
                    "line 2", "DIALER_MAX_CONCURRENT_CALLS", "line 3", "DIALER_CALLS_PER_SECOND ", "line 4",
                    "WEBHOOK_PROXIES",
                ]
            ),
            ("TWILIO_AUTH_TOKEN='hush\nDIALER_ID=x", ["line 1", "quote"]),
            ("DIALER_ID=x\nhush hush", ["line 2", "NAME=VALUE"]),
            ("DIALER_ID=x\nhush hush=1", ["line 2", "name"]),
            ("TWILIO_AUTH_TOKEN=hush\nTWILIO_AUTH_TOKEN_FILE=/nowhere", ["TWILIO_AUTH_TOKEN_FILE are both given"]),
            ("TWILIO_AUTH_TOKEN_FILE=/nowhere", ["TWILIO_AUTH_TOKEN_FILE: /nowhere"]),
        ]
    )
    func badSettingsFile(file: String, words: [String]) async throws {
        let ended = try await Self.shown(file).ended
        #expect(ended.exitCode == 78, "\(ended.errors)")
        for word in words { #expect(ended.errors.contains(word), "\(word) in: \(ended.errors)") }
        #expect(!ended.errors.contains("hush"), "\(ended.errors)")
    }

    @Test("a setting's name with a slip in the environment is not passed over; other names are not ours")
    func misspeltEnvironment() async throws {
        let slip = try await Product.run(["status", "--show-settings"], ["DIALER_MAX_CONCURENT_CALLS": "1"])
        #expect(slip.exitCode == 78 && slip.errors.contains("DIALER_MAX_CONCURRENT_CALLS"), "\(slip.errors)")
        let other = ["DIALER_SERVICE_HOST": "10.0.0.1", "WEBHOOK_PORT_8080_TCP": "tcp://10.0.0.1:8080"]
        let ours = try await Product.run(["status", "--show-settings"], other)
        #expect(ours.exitCode == 0, "\(ours.errors)")
    }

    @Test("a stronger source wins, whether it gives the value or names a file; each tells where it came from")
    func precedence() async throws {
        let secret = try Self.write("postgresql://dialer:hush-1@localhost/x\n")
        defer { try? FileManager.default.removeItem(atPath: secret) }
        let file = "LOG_LEVEL=debug\nDATABASE_URL=postgresql://owner:hush-2@localhost/x\nDIALER_ID=a\nDIALER_TRUNK=b"
        let shown = try await Self.shown(
            file,
            ["DATABASE_URL_FILE": secret, "DIALER_ID": "c"],
            arguments: ["--set", "DIALER_TRUNK=d"]
        )
        #expect(shown.ended.exitCode == 0, "\(shown.ended.errors)")
        #expect(shown.sources["DATABASE_URL"] == "\(secret), named by DATABASE_URL_FILE (environment)")
        #expect(shown.values["DATABASE_URL"] == "(secret)")
        #expect(shown.values["LOG_LEVEL"] == "debug" && shown.sources["LOG_LEVEL"] == "--config FILE, line 1")
        #expect(shown.values["DIALER_ID"] == "c" && shown.sources["DIALER_ID"] == "environment")
        #expect(shown.values["DIALER_TRUNK"] == "d" && shown.sources["DIALER_TRUNK"] == "--set")
        #expect(shown.sources["HEALTH_PORT"] == "default")
        #expect(!shown.ended.output.contains("hush"))
    }
}
