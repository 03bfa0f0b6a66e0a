// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallStore
import Foundation
import TestBasics
import TestSupport
import Testing

/// The documented way of a campaign manager, command by command.
@Suite(.timeLimit(.minutes(20)))
struct WalkThroughTests {
    private static func settings(_ scratch: Scratch, simulator: Int, webhooks: Int) -> String {
        """
        DATABASE_URL=\(scratch.databaseURL)
        AMQP_URL=\(scratch.brokerURL)
        TWILIO_ACCOUNT_SID=\(Rehearsal.account)
        TWILIO_AUTH_TOKEN=rehearsal
        TWILIO_BASE_URL=http://127.0.0.1:\(simulator)
        WEBHOOK_PUBLIC_URL=http://127.0.0.1:\(webhooks)
        WEBHOOK_PORT=\(webhooks)
        SELECTOR_INTERVAL_SECONDS=1
        DIALER_CALLS_PER_SECOND=50

        """
    }

    @Test("a survey in two countries is set up, rehearsed, started, explained and exported as the document says")
    func twoCountries() async throws {
        try await Scratch.run { real in
            try await Scratch.run { rehearsal in
                let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
                try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
                defer { try? FileManager.default.removeItem(at: folder) }
                for name in ["france.csv", "united-states.csv"] {
                    try FileManager.default.copyItem(
                        at: Shell.root.appendingPathComponent("ops/sample/" + name),
                        to: folder.appendingPathComponent(name)
                    )
                }
                let (simulator, webhooks) = (try Ports.free(), try Ports.free())
                for (name, scratch) in [("call-scheduler.env", real), ("rehearsal.env", rehearsal)] {
                    try Self.settings(scratch, simulator: simulator, webhooks: webhooks)
                        .write(to: folder.appendingPathComponent(name), atomically: true, encoding: .utf8)
                }
                let script = try Documents.code(in: "ops/two-countries.md").filter(\.isBlock).map(\.text)
                    .joined(separator: "\n").replacing("9180", with: "\(simulator)")
                try script.write(to: folder.appendingPathComponent("commands"), atomically: true, encoding: .utf8)
                // The environment would win over the settings files.
                // With job control, as in a terminal; at the end nothing of it may be left running.
                let shell = """
                    unset DATABASE_URL AMQP_URL
                    set -meuo pipefail; PATH='\(try Product.folder.path)':$PATH; cd '\(folder.path)'
                    trap 'for job in $(jobs -p); do kill -- "-$job" 2>/dev/null || true; done' EXIT
                    source ./commands
                    """
                try await Shell.run(shell)
                try await Self.check(real, rehearsal, folder)
            }
        }
    }

    @Test("a first campaign is loaded, checked, started, watched and stopped as the README says")
    func firstCampaign() async throws {
        let program = try await ParsedCommand.program()
        let commands = try Documents.commands(in: "README.md", names: program.names).filter {
            $0.section.hasPrefix("## A first campaign")
        }
        #expect(commands.count > 14)
        try await Scratch.run(isMigrated: false) { scratch in
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            let (never, respondent) = ("+493023125001", "+493023125002")
            for (name, numbers) in [("never-call.csv", [never]), ("spring.csv", [never, respondent])] {
                let text = (["phone_number"] + numbers).joined(separator: "\n")
                try text.write(to: folder.appendingPathComponent(name), atomically: true, encoding: .utf8)
            }
            let simulator = try await Rehearsal.start(scenario: "{}")
            let settings = Self.settings(scratch, simulator: 0, webhooks: try Ports.free())
                .replacing("http://127.0.0.1:0\n", with: simulator.url + "\n")
                .replacing("=rehearsal\n", with: "=\(Rehearsal.token)\n")
            try settings.write(
                to: folder.appendingPathComponent("call-scheduler.env"),
                atomically: true,
                encoding: .utf8
            )
            var roles: RunningRole?
            let outcome: Result<Void, any Error>
            do {
                for command in commands {
                    var words = command.words.map { $0.replacing("+49…", with: respondent) }
                        .map { $0.replacing("+4930…", with: "+493023125000") }
                    if !words.contains("--config") { words += ["--config", "call-scheduler.env"] }
                    words = words.map { word in
                        let isFile = word.hasSuffix(".env") || word.hasSuffix(".csv")
                        return isFile ? folder.appendingPathComponent(word).path : word
                    }
                    guard words[0] != "all" else {
                        roles = try RunningRole(words, [:])
                        continue
                    }
                    let ended = try await Product.run(words)
                    // It may well find something on a machine for tests: it says what.
                    let isFine = ended.exitCode == 0 || words[0] == "doctor" && ended.exitCode == 1
                    #expect(isFine, "\(words): \(ended.output)\(ended.errors)")
                }
                outcome = .success(())
            } catch {
                outcome = .failure(error)
            }
            await roles?.stop()
            await simulator.role.stop()
            try outcome.get()
            let excluded = try await scratch.value("select count(*) from exclusion_list_entries", as: Int.self)
            #expect(excluded == 2)
            let states = try await scratch.value("select string_agg(status, ',') from campaigns", as: String.self)
            #expect(states == "running" || states == "paused", "\(states)")
            let exported = try String(contentsOf: folder.appendingPathComponent("contacts.csv"), encoding: .utf8)
            #expect(exported.contains(respondent))
        }
    }

    private static func check(_ real: Scratch, _ rehearsal: Scratch, _ folder: URL) async throws {
        let completes = try await rehearsal.value(
            """
            select array_agg(n order by cell) from (
                select s.cell, count(*) filter (where c.state = 'completed') as n
                from contacts c join campaign_strata s on s.id = c.stratum_id group by s.cell) x
            """,
            as: [Int].self
        )
        #expect(completes.count == 2 && completes.allSatisfy { $0 > 0 && $0 <= 8 }, "\(completes)")
        let attempts = try await rehearsal.value("select count(*) from call_attempts", as: Int.self)
        let evidence = try String(contentsOf: folder.appendingPathComponent("evidence.csv"), encoding: .utf8)
        #expect(evidence.split(separator: "\n").count == attempts + 1)
        let contacts = try String(contentsOf: folder.appendingPathComponent("contacts.csv"), encoding: .utf8)
        #expect(contacts.split(separator: "\n").count == 41)
        let rejects = try String(contentsOf: folder.appendingPathComponent("france.csv.rejects.csv"), encoding: .utf8)
        #expect(rejects.contains("42,") && rejects.contains("too short"))
        // Nothing was running there, and it may be night: nobody was called, and everybody has a place and rules.
        #expect(try await real.value("select count(*) from call_attempts", as: Int.self) == 0)
        let zones = try await real.value(
            "select count(distinct time_zone) from campaign_strata where time_zone like '%America/New_York%Pacific/Honolulu%'",
            as: Int.self
        )
        #expect(zones == 1)
        let erased = try await real.value(
            "select concat_ws('|', count(*), count(phone_number), count(erased_at)) from contacts",
            as: String.self
        )
        #expect(erased == "80|79|1", "the file was imported again, without whom it was told to forget")
    }
}
