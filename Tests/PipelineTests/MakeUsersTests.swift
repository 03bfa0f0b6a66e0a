// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestBasics
import TestSupport
import Testing

/// `ops/make-users`, on servers of its own: URLs as people have them, and what must not happen to users that work.
@Suite(.timeLimit(.minutes(20)))
struct MakeUsersTests {
    /// Servers, and a folder in which `psql` and `curl` write down what they are called with.
    private struct Site: Sendable {
        let folder: String
        let databaseURL: String
        let brokerHost: String
        let management: String

        /// Runs the script. Its arguments are quoted here.
        func makeUsers(_ database: String, _ broker: String, into directory: String, _ options: String = "")
            async throws
        {
            let management = self.folder + "/management"
            try self.management.write(toFile: management, atomically: true, encoding: .utf8)
            _ = try await Shell.output(
                "PATH='\(self.folder)/bin':$PATH '\(Shell.root.path)/ops/make-users' \(options) '\(database)' '\(broker)' "
                    + "'@\(management)' '\(self.folder)/\(directory)'"
            )
        }

        func url(_ role: String, _ server: String, in directory: String) throws -> String {
            let file = "\(self.folder)/\(directory)/\(role)/\(server)-url"
            return try String(contentsOfFile: file, encoding: .utf8).trimmingCharacters(in: .newlines)
        }

        func run(_ arguments: [String], as role: String, in directory: String) async throws -> Product.Ended {
            try await Product.run(
                arguments,
                [
                    "DATABASE_URL": try self.url(role, "database", in: directory),
                    "AMQP_URL": try self.url(role, "amqp", in: directory),
                ]
            )
        }
    }

