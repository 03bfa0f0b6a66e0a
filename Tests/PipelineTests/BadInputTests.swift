// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Bad input gets one clear line and the right exit code, and leaves nothing half-done.
@Suite(.timeLimit(.minutes(20)))
struct BadInputTests {
    private static let unreachable = [
        "DATABASE_URL": "postgresql://app@127.0.0.1:1/x", "AMQP_URL": "amqp://127.0.0.1:1/",
    ]

    @Test(
        "settings that cannot be used are refused with 78, all at once, naming each",
        arguments: [
            (["status"], ["DATABASE_URL": "nonsense://x"], ["DATABASE_URL"]),
            (["status"], ["AMQP_URL": "http://x"], ["AMQP_URL", "amqp://"]),
            (
                ["selector"], ["SELECTOR_BATCH_SIZE": "5O", "SELECTOR_QUEUE_DEPTH": "0"],
                ["SELECTOR_BATCH_SIZE: '5O'", "SELECTOR_QUEUE_DEPTH: '0'", "1…5000"]
            ),
            (["dialer"], ["PROVIDER": "pigeon"], ["PROVIDER: 'pigeon'"]),
            (
                ["webhooks"], ["WEBHOOK_OUTCOME_TOKEN": "hush-characters"],
                ["WEBHOOK_OUTCOME_TOKEN: has 15 characters; 16 are the least"]
            ),
            (["dialer"], [:], ["TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "WEBHOOK_PUBLIC_URL"]),
            (["all", "--set", "NO_SUCH=1"], [:], ["NO_SUCH"]),
            (["selector", "--config", "/nowhere"], [:], ["/nowhere"]),
            (
                ["dialer", "--set", "TWILIO_AUTH_TOKEN=hush-1", "--set", "DATABASE_URL=postgresql://a:hush-2@h/d"], [:],
                ["--set TWILIO_AUTH_TOKEN: holds a secret", "DATABASE_URL_FILE"]
            ),
            (["status", "--set", "AMQP_URL=amqp://a:hush-3@h/"], ["DATABASE_URL": "hush-4://x"], ["AMQP_URL_FILE"]),
        ]
    )
    func settings(arguments: [String], environment: [String: String], names: [String]) async throws {
        let ended = try await Product.run(arguments, environment)
        #expect(ended.exitCode == 78, "\(ended.errors)")
        for name in names { #expect(ended.errors.contains(name), "\(name) in: \(ended.errors)") }
        #expect(ended.output.isEmpty)
        #expect(!ended.errors.contains("hush"), "\(ended.errors)")
    }

    @Test("a server that cannot be reached is named, with exit code 69")
    func unreachableServers() async throws {
        let database = try await Product.run(["campaign", "list"], Self.unreachable)
        #expect(database.exitCode == 69, "\(database.errors)")
        #expect(database.errors.contains("127.0.0.1"))
        try await Scratch.run { scratch in
            let broker = try await Product.run(
                ["selector"],
                ["DATABASE_URL": scratch.databaseURL, "AMQP_URL": "amqp://guest:secret@127.0.0.1:1/"]
            )
            #expect(broker.exitCode == 69, "\(broker.errors)")
            #expect(broker.errors.contains("127.0.0.1:1"))
            #expect(!broker.errors.contains("secret"))
            let refused = try await Product.run(
                ["selector"],
                [
                    "DATABASE_URL": scratch.databaseURL,
                    "AMQP_URL": scratch.brokerURL.replacing("guest:guest", with: "guest:wrong"),
                ]
            )
            #expect(refused.exitCode == 78, "\(refused.errors)")
            #expect(!refused.errors.contains("wrong@"))
        }
    }

    @Test("a database that does not exist, or has no schema, says what to do")
    func schema() async throws {
        try await Scratch.run(isMigrated: false) { scratch in
            let missing = try await Product.run(
                ["campaign", "list"],
                ["DATABASE_URL": scratch.databaseURL + "_missing"]
            )
            #expect(missing.exitCode == 78, "\(missing.errors)")
            for command in [["campaign", "list"], ["selector"]] {
                let empty = try await Product.run(
                    command,
                    ["DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL]
                )
                #expect(empty.exitCode == 78, "\(empty.errors)")
                #expect(empty.errors.contains("call-scheduler migrate"))
            }
        }
    }

    @Test(
        "a command that cannot be carried out is refused with 64 and says why",
        arguments: [
            (["frobnicate"], "frobnicate"),
            (["status", "--no-such-option"], "no-such-option"),
            (["campaign", "start", "ghost"], "no campaign named 'ghost'"),
            (["campaign", "create", "x"], "time-zone"),
            (["campaign", "create", "x", "--time-zone", "Mars/Olympus"], "Mars/Olympus"),
            (["campaign", "create", "x", "--time-zone", "UTC", "--window", "9-5"], "window"),
            (["campaign", "create", "x", "--time-zone", "UTC", "--max-attempts", "99"], "max-attempts"),
            (["campaign", "create", "x", "--time-zone", "UTC", "--caller-id", "123"], "caller-id"),
            (["contacts", "import", "/nowhere.csv", "--campaign", "c"], "/nowhere.csv"),
            (["exclusions", "add", "hello"], "phone number"),
            (["holidays", "block", "ZZ", "2026-12-24"], "'ZZ' is no country"),
            (["holidays", "block", "FR", "2026-12-32"], "'2026-12-32' is not a date"),
            (["report", "ghost"], "no campaign named 'ghost'"),
            (["provider-simulator", "--fault", "callback_lost=7"], "faults.callback_lost"),
        ]
    )
    func usage(arguments: [String], fault: String) async throws {
        try await Scratch.run { scratch in
            let ended = try await Product.run(
                arguments,
                ["DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL]
            )
            #expect(ended.exitCode == 64, "\(ended.errors)")
            #expect(ended.errors.contains(fault), "\(fault) in: \(ended.errors)")
            #expect(try await scratch.value("select count(*) from campaigns", as: Int.self) == 0)
        }
    }

    @Test("a CSV file's faults name file and line; good rows are loaded, bad ones are in the rejects file")
    func csv() async throws {
        try await Scratch.run { scratch in
            let environment = ["DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL]
            _ = try await Product.run(["campaign", "create", "c", "--time-zone", "UTC"], environment)
            let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString + ".csv")
            defer { try? FileManager.default.removeItem(at: file) }
            let load = ["contacts", "import", file.path, "--campaign", "c"]
            for (content, fault) in [
                ("", "is empty"), ("name,phone\n", "unknown column 'name'"), ("email\n", "phone_number"),
            ] {
                try content.write(to: file, atomically: true, encoding: .utf8)
                let ended = try await Product.run(load, environment)
                #expect(ended.exitCode == 64)
                #expect(ended.errors.contains(file.path) && ended.errors.contains(fault), "\(ended.errors)")
            }
            let rows = """
                phone_number,time_zone,do_not_call
                +14155550101,Europe/Berlin,false
                0151 123,,
                +14155550102,Europe/Atlantis,
                +14155550103,,perhaps
                +14155550104
                +14155550101,,
                "+14155550105",UTC,true

                """
            try rows.write(to: file, atomically: true, encoding: .utf8)
            let rejects = file.path + ".rejects.csv"
            defer { try? FileManager.default.removeItem(atPath: rejects) }
            let first = try await Product.run(load, environment)
            #expect(first.exitCode == 0, "\(first.errors)")
            #expect(try await scratch.value("select count(*) from contacts", as: Int.self) == 3)
            #expect(
                try await scratch.value("select count(*) from contacts where state = 'excluded'", as: Int.self) == 1
            )
            let lines = try String(contentsOfFile: rejects, encoding: .utf8).split(separator: "\n")
            #expect(lines.map { $0.prefix(2) } == ["li", "3,", "4,", "5,"])
            let second = try await Product.run(load, environment)
            #expect(second.output.contains("added     0"))
        }
    }
}
