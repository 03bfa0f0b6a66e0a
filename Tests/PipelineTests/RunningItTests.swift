// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestBasics
import TestSupport
import Testing

/// The article "Running it", on servers of its own: its commands, and the units' settings without systemd.
@Suite(.timeLimit(.minutes(20)))
struct RunningItTests {
    private static let contacts = 40
    private static let secrets = "/etc/call-scheduler/secrets"
    private static let units = ["selector", "recorder", "webhooks", "dialer@1", "dialer@2"]

    /// An installation.
    private struct Installation: Sendable {
        let folder: URL
        let urls: [String: String]
        let rehearsal: Rehearsal

        var databaseURL: String {
            (self.urls["TEST_DATABASE_URL"] ?? "").replacing(/\/[a-z]+$/, with: "/call_scheduler")
        }
        var brokerURL: String { (self.urls["TEST_AMQP_URL"] ?? "").replacing(/\/$/, with: "/calls") }
        var settings: URL { self.folder.appendingPathComponent("call-scheduler.env") }
        var secrets: URL { self.folder.appendingPathComponent("secrets") }

        /// Runs a command as the owner of the database.
        func command(_ arguments: [String]) async throws -> String {
            let ended = try await Product.run(
                arguments + ["--config", self.settings.path],
                [
                    "DATABASE_URL": self.databaseURL, "AMQP_URL": self.brokerURL,
                    "TWILIO_AUTH_TOKEN": Rehearsal.token,
                ]
            )
            try #require(ended.exitCode == 0, "\(arguments): \(ended.output)\(ended.errors)")
            return ended.output
        }

        func count(_ what: String) async throws -> Int {
            let answer = try await Shell.output("psql -XAqt -c 'select count(*) from \(what)' '\(self.databaseURL)'")
            return Int(answer.trimmingCharacters(in: .whitespacesAndNewlines)) ?? -1
        }
    }

    @Test("as the article says: two dialers, each role with its own user at both servers, call everybody")
    func twoDialers() async throws {
        let name = TestRun.name + "-running"
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(name)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try await Shell.stack("up --name \(name)")
        let rehearsal = try await Rehearsal.start(
            scenario:
                #"{"seed": 1, "outcomes": {"completed": 1}, "ring_seconds": {"min": 0.1, "max": 0.3}, "talk_seconds": {"min": 0.3, "max": 1}}"#
        )
        var roles: [RunningRole] = []
        let outcome: Result<Void, any Error>
        do {
            let installation = Installation(folder: folder, urls: try Self.urls(name), rehearsal: rehearsal)
            try await Self.install(installation)
            var ports: [Int] = []
            for unit in Self.units {
                ports.append(try Ports.free())
                roles.append(try Self.start(unit, ports[ports.count - 1], installation))
            }
            for (unit, port) in zip(Self.units, ports) {
                try await eventually("\(unit) is ready") {
                    await Rehearsal.isReady("http://127.0.0.1:\(port)/health/ready")
                }
            }
            try await Self.campaign(installation)
            outcome = .success(())
        } catch {
            for role in roles { print("--- \(role.name)\n\(role.log.suffix(1500))") }
            outcome = .failure(error)
        }
        for role in roles { await role.stop() }
        await rehearsal.role.stop()
        try await Shell.stack("down --name \(name)")
        try outcome.get()
    }

    private static func urls(_ stack: String) throws -> [String: String] {
        let file = Shell.root.appendingPathComponent(".local/stack-\(stack)/urls.env")
        let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
        return Dictionary(
            lines.compactMap { line in
                let parts = line.split(separator: "=", maxSplits: 1).map(String.init)
                return parts.count == 2 ? (parts[0], parts[1].trimmingCharacters(in: ["'", "\""])) : nil
            },
            uniquingKeysWith: { $1 }
        )
    }