    private static func withSite(_ body: @Sendable (Site) async throws -> Void) async throws {
        let name = TestRun.name + "-users"
        let folder = FileManager.default.temporaryDirectory.path + "/" + name
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for program in ["psql", "curl"] {
            try FileManager.default.createDirectory(atPath: folder + "/bin", withIntermediateDirectories: true)
            let wrapper = """
                #!/bin/bash
                printf '%s\\n' "$@" >>'\(folder)/arguments'
                PATH=${PATH#*:} exec \(program) "$@"
                """
            try wrapper.write(toFile: "\(folder)/bin/\(program)", atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(folder)/bin/\(program)")
        }
        try await Shell.stack("up --name \(name)")
        let outcome: Result<Void, any Error>
        do {
            let lines = try await Shell.output("'\(Shell.root.path)/ops/stack' env --name \(name)")
            func value(_ variable: String) throws -> String {
                let line = lines.split(separator: "\n").first { $0.contains(variable + "=") }
                return try #require(line?.split(separator: "=", maxSplits: 1).last)
                    .trimmingCharacters(in: ["'", "\"", ";", " "])
            }
            let broker = try #require(URLComponents(string: try value("TEST_AMQP_URL")))
            let site = Site(
                folder: folder,
                databaseURL: try value("TEST_DATABASE_URL"),
                brokerHost: "\(broker.host ?? ""):\(broker.port ?? 0)",
                management: try value("TEST_AMQP_MANAGEMENT_URL")
            )
            let migrated = try await Product.run(["migrate"], ["DATABASE_URL": site.databaseURL])
            try #require(migrated.exitCode == 0, "\(migrated.errors)")
            outcome = .success(try await body(site))
        } catch {
            outcome = .failure(error)
        }
        try await Shell.stack("down --name \(name)")
        try outcome.get()
    }

    @Test("users are made from URLs as people have them, keep what works, and tell nobody a password")
    func users() async throws {
        try await Self.withSite { site in
            // A broker's URL without a path means the default host, not one that is called like the server.
            try await site.makeUsers(site.databaseURL, "amqp://\(site.brokerHost)", into: "first")
            #expect(try site.url("dialer", "amqp", in: "first").hasSuffix("@" + site.brokerHost))
            let hosts = try await Shell.output("curl -sSf '\(site.management)/api/vhosts?columns=name'")
            #expect(!hosts.contains(site.brokerHost))
            // The owner's user, password and certificate among the parameters are the owner's alone.
            let database = try #require(URLComponents(string: site.databaseURL))
            let other =
                "postgresql://\(database.path)?host=\(database.host ?? "")&port=\(database.port ?? 0)"
                + "&user=\(database.user ?? "")&password=hush-owner&sslmode=disable&sslcert=/nowhere"
            try await site.makeUsers(other, "amqp://owner:hush-broker@\(site.brokerHost)/calls", into: "first")
            for role in ["selector", "dialer", "recorder", "webhooks", "operator", "reader"] {
                let url = try site.url(role, "database", in: "first")
                #expect(url.hasSuffix("?host=127.0.0.1&port=\(database.port ?? 0)&sslmode=disable"))
                let user = try await Shell.output("psql -XAqtc 'select current_user' '\(url)'")
                #expect(user == "call_scheduler_\(role)_user\n")
                #expect(try !site.url(role, "amqp", in: "first").contains("hush"))
            }
            let working = try site.url("recorder", "database", in: "first")
            // Another directory would lock out whoever uses the first.
            let refusal = await #expect(throws: Shell.CommandFailed.self) {
                try await site.makeUsers(site.databaseURL, "amqp://\(site.brokerHost)/calls", into: "second")
            }
            #expect(refusal?.description.contains("--new-passwords") == true)
            _ = try await Shell.output("psql -XAqtc 'select 1' '\(working)'")
            try await site.makeUsers(
                site.databaseURL,
                "amqp://\(site.brokerHost)/calls",
                into: "second",
                "--new-passwords"
            )
            await #expect(throws: Shell.CommandFailed.self) {
                _ = try await Shell.output("psql -XAqtc 'select 1' '\(working)'")
            }
            let arguments = try String(contentsOfFile: site.folder + "/arguments", encoding: .utf8)
            for directory in ["first", "second"] {
                for role in try FileManager.default.contentsOfDirectory(atPath: "\(site.folder)/\(directory)/passwords")
                {
                    let file = "\(site.folder)/\(directory)/passwords/\(role)"
                    let password = try String(contentsOfFile: file, encoding: .utf8).trimmingCharacters(in: .newlines)
                    #expect(!arguments.contains(password))
                }
            }
            #expect(arguments.contains("psql") || arguments.contains("-XAqt"))
            #expect(!arguments.contains("hush") && !arguments.contains("guest:guest"))
            try await Self.people(site)
        }
    }

    /// Operators do what the command line can, but for the schema; readers see the same and change nothing.
    private static func people(_ site: Site) async throws {
        let create = [
            "campaign", "create", "spring", "--time-zone", "UTC", "--any-time", "--caller-id", "+15005550006",
            "--answer-url", "https://ivr.example.org/",
        ]
        let refused = try await site.run(create, as: "reader", in: "second")
        #expect(refused.exitCode != 0 && refused.errors.contains("permission denied"), "\(refused.errors)")
        let created = try await site.run(create, as: "operator", in: "second")
        #expect(created.exitCode == 0, "\(created.errors)")
        for command in [["campaign", "list"], ["status"], ["campaign", "why", "spring"], ["report", "spring"]] {
            for role in ["operator", "reader"] {
                let ended = try await site.run(command, as: role, in: "second")
                #expect(ended.exitCode == 0 && !ended.output.isEmpty, "\(role) \(command): \(ended.errors)")
            }
        }
        let deleted = try await site.run(["exclusions", "add", "+15005550001"], as: "reader", in: "second")
        #expect(deleted.exitCode != 0)
        for command in [["exclusions", "add", "+15005550001"], ["pause", "--all"]] {
            let ended = try await site.run(command, as: "operator", in: "second")
            #expect(ended.exitCode == 0, "\(command): \(ended.errors)")
        }
    }
}
