// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallQueues
import Foundation
import ProviderSimulator
import TestBasics
import TestSupport
import Testing

/// Roles are replaced one by one, while a campaign runs, by those of another version of the program.
@Suite(.timeLimit(.minutes(20)), .serialized)
struct UpgradeTests {
    private static let contacts = 190
    /// Calls that end between two replacements, no more and no less: the provider holds the others. More than the queue and
    /// the dialer hold, so that some of them go all the way through the roles that are there now; and few enough for all
    /// replacements.
    private static let callsBetween = 22
    private static let scenario = """
        {"seed": 7, "outcomes": {"completed": 70, "no_answer": 20, "busy": 10},
         "ring_seconds": {"min": 0.05, "max": 0.2}, "talk_seconds": {"min": 0.1, "max": 0.3}}
        """

    /// A way from one version to another.
    struct Change: Sendable, CustomTestStringConvertible {
        /// The word for `ops/previous`.
        let former: String
        /// Whether the former version makes way for this one, or this one for the former.
        let isUpgrade: Bool
        /// The order in which roles are replaced.
        let order: [String]

        var testDescription: String {
            "\(self.isUpgrade ? "from" : "to") the former \(self.former), \(self.order.joined(separator: ", "))"
        }
    }

    @Test(
        "roles are replaced one by one, in any order, across a version of the schema: nobody is called twice or left out",
        arguments: [
            Change(former: "schema", isUpgrade: true, order: ["selector", "webhooks", "dialer", "recorder"]),
            Change(former: "release", isUpgrade: true, order: ["dialer", "recorder", "selector", "webhooks"]),
            Change(former: "release", isUpgrade: false, order: ["dialer", "selector", "webhooks", "recorder"]),
        ]
    )
    func replaced(change: Change) async throws {
        let former = try await Shell.output("'\(Shell.root.path)/ops/previous' \(change.former) --built")
            .trimmingCharacters(in: .whitespacesAndNewlines)
        try await Scratch.run(isMigrated: false) { scratch in
            let rehearsal = try await Rehearsal.start(scenario: Self.scenario)
            var roles: [String: RunningRole] = [:]
            var ended: [RunningRole] = []
            let outcome: Result<Void, any Error>
            do {
                try await Self.run(change, former, scratch, rehearsal, &roles, &ended)
                try await Self.check(scratch, try await rehearsal.ledger())
                outcome = .success(())
            } catch {
                outcome = .failure(error)
            }
            for role in roles.values {
                await role.stop()
                ended.append(role)
            }
            await rehearsal.role.stop()
            for role in ended { Self.check(role) }
            try outcome.get()
        }
    }

    private static func run(
        _ change: Change,
        _ former: String,
        _ scratch: Scratch,
        _ rehearsal: Rehearsal,
        _ roles: inout [String: RunningRole],
        _ ended: inout [RunningRole]
    ) async throws {
        // Nil is the program under test.
        let (first, second) = change.isUpgrade ? (former, nil) : (nil, former)
        let environment = try Self.environment(scratch, rehearsal.url)
        try await Self.prepare(environment, rehearsal.url, program: first)
        try await rehearsal.hold(.end)
        for role in change.order { roles[role] = try RunningRole([role], environment, program: first) }
        try await Self.endCalls(scratch, rehearsal)
        if change.isUpgrade {
            try await Self.command(["migrate"], environment, program: second)
            try await Self.endCalls(scratch, rehearsal)
        }
        for name in change.order {
            if let role = roles[name] {
                await role.stop()
                ended.append(role)
            }
            roles[name] = try RunningRole([name], environment, program: second)
            try await Self.endCalls(scratch, rehearsal)
        }
        try await rehearsal.release(.end)
        let open = """
            select (select count(*) from contacts where state in ('pending', 'in_progress'))
                + (select count(*) from call_attempts where ended_at is null)
                + (select count(*) from survey_events where published_at is null)
            """
        try await eventually(
            "every contact is final, and all are told of",
            of: { try await scratch.value(open, as: Int.self) },
            { $0 == 0 }
        )
    }