    /// Steps 3 and 4.
    private static func install(_ installation: Installation) async throws {
        let article = try Documents.article("RunningIt")
        let block = try #require(article.firstMatch(of: /```sh\n([^`]*call-scheduler migrate[^`]*)```/)).1
        let commands = block.split(separator: "\n").filter { $0.contains(/^ +(DATABASE_URL_FILE|call-scheduler|ops)/) }
            .joined(separator: "\n").replacing(Self.secrets, with: installation.secrets.path)
        // The stack has made the database, and its users are the owners.
        _ = try await Shell.output(
            """
            set -euo pipefail; cd '\(Shell.root.path)'; PATH='\(try Product.folder.path)':$PATH
            unset DATABASE_URL; (umask 077; echo '\(installation.databaseURL)' >'\(installation.folder.path)/owner-url')
            export OWNER='@\(installation.folder.path)/owner-url' BROKER='\(installation.brokerURL)'
            export ADMIN='\(installation.urls["TEST_AMQP_MANAGEMENT_URL"] ?? "")'
            \(commands)
            """
        )
        let webhooks = try Ports.free()
        try """
        TWILIO_ACCOUNT_SID=\(Rehearsal.account)
        TWILIO_BASE_URL=\(installation.rehearsal.url)
        WEBHOOK_PUBLIC_URL=http://127.0.0.1:\(webhooks)
        WEBHOOK_PORT=\(webhooks)
        DIALER_MAX_CONCURRENT_CALLS=5
        DIALER_CALLS_PER_SECOND=20
        SELECTOR_INTERVAL_SECONDS=1

        """.write(to: installation.settings, atomically: true, encoding: .utf8)
        for role in ["dialer", "webhooks"] {
            let file = installation.secrets.appendingPathComponent("\(role)/auth-token")
            try (Rehearsal.token + "\n").write(to: file, atomically: true, encoding: .utf8)
        }
    }

    /// Step 5, as systemd would do it.
    private static func start(_ unit: String, _ health: Int, _ installation: Installation) throws -> RunningRole {
        let parts = unit.split(separator: "@").map(String.init)
        let file = "ops/systemd/call-scheduler-\(parts[0])\(parts.count > 1 ? "@" : "").service"
        let text = try String(contentsOf: Shell.root.appendingPathComponent(file), encoding: .utf8)
        let credentials = installation.folder.appendingPathComponent("credentials-" + unit)
        try FileManager.default.createDirectory(at: credentials, withIntermediateDirectories: true)
        var environment = ["HEALTH_PORT": "\(health)"]
        var arguments: [String] = []
        for line in text.split(separator: "\n") {
            if let match = line.wholeMatch(of: /LoadCredential=([^:]+):(.+)/) {
                let source = String(match.2).replacing(Self.secrets, with: installation.secrets.path)
                    .replacing("/etc/call-scheduler/call-scheduler.env", with: installation.settings.path)
                try FileManager.default.copyItem(
                    at: URL(fileURLWithPath: source),
                    to: credentials.appendingPathComponent(String(match.1))
                )
            } else if let match = line.wholeMatch(of: /Environment=([A-Z_]+)=(.+)/) {
                environment[String(match.1)] = String(match.2).replacing("%d", with: credentials.path)
                    .replacing("%H", with: "host").replacing("%i", with: parts.last ?? "")
            } else if let match = line.wholeMatch(of: /ExecStart=\/usr\/bin\/call-scheduler (.+)/) {
                arguments = match.1.split(separator: " ").map {
                    String($0).replacing("%d", with: credentials.path)
                }
            }
        }
        return try RunningRole(arguments, environment)
    }

    private static func campaign(_ installation: Installation) async throws {
        let file = installation.folder.appendingPathComponent("contacts.csv")
        let numbers = (0..<Self.contacts).map { "+44207946\(String(format: "%04d", $0))" }
        try (["phone_number"] + numbers).joined(separator: "\n").write(to: file, atomically: true, encoding: .utf8)
        try await installation.rehearsal.hold(.end)
        for arguments in [
            [
                "campaign", "create", "first", "--time-zone", "UTC", "--any-time", "--caller-id", "+15005550006",
                "--answer-url", installation.rehearsal.url + "/simulator/answer",
            ],
            ["contacts", "import", file.path, "--campaign", "first", "--allow-unassigned"],
            ["campaign", "start", "first"],
        ] {
            _ = try await installation.command(arguments)
        }
        // One dialer alone has no room for all as long as no call ends.
        try await eventually("both dialers have calls") {
            try await installation.count("(select distinct dialer_id from call_attempts) d") == 2
        }
        try await installation.rehearsal.release(.end)
        try await eventually(
            "everybody is called, and all are told of",
            of: { try await installation.count("survey_events where published_at is not null") },
            { $0 == Self.contacts }
        )
        #expect(try await installation.command(["status"]).contains("first"))
        _ = try await installation.command(["doctor"])
    }
}
