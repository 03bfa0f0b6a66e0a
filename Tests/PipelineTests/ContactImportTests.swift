// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import Postgres
import TestBasics
import TestSupport
import Testing

/// `contacts import` as its users run it.
@Suite(.timeLimit(.minutes(20)))
struct ContactImportTests {
    /// A campaign `c`, and a file of that content.
    private static func withFile(
        _ content: Data,
        _ body: @Sendable (_ scratch: Scratch, _ load: [String], _ environment: [String: String]) async throws -> Void
    ) async throws {
        try await Scratch.run { scratch in
            let environment = ["DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL]
            _ = try await scratch.store.createCampaign(CampaignSettings(name: "c", timeZone: "Europe/Vienna"))
            let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString + ".csv")
            defer {
                for suffix in ["", ".rejects.csv", ".rejects.csv.part"] {
                    try? FileManager.default.removeItem(atPath: file.path + suffix)
                }
            }
            try content.write(to: file)
            try await body(scratch, ["contacts", "import", file.path, "--campaign", "c"], environment)
        }
    }

    private static let german = """
        Kundennummer;Telefon;Zelle;Alter;Land;Zeitzone\r
        1;030 901820;Männer/Süd;33;;\r
        2;+1 212 736 5000;;41;;\r
        3;(089) 21830;;50;at;\r
        4;0151 12345678;;50;;Europe/Lisbon\r
        5;+800 1234 5678;;29;;\r
        6;0301234 Amt;;29;;\r
        7;+44 115 496 0001;;29;;\r
        8;+49 30 901820;;29;;\r

        """

    private static let options = [
        "--country", "DE", "--map", "external_contact_id=Kundennummer", "--map", "phone_number=telefon", "--map",
        "cell=Zelle", "--map", "region=Land", "--map", "time_zone=Zeitzone", "--ignore-other-columns",
    ]

