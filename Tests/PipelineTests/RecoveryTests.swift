// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import ProviderSimulator
import TestBasics
import TestSupport
import Testing

/// The database is lost and restored from a backup, in the middle of a campaign.
@Suite(.timeLimit(.minutes(20)), .serialized)
struct RecoveryTests {
    private static let contacts = 60
    private static let scenario = """
        {"seed": 4, "outcomes": {"completed": 60, "no_answer": 30, "busy": 10},
         "ring_seconds": {"min": 0.1, "max": 0.4}, "talk_seconds": {"min": 0.2, "max": 0.8}}
        """

    @Test("after a restore from a backup the provider is asked first, and nobody is phoned twice because of it")
    func restored() async throws {
        try await Scratch.run { scratch in
            // A second database stands for the restored one.
            try await Scratch.run { restored in try await Self.lose(scratch, restored) }
        }
    }

    private static func lose(_ scratch: Scratch, _ restored: Scratch) async throws {
        let rehearsal = try await Rehearsal.start(scenario: Self.scenario)
        let port = try Ports.free()
        var environment = [
            "DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL,
            "TWILIO_ACCOUNT_SID": Rehearsal.account, "TWILIO_AUTH_TOKEN": Rehearsal.token,
            "TWILIO_BASE_URL": rehearsal.url, "WEBHOOK_PUBLIC_URL": "http://127.0.0.1:\(port)",
            "WEBHOOK_PORT": "\(port)", "SELECTOR_INTERVAL_SECONDS": "0.5", "DIALER_MAX_CONCURRENT_CALLS": "5",
            "DIALER_CALLS_PER_SECOND": "10", "DIALER_CALL_MARGIN_SECONDS": "2", "SELECTOR_QUEUE_DEPTH": "10",
            "SELECTOR_CLAIM_TTL_SECONDS": "10",
        ]
        let before = Date()
        var roles = try RunningRole(["all"], environment)
        do {
            // No more calls end than are waited for, so that it is the middle of the campaign, however long that takes.
            try await rehearsal.hold(.end)
            try await rehearsal.pass(.end, calls: 12)
            _ = try await Fixtures.runningCampaign(in: scratch.store, name: "lost", contacts: Self.contacts) {
                $0.maximumAttempts = 1
                $0.answerURL = rehearsal.url + "/simulator/answer"
            }
            try await Self.wait(scratch, attempts: 12)
            let backup = "pg_dump --clean --if-exists '\(scratch.databaseURL)'"
            let restore = "psql -qX -v ON_ERROR_STOP=1 '\(restored.databaseURL)'"
            _ = try await Shell.output("set -o pipefail; \(backup) | \(restore)")
            let saved = try await restored.value("select count(*) from call_attempts", as: Int.self)
            try await rehearsal.pass(.end, calls: 20)
            try await Self.wait(scratch, attempts: saved + 20)
            roles.send(SIGKILL)
            try await eventually("they are gone") { !roles.isRunning }
            try await rehearsal.release(.end)
            environment["DATABASE_URL"] = restored.databaseURL
            let since = before.addingTimeInterval(-60).formatted(.iso8601)
            // Counting is allowed while campaigns run, and changes nothing.
            let counted = try await Product.run(["recover", "--since", since, "--dry-run", "--json"], environment)
            #expect(counted.exitCode == 0, "\(counted.errors)")
            #expect(try await restored.value("select count(*) from call_attempts", as: Int.self) == saved)
            let refused = try await Product.run(["recover", "--since", since], environment)
            #expect(refused.exitCode == 64 && refused.errors.contains("pause --all"), "\(refused.errors)")
            #expect(try await Product.run(["pause", "--all", "--reason", "restored"], environment).exitCode == 0)
            let first = try await Product.run(["recover", "--since", since], environment)
            #expect(first.exitCode == 0, "\(first.errors)")
            let recovered = try await restored.value("select count(*) from call_attempts", as: Int.self) - saved
            let figures = try JSONSerialization.jsonObject(with: Data(counted.output.utf8)) as? [String: Any]
            // It does not know yet which of them have an open attempt, whose dialer asks.
            let wouldBe = try #require(figures?["recovered"] as? Int)
            #expect(wouldBe >= recovered && recovered > 0, "\(counted.output)")
            print("RECOVERY \(first.output.split(separator: "\n").joined(separator: "; "))")
            #expect(try await restored.value("select count(*) from call_attempts", as: Int.self) > saved + 10)
            let again = try await Product.run(["recover", "--since", since, "--json"], environment)
            #expect(again.output.contains("\"recovered\" : 0"), "\(again.output)")
            roles = try RunningRole(["all"], environment)
            #expect(try await Product.run(["campaign", "resume", "lost"], environment).exitCode == 0)
            let open = """
                select (select count(*) from contacts where state in ('pending', 'in_progress')
                        or state = 'not_reached' and next_attempt_at is not null)
                    + (select count(*) from call_attempts where ended_at is null)
                """
            try await eventually(
                "every contact is final",
                of: { try await restored.value(open, as: Int.self) },
                { $0 == 0 }
            )
            let ledger = try await rehearsal.ledger()
            let calls = Dictionary(grouping: ledger.calls.filter { $0.sid != nil }, by: \.to)
            #expect(calls.count == Self.contacts)
            #expect(calls.values.allSatisfy { $0.count == 1 }, "somebody was phoned twice")
            let bound = try await restored.value(
                "select count(distinct provider_call_id) from call_attempts where counted",
                as: Int.self
            )
            #expect(bound == Self.contacts)
            let verified = try await Product.run(
                ["verify-ledger", "--ledger", rehearsal.url + "/simulator/ledger", "--campaign", "lost"],
                environment
            )
            #expect(verified.exitCode == 0, "\(verified.output)")
        } catch {
            print(roles.log.suffix(3000))
            await roles.stop()
            await rehearsal.role.stop()
            throw error
        }
        await roles.stop()
        await rehearsal.role.stop()
    }

    private static func wait(_ scratch: Scratch, attempts: Int) async throws {
        let count = { try await scratch.value("select count(*) from call_attempts", as: Int.self) }
        try await eventually("there are \(attempts) attempts", of: count) { $0 >= attempts }
    }
}