    private static func environment(_ scratch: Scratch, _ provider: String) throws -> [String: String] {
        let port = try Ports.free()
        return [
            "DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL, "LOG_FORMAT": "json",
            "TWILIO_ACCOUNT_SID": Rehearsal.account, "TWILIO_AUTH_TOKEN": Rehearsal.token, "TWILIO_BASE_URL": provider,
            "WEBHOOK_PUBLIC_URL": "http://127.0.0.1:\(port)", "WEBHOOK_PORT": "\(port)",
            "SELECTOR_INTERVAL_SECONDS": "0.5", "SELECTOR_QUEUE_DEPTH": "10", "DIALER_ID": "d1",
            "DIALER_MAX_CONCURRENT_CALLS": "10", "DIALER_CALLS_PER_SECOND": "20", "DIALER_CALL_MARGIN_SECONDS": "3",
        ]
    }

    /// A campaign, made by the program's own commands: the store of this version may not know the schema.
    private static func prepare(_ environment: [String: String], _ provider: String, program: String?) async throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString + ".csv")
        defer { try? FileManager.default.removeItem(at: file) }
        // Numbers that Britain keeps free for films and books.
        let numbers = (0..<Self.contacts).map { "+44207946\(String(format: "%04d", $0))" }
        try (["phone_number"] + numbers).joined(separator: "\n").write(to: file, atomically: true, encoding: .utf8)
        for arguments in [
            ["migrate"],
            [
                "campaign", "create", "upgrade", "--time-zone", "UTC", "--any-time", "--max-attempts", "1",
                "--caller-id", "+15005550006", "--answer-url", provider + "/simulator/answer",
                "--ring-timeout-seconds", "5", "--max-call-seconds", "3600",
            ],
            ["contacts", "import", file.path, "--campaign", "upgrade", "--allow-unassigned"],
            ["campaign", "start", "upgrade"],
        ] {
            try await Self.command(arguments, environment, program: program)
        }
    }

    private static func command(
        _ arguments: [String],
        _ environment: [String: String],
        program: String?
    ) async throws {
        let ended = try await Product.run(arguments, environment, program: program)
        try #require(ended.exitCode == 0, "\(arguments): \(ended.output)\(ended.errors)")
    }

    private static func endCalls(_ scratch: Scratch, _ rehearsal: Rehearsal) async throws {
        let sql = "select count(*) from call_attempts where ended_at is not null"
        let wanted = try await scratch.value(sql, as: Int.self) + Self.callsBetween
        try await rehearsal.pass(.end, calls: Self.callsBetween)
        let ended = { try await scratch.value(sql, as: Int.self) }
        try await eventually("\(wanted) calls have ended", of: ended) { $0 >= wanted }
    }

    private static func check(_ scratch: Scratch, _ ledger: Ledger) async throws {
        let calls = ledger.calls.filter { $0.sid != nil }
        #expect(calls.count == Self.contacts, "somebody was called twice or not at all")
        #expect(Set(calls.map(\.to)).count == Self.contacts)
        let lost = "select count(*) from call_attempts where error_code is not null and error_code = 'lost'"
        #expect(try await scratch.value(lost, as: Int.self) == 0)
        let connection = try scratch.connection()
        try await connection.waitUntilReady(timeout: .seconds(120))
        let dead = try await connection.queueStatus(CallTopology.dead).messagesReady
        #expect(dead == 0, "a role could not read what another has sent")
        await connection.close()
    }

    /// It has drained when told to, and met nothing that it takes for a fault.
    private static func check(_ role: RunningRole) {
        #expect(role.end == .exit(0), "\(role.name): \(role.log.suffix(2000))")
        let faults = role.log.split(separator: "\n").filter {
            $0.contains("\"level\":\"error\"") || $0.contains("\"level\":\"critical\"")
        }
        #expect(faults.isEmpty, "\(role.name): \(faults.prefix(5))")
    }
}