    @Test(
        "a file of another make is read with its own column names, delimiter, encoding and way of writing numbers",
        arguments: [(String.Encoding.utf8, "utf-8"), (.windowsCP1252, "latin-1"), (.utf16, nil)]
            as [(String.Encoding, String?)]
    )
    func otherMake(encoding: String.Encoding, name: String?) async throws {
        let content = try #require(Self.german.data(using: encoding))
        try await Self.withFile(content) { scratch, load, environment in
            let arguments = load + Self.options + (name.map { ["--encoding", $0] } ?? [])
            let ended = try await Product.run(arguments + ["--assigned-only"], environment)
            #expect(ended.exitCode == 0, "\(ended.errors)")
            for line in ["read      8", "added     5", "present   0", "repeated  1", "rejected  2"] {
                #expect(ended.output.contains(line), "\(ended.output)")
            }
            #expect(ended.output.contains("1 from the file, 4 from number or region, 1 the campaign's"))
            let stored = try await scratch.value(
                """
                select string_agg(
                    external_contact_id || ' ' || phone_number || ' ' || coalesce(time_zone, '-'), '|'
                    order by external_contact_id)
                from contacts
                """,
                as: String.self
            )
            let america =
                "America/Adak,America/Anchorage,America/Chicago,America/Denver,America/Los_Angeles,America/New_York,"
                + "America/Phoenix,Pacific/Honolulu"
            let expected = [
                "1 +4930901820 Europe/Berlin", "2 +12127365000 \(america)", "3 +498921830 Europe/Vienna",
                "4 +4915112345678 Europe/Lisbon", "5 +80012345678 -",
            ]
            #expect(stored == expected.joined(separator: "|"))
            let more = try await Product.run(arguments, environment)
            #expect(
                more.output.contains(
                    "unknown   1  (numbers in no range that is known to be assigned, such as in line 8;"
                )
            )
            #expect(more.output.contains("added     1"), "\(more.output)")
            #expect(more.output.contains("rejected  1"), "\(more.output)")
        }
    }

    @Test(
        "options that make no sense are refused with 64 and say what to do",
        arguments: [
            (["--delimiter", "ab"], "--delimiter"), (["--encoding", "ebcdic"], "--encoding"),
            (["--encoding", "utf-16"], "byte order mark"), (["--country", "Germany"], "--country"),
            (["--map", "phone_number"], "--map"), (["--map", "email=a", "--map", "email=b"], "twice"),
            ([], "--map 'phone_number=Telefon'"), (["--map", "phone_number=Handy"], "it has Telefon"),
        ]
    )
    func refused(options: [String], reason: String) async throws {
        try await Self.withFile(Data("Telefon\n030\n".utf8)) { scratch, load, environment in
            let ended = try await Product.run(load + options, environment)
            #expect(ended.exitCode == 64, "\(ended.errors)")
            #expect(ended.errors.contains(reason), "\(ended.errors)")
            #expect(try await scratch.value("select count(*) from contact_imports", as: Int.self) == 0)
        }
    }

    @Test("a pipe is read as a file is, and a number that was excluded in its former way of writing stays excluded")
    func pipe() async throws {
        try await Self.withFile(Data("phone_number\n+525512345678\n+4930901820\n".utf8)) { scratch, load, environment in
            _ = try await Product.run(["exclusions", "add", "+5215512345678"], environment)
            let pipe = load[2] + ".pipe"
            try await Shell.run("mkfifo '\(pipe)'")
            defer { try? FileManager.default.removeItem(atPath: pipe) }
            let role = try RunningRole(["contacts", "import", pipe, "--campaign", "c"], environment)
            try await Shell.run("cat '\(load[2])' >'\(pipe)'")
            try await eventually("the import has ended") { !role.isRunning }
            #expect(role.end == .exit(0), "\(role.log)")
            #expect(role.log.contains("added     2  (of these excluded from the start: 1)"), "\(role.log)")
        }
    }

    @Test("an import that was killed goes on after its last checkpoint: nothing is lost, nothing comes twice")
    func killed() async throws {
        let rows = 25_000
        var content = "phone_number,external_contact_id\n"
        for row in 0..<rows {
            // Every thousandth is no number; the last but one is the first again.
            let number = row % 1000 == 500 ? "nobody" : "+1212\(2_000_000 + (row == rows - 2 ? 0 : row))"
            content += "\(number),x\(row)\n"
        }
        try await Self.withFile(Data(content.utf8)) { scratch, load, environment in
            try await scratch.execute(
                "create function hang() returns trigger language plpgsql as 'begin perform pg_sleep(600); return new; end'"
            )
            try await scratch.execute(
                """
                create trigger hang before update on contact_imports for each row when (old.lines_done > 0)
                execute function hang()
                """
            )
            let first = try RunningRole(load, environment)
            defer { first.send(SIGKILL) }
            do {
                try await eventually("it hangs behind its first checkpoint") {
                    try await scratch.value(
                        "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()",
                        as: Int.self
                    ) == 1
                }
            } catch {
                let sessions = try await scratch.value(
                    """
                    select string_agg(concat_ws(' ', state, wait_event_type, wait_event, now() - query_start, query), E'\n')
                    from pg_stat_activity
                    where datname = current_database()
                    """,
                    as: String.self
                )
                Issue.record("\(first.isRunning ? "it runs" : "it has ended"): \(first.log)\n\(sessions)")
                throw error
            }
            first.send(SIGKILL)
            try await eventually("it is gone") { !first.isRunning }
            let done = try await scratch.value("select lines_done::int from contact_imports", as: Int.self)
            #expect(done > 0 && done < rows)
            try await scratch.execute(
                """
                select pg_terminate_backend(pid) from pg_stat_activity
                where wait_event = 'PgSleep' and datname = current_database()
                """
            )
            try await scratch.execute("drop trigger hang on contact_imports")

            let second = try await Product.run(load, environment)
            #expect(second.exitCode == 0, "\(second.errors)")
            #expect(second.errors.contains("resuming after line \(done):"), "\(second.errors)")
            let added = rows - 25 - 1
            for line in ["read      \(rows)", "added     \(added) ", "present   0 ", "repeated  1 ", "rejected  25"] {
                #expect(second.output.contains(line), "\(line) in \(second.output)")
            }
            #expect(try await scratch.value("select count(*) from contacts", as: Int.self) == added)
            let rejects = try String(contentsOfFile: load[2] + ".rejects.csv", encoding: .utf8)
            let lines = rejects.split(separator: "\n").dropFirst().compactMap { Int($0.prefix { $0 != "," }) }
            #expect(lines == (0..<25).map { $0 * 1000 + 502 })
            #expect(!FileManager.default.fileExists(atPath: load[2] + ".rejects.csv.part"))

            let third = try await Product.run(load, environment)
            #expect(!third.errors.contains("resuming"))
            for line in ["added     0 ", "present   \(added + 1) ", "repeated  0 ", "rejected  25"] {
                #expect(third.output.contains(line), "\(line) in \(third.output)")
            }
        }
    }
}
