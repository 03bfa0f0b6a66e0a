// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import TestSupport
import Testing

/// `audit` as whoever has to answer for the calls runs it.
@Suite(.timeLimit(.minutes(20)))
struct AuditCommandTests {
    /// Two calls that kept the rules, an hour ago.
    private static func history(_ scratch: Scratch) async throws {
        let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 2)
        let requests = try await scratch.store.claim(campaign: campaign, limit: 2, leaseDuration: .seconds(60)).requests
        _ = try await scratch.store.beginAttempts(
            requests.map { .init(callID: $0.callID, contactID: $0.contactID, expiresAt: $0.expiresAt) },
            dialerID: "d1",
            trunk: "default",
            margin: .seconds(10)
        )
        let events = requests.map { CallEvent(callID: $0.callID, status: .busy, occurredAt: Date()) }
        _ = try await scratch.store.record(CallReport.merge(events))
        for sql in [
            "update call_attempts set started_at = now() - interval '1 hour', ended_at = now() - interval '59 minutes'",
            "update campaign_rules set valid_from = now() - interval '1 day'",
            "update campaign_changes set changed_at = now() - interval '1 day'",
        ] { try await scratch.execute(sql) }
    }

    private struct Evidence: Decodable {
        let callId: UUID
        let phoneNumber: String?
        let breaches: [String]
    }

    @Test("it ends with 0 when all is well, with 1 on a breach, and writes evidence for each call as CSV and as JSON")
    func audit() async throws {
        try await Scratch.run { scratch in
            try await Self.history(scratch)
            let environment = ["DATABASE_URL": scratch.databaseURL]
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            let csv = folder.appendingPathComponent("evidence.csv")
            let json = folder.appendingPathComponent("evidence.jsonl")
            let period = ["audit", "--from", "2020-01-01"]
            let clean = try await Product.run(period + ["--evidence", csv.path], environment)
            #expect(clean.exitCode == 0, "\(clean.errors)")
            #expect(clean.output.contains("2 call(s)") && clean.output.contains("every call kept the rules"))
            let lines = try String(contentsOf: csv, encoding: .utf8).split(separator: "\n")
            #expect(lines.count == 3 && lines[0].hasPrefix("call_id,campaign,contact_id,phone_number"))
            #expect(lines.dropFirst().allSatisfy { !$0.contains("+1999") }, "numbers are masked unless asked for")

            try await scratch.execute(
                """
                insert into exclusion_list_entries (phone_number, created_at)
                select phone_number, now() - interval '2 hours' from contacts where external_contact_id = 'x0'
                """
            )
            let breached = try await Product.run(
                period + ["--evidence", json.path, "--with-numbers", "--campaign", "test"],
                environment
            )
            #expect(breached.exitCode == 1, "\(breached.errors)")
            #expect(breached.output.contains("1 × number was excluded"), "\(breached.output)")
            #expect(breached.errors.contains("1 breach(es) in 2 call(s)"), "\(breached.errors)")
            let decoder = JSONDecoder()
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            let evidence = try String(contentsOf: json, encoding: .utf8).split(separator: "\n").map {
                try decoder.decode(Evidence.self, from: Data($0.utf8))
            }
            #expect(evidence.count == 2)
            let number = try Fixtures.number(0).e164
            #expect(evidence.filter { $0.breaches == ["number was excluded"] }.map(\.phoneNumber) == [number])
            let before = try await Product.run(period + ["--to", "2020-12-31"], environment)
            #expect(before.exitCode == 0 && before.output.contains("0 call(s)"))
        }
    }

    @Test(
        "a period or a campaign that cannot be is named with exit code 64",
        arguments: [
            (["--from", "yesterday"], "from: 'yesterday'"),
            (["--from", "2026-11-02", "--to", "2026-11-01T00:00:00Z"], "to: is not after from"),
            (["--from", "2026-11-02", "--campaign", "ghost"], "no campaign named 'ghost'"),
        ]
    )
    func faults(arguments: [String], fault: String) async throws {
        try await Scratch.run { scratch in
            let ended = try await Product.run(["audit"] + arguments, ["DATABASE_URL": scratch.databaseURL])
            #expect(ended.exitCode == 64, "\(ended.errors)")
            #expect(ended.errors.contains(fault), "\(ended.errors)")
        }
    }
}
