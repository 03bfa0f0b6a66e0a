// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import TestBasics
import TestSupport
import Testing

/// What operators look at and take back: contacts, imports, drafts, and the pause of everything.
@Suite(.timeLimit(.minutes(5)))
struct TakeBackTests {
    private static func run(_ scratch: Scratch, _ arguments: [String]) async throws -> Product.Ended {
        try await Product.run(
            arguments,
            ["DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL, "SUDO_USER": "alice"]
        )
    }

    /// Whoever runs the tests as root does so by sudo, as far as the command knows.
    private static var actor: String { getuid() == 0 ? "alice" : NSUserName() }

    private static func load(_ scratch: Scratch, _ text: String, into campaign: String) async throws -> String {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString + ".csv")
        defer { try? FileManager.default.removeItem(at: file) }
        try text.write(to: file, atomically: true, encoding: .utf8)
        let ended = try await Self.run(
            scratch,
            ["contacts", "import", file.path, "--campaign", campaign, "--json"]
        )
        #expect(ended.exitCode == 0, "\(ended.errors)")
        let summary = try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [String: Any]
        return try #require(summary?["import_id"] as? String)
    }

    @Test("contacts are listed by state, page by page, with masked numbers unless asked")
    func list() async throws {
        try await Scratch.run { scratch in
            _ = try await Fixtures.runningCampaign(in: scratch.store, contacts: 12)
            try await scratch.execute(
                "update contacts set state = 'completed', next_attempt_at = null where phone_number like '%3'"
            )
            let all = try await Self.run(scratch, ["contacts", "list", "--campaign", "test"])
            #expect(all.output.split(separator: "\n").count == 13, "\(all.output)\(all.errors)")
            #expect(!all.output.contains("+1999") && all.output.contains("+***11"))
            let numbers = try await Self.run(
                scratch,
                ["contacts", "list", "--campaign", "test", "--state", "completed", "--with-numbers", "--json"]
            )
            let found = try JSONSerialization.jsonObject(with: Data(numbers.output.utf8)) as? [[String: Any]]
            #expect(found?.count == 1 && found?[0]["phone_number"] as? String == "+19990000003", "\(numbers.output)")
            var seen: Set<String> = []
            var after: [String] = []
            for _ in 1...3 {
                let page = try await Self.run(
                    scratch,
                    ["contacts", "list", "--campaign", "test", "--limit", "5", "--json"] + after
                )
                let views = try JSONSerialization.jsonObject(with: Data(page.output.utf8)) as? [[String: Any]] ?? []
                seen.formUnion(views.compactMap { $0["external_contact_id"] as? String })
                after = ["--after", views.last?["contact_id"] as? String ?? ""]
            }
            #expect(seen.count == 12)
            for wrong in [["--limit", "0"], ["--state", "asleep"], ["--after", "x"]] {
                let ended = try await Self.run(scratch, ["contacts", "list", "--campaign", "test"] + wrong)
                #expect(ended.exitCode == 64, "\(wrong)")
            }
        }
    }

    @Test("an import is undone while nobody of it was called, and not any more when one was")
    func undo() async throws {
        try await Scratch.run { scratch in
            _ = try await Fixtures.runningCampaign(in: scratch.store, contacts: 2)
            let first = try await Self.load(
                scratch,
                "phone_number\n+19990000001\n+19990000100\n+19990000101\n",
                into: "test"
            )
            let second = try await Self.load(scratch, "phone_number\n+19990000200\n+19990000201\n", into: "test")
            let listed = try await Self.run(scratch, ["contacts", "imports", "--campaign", "test"])
            #expect(listed.output.contains(first) && listed.output.contains(second), "\(listed.output)")
            let undone = try await Self.run(scratch, ["contacts", "undo-import", first])
            #expect(undone.output.contains("removed 2 contacts from campaign test"), "\(undone.output)\(undone.errors)")
            #expect(try await scratch.value("select count(*) from contacts", as: Int.self) == 4)
            #expect(
                try await scratch.value(
                    "select actor from campaign_changes where reason = 'import ' || $1 || ' undone: 2 contacts removed'",
                    [first]
                ) == Self.actor
            )
            #expect(try await Self.run(scratch, ["contacts", "undo-import", first]).exitCode == 64)
            let again = try await Self.run(scratch, ["contacts", "imports"])
            #expect(again.output.contains("undone at") && again.output.contains("by \(Self.actor)"), "\(again.output)")

            let campaign = try await scratch.value("select id from campaigns", as: UUID.self)
            try await scratch.execute(
                "update contacts set next_attempt_at = now() + interval '1 day' where phone_number <> '+19990000200'"
            )
            let claim = try await scratch.store.claim(campaign: campaign, limit: 1, leaseDuration: .seconds(60))
            #expect(claim.requests.count == 1)
            for _ in 1...2 {
                let refused = try await Self.run(scratch, ["contacts", "undo-import", second])
                #expect(refused.exitCode == 64)
                #expect(refused.errors.contains("1 of its 2 contacts were called"), "\(refused.errors)")
                // The second time it was called in fact, and has come back.
                try await scratch.execute(
                    """
                    insert into call_attempts (call_id, contact_id, campaign_id, attempt_number, phone_number, dialer_id,
                        deadline_at, status, ended_at, outcome)
                    select call_id, id, campaign_id, 1, phone_number, 'd1', now(), 'ended', now(), 'busy' from contacts
                    where state = 'in_progress'
                    """
                )
                try await scratch.execute(
                    """
                    update contacts set state = 'pending', prior_state = null, call_id = null, lease_until = null
                    where state = 'in_progress'
                    """
                )
            }
            #expect(try await scratch.value("select count(*) from contacts", as: Int.self) == 4)
            #expect(try await Self.run(scratch, ["contacts", "undo-import", UUID().uuidString]).exitCode == 64)
        }
    }

    @Test("a draft is deleted with its contacts; what was started is not")
    func delete() async throws {
        try await Scratch.run { scratch in
            _ = try await Fixtures.runningCampaign(in: scratch.store, name: "runs", contacts: 2)
            let create = ["campaign", "create", "draft", "--time-zone", "UTC"]
            #expect(try await Self.run(scratch, create).exitCode == 0)
            #expect(
                try await scratch.value(
                    "select actor from campaign_changes where actor <> 'test' and status = 'draft' "
                        + "order by id desc limit 1"
                ) == Self.actor
            )
            _ = try await Self.load(scratch, "phone_number\n+19990000100\n+19990000101\n", into: "draft")
            let deleted = try await Self.run(scratch, ["campaign", "delete", "draft"])
            #expect(deleted.output == "deleted campaign draft with 2 contacts\n", "\(deleted.output)\(deleted.errors)")
            #expect(try await scratch.value("select count(*) from contacts", as: Int.self) == 2)
            #expect(try await scratch.value("select count(*) from campaigns", as: Int.self) == 1)
            for sql in ["select 1", "update campaigns set status = 'cancelled'"] {
                try await scratch.execute(sql)
                let refused = try await Self.run(scratch, ["campaign", "delete", "runs"])
                #expect(refused.exitCode == 64 && refused.errors.contains("only a draft can be deleted"))
            }
            #expect(try await Self.run(scratch, ["campaign", "delete", "draft"]).exitCode == 64)
            #expect(try await scratch.value("select count(*) from contacts", as: Int.self) == 2)
        }
    }

    @Test("resume --all goes on with those that pause --all has paused, named, and with no others")
    func resume() async throws {
        try await Scratch.run { scratch in
            for (index, name) in ["a", "b", "c", "d"].enumerated() {
                _ = try await Fixtures.runningCampaign(in: scratch.store, name: name, contacts: 1, first: index)
            }
            #expect(try await Self.run(scratch, ["campaign", "pause", "a"]).exitCode == 0)
            #expect(try await Self.run(scratch, ["pause", "--all", "--reason", "fire"]).output == "paused b, c, d\n")
            // By itself since then.
            #expect(try await Self.run(scratch, ["campaign", "resume", "c"]).exitCode == 0)
            #expect(try await Self.run(scratch, ["campaign", "pause", "c"]).exitCode == 0)
            let asked = try await Self.run(scratch, ["resume", "--all"])
            #expect(asked.exitCode == 1 && asked.output == "  b\n  d\n", "\(asked.output)\(asked.errors)")
            let running = "select string_agg(name, ' ' order by name) from campaigns where status = 'running'"
            #expect(try await scratch.value(running, as: String?.self) == nil)
            let resumed = try await Self.run(scratch, ["resume", "--all", "--yes"])
            #expect(resumed.exitCode == 0 && resumed.output.contains("campaign b is running"), "\(resumed.errors)")
            #expect(try await scratch.value(running, as: String?.self) == "b d")
            let nothing = try await Self.run(scratch, ["resume", "--all", "--yes"])
            #expect(nothing.exitCode == 0 && nothing.output.contains("nothing is paused by"))
            #expect(
                try await scratch.value(
                    "select string_agg(distinct actor, ',') from campaign_changes where actor <> 'test' and actor <> 'program'"
                ) == Self.actor
            )
        }
    }

    @Test("shells complete the names of files where a file is asked for")
    func completion() async throws {
        let ended = try await Product.run(["--generate-completion-script", "bash"])
        #expect(ended.exitCode == 0)
        let script = ended.output
        for option in ["--config", "--rejects", "--policy-file", "--evidence", "--contacts", "--ledger-file"] {
            let files = script.split(separator: "'\(option)')\n").dropFirst()
            #expect(
                !files.isEmpty
                    && files.contains { $0.drop { $0 == " " }.hasPrefix("__call-scheduler_add_completions -f") }
            )
        }
    }
}
