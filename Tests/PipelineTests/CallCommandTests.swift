// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Foundation
import TestBasics
import TestSupport
import Testing

/// What operators see of single calls, and of one pass of a selector.
@Suite(.timeLimit(.minutes(20)))
struct CallCommandTests {
    private static func run(_ scratch: Scratch, _ arguments: [String], options: String = "") async throws
        -> Product.Ended
    {
        try await Product.run(
            arguments,
            [
                "DATABASE_URL": scratch.databaseURL + options, "AMQP_URL": scratch.brokerURL,
                "SUPPRESSION_KEY": String(repeating: "k", count: 43),
            ]
        )
    }

    private static func json(_ ended: Product.Ended) throws -> [String: Any] {
        try #require(
            try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [String: Any],
            "\(ended.errors)"
        )
    }

    private static func list(_ ended: Product.Ended) throws -> [[String: Any]] {
        try #require(
            try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [[String: Any]],
            "\(ended.errors)"
        )
    }

    /// Claims contacts and makes their attempts.
    private static func begin(_ scratch: Scratch, _ campaign: UUID, _ count: Int) async throws -> [DialRequest] {
        let requests = try await scratch.store.claim(campaign: campaign, limit: count, leaseDuration: .seconds(60))
            .requests
        let verdicts = try await scratch.store.beginAttempts(
            requests.map { .init(callID: $0.callID, contactID: $0.contactID, expiresAt: $0.expiresAt) },
            dialerID: "d1",
            trunk: "default",
            margin: .seconds(10)
        )
        try #require(verdicts.count == count)
        for verdict in verdicts { if case .created = verdict { continue } else { Issue.record("\(verdict)") } }
        return requests
    }

    @Test("a call is shown with each step and its time, what allowed it, its reports and its events")
    func show() async throws {
        try await Scratch.run { scratch in
            let limit = try NumberLimit(attemptsPer: "3/24h")
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 2) {
                $0.numberLimits = [limit]
                $0.requiresConsent = true
                $0.maximumAttempts = 4
            }
            let call = try #require(try await Self.begin(scratch, campaign, 1).first)
            let id = call.callID.lowercased
            let live = try await Self.run(scratch, ["calls", "show", id])
            #expect(live.exitCode == 0 && live.output.contains("it is placing now"), "\(live.output)\(live.errors)")
            let before = try Self.json(try await Self.run(scratch, ["calls", "show", id, "--json"]))
            #expect((before["events"] as? [Any])?.isEmpty == true)

            try await scratch.store.markPlaced([(call.callID, "CA17", "queued")])
            for status in [CallStatus.ringing, .answered, .completed] {
                let event = CallEvent(callID: call.callID, status: status, occurredAt: Date())
                _ = try await scratch.store.record(CallReport.merge([event]))
            }
            let script = Shell.root.appendingPathComponent("ops/postgres/roles.sql")
            try await Shell.run("psql -XAqt -v ON_ERROR_STOP=1 -f '\(script.path)' '\(scratch.databaseURL)'")
            // Whoever may only look may look at this.
            let reader = "?options=-c%20role%3Dcall_scheduler_reader"
            let ended = try await Self.run(scratch, ["calls", "show", id], options: reader)
            #expect(ended.exitCode == 0, "\(ended.errors)")
            let steps = [
                "claimed by a selector", "allowed: attempt 1", "taken by the provider", "rang", "answered", "ended",
            ]
            let places = steps.map { ended.output.range(of: $0)?.lowerBound }
            #expect(!places.contains(nil) && places.compactMap(\.self) == places.compactMap(\.self).sorted())
            for part in [
                "attempts           1 of 4", "3 per 24 h", "consent            required", "consent on record  yes",
                "judged again       kept every rule", "provider's id  CA17", "survey.completed",
                "not published yet",
                "any time in UTC",
            ] { #expect(ended.output.contains(part), "\(part) in: \(ended.output)") }
            #expect(!ended.output.contains("+1999") && ended.output.contains("+***0"), "\(ended.output)")

            let view = try Self.json(try await Self.run(scratch, ["calls", "show", id, "--json", "--with-number"]))
            let shown = try #require(view["call"] as? [String: Any])
            #expect((shown["phone_number"] as? String)?.hasPrefix("+1999") == true)
            #expect(shown["outcome"] as? String == "completed" && shown["answered"] != nil && shown["rang"] != nil)
            #expect((view["allowed_by"] as? [String: Any])?["breaches"] as? [String] == [])
            #expect((view["events"] as? [[String: Any]])?.map { $0["kind"] as? String } == ["completed"])
            let attempt = try #require(shown["attempt_id"] as? Int)
            let same = try Self.json(
                try await Self.run(scratch, ["calls", "show", "\(attempt)", "--json", "--with-number"])
            )
            #expect(NSDictionary(dictionary: same) == NSDictionary(dictionary: view))

            // It is told when a rule was broken.
            try await scratch.execute("update call_attempts set had_consent = false")
            let broken = try await Self.run(scratch, ["calls", "show", id])
            #expect(broken.output.contains("BROKE: no consent on record"), "\(broken.output)")
        }
    }

    @Test("a claim that no dialer has begun is shown as one; what is not there is not found")
    func claimed() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1)
            let claim = try await scratch.store.claim(campaign: campaign, limit: 1, leaseDuration: .seconds(60))
            let id = try #require(claim.requests.first).callID.lowercased
            let shown = try await Self.run(scratch, ["calls", "show", id])
            #expect(shown.output.contains("the claim is given back, unless a dialer has begun it by then"))
            let view = try Self.json(try await Self.run(scratch, ["calls", "show", id, "--json"]))
            let call = view["call"] as? [String: Any]
            #expect(call?["status"] as? String == "claimed" && call?["attempt_id"] == nil, "\(view)")
            #expect(try await Self.run(scratch, ["calls", "show", UUID().uuidString]).exitCode == 1)
            #expect(try await Self.run(scratch, ["calls", "show", "4711"]).exitCode == 1)
            #expect(try await Self.run(scratch, ["calls", "show", "spring"]).exitCode == 64)
        }
    }

    @Test("calls are listed by contact, by campaign and while they are open, the latest first, numbers masked")
    func list() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 4)
            let other = try await Fixtures.runningCampaign(in: scratch.store, name: "other", contacts: 1, first: 900)
            let calls = try await Self.begin(scratch, campaign, 3)
            _ = try await Self.begin(scratch, other, 1)
            let busy = CallEvent(callID: calls[0].callID, status: .busy, occurredAt: Date())
            _ = try await scratch.store.record(CallReport.merge([busy]))
            func list(_ arguments: [String]) async throws -> [[String: Any]] {
                try Self.list(try await Self.run(scratch, ["calls", "list", "--json"] + arguments))
            }
            #expect(try await list(["--campaign", "test"]).count == 3)
            #expect(try await list(["--open"]).count == 3)
            #expect(try await list(["--open", "--campaign", "test"]).count == 2)
            let latest = try await list(["--campaign", "test", "--limit", "1"])
            let ids = try await list(["--campaign", "test"]).compactMap { $0["attempt_id"] as? Int }
            #expect(ids == ids.sorted(by: >) && latest.first?["attempt_id"] as? Int == ids.first)

            let called = try await scratch.value(
                "select array[phone_number, contact_id::text] from call_attempts where call_id = $1",
                [calls[0].callID],
                as: [String].self
            )
            let external = try await scratch.value(
                "select external_contact_id from contacts where id = $1",
                [calls[0].contactID],
                as: String.self
            )
            let written = called[0].prefix(2) + " " + called[0].dropFirst(2).prefix(3) + " " + called[0].dropFirst(5)
            for contact in [called[0], String(written), called[1], external] {
                let found = try await list(["--contact", contact])
                #expect(found.map { $0["call_id"] as? String } == [calls[0].callID.lowercased], "\(contact)")
            }
            #expect(try await list(["--contact", external, "--open"]).isEmpty)
            #expect(try await list(["--contact", external, "--campaign", "other"]).isEmpty)

            let table = try await Self.run(scratch, ["calls", "list", "--campaign", "test"])
            #expect(table.output.contains("busy") && !table.output.contains("+1999"), "\(table.output)")
            let whole = try await Self.run(scratch, ["calls", "list", "--campaign", "test", "--with-numbers"])
            #expect(whole.output.contains(called[0]))
            let erased = try await Self.run(scratch, ["contacts", "erase", called[0]])
            #expect(erased.exitCode == 0, "\(erased.errors)")
            let forgotten = try await Self.run(scratch, ["calls", "list", "--contact", called[1]])
            #expect(forgotten.output.contains("erased"), "\(forgotten.output)\(forgotten.errors)")

            #expect(try await Self.run(scratch, ["calls", "list", "--contact", "nobody"]).exitCode == 1)
            for wrong in [
                [], ["--open", "--limit", "0"], ["--campaign", "nowhere"], ["--contact", "x1", "--country", "ZZ"],
            ] {
                #expect(try await Self.run(scratch, ["calls", "list"] + wrong).exitCode == 64, "\(wrong)")
            }
        }
    }

    @Test("one pass of a selector says what it did, and ends with 1 when something is put aside")
    func once() async throws {
        try await Scratch.run { scratch in
            _ = try await Fixtures.runningCampaign(in: scratch.store, contacts: 3)
            let first = try await Self.run(scratch, ["selector", "--once", "--json"])
            #expect(first.exitCode == 0, "\(first.errors)")
            let view = try Self.json(first)
            let campaigns = try #require(view["campaigns"] as? [[String: Any]])
            #expect(campaigns.count == 1 && campaigns[0]["name"] as? String == "test", "\(view)")
            #expect(campaigns[0]["claimed"] as? Int == 3 && campaigns[0]["published"] as? Int == 3, "\(view)")
            let connection = try scratch.connection()
            try await connection.waitUntilReady(timeout: .seconds(60))
            #expect(try await connection.queueStatus(CallTopology.dialQueue(trunk: "default")).messagesReady == 3)
            await connection.close()

            let second = try await Self.run(scratch, ["selector", "--once"])
            #expect(second.exitCode == 0 && second.output.hasPrefix("nobody was claimed"), "\(second.output)")
            _ = try await Fixtures.runningCampaign(in: scratch.store, name: "bad", contacts: 1, first: 500)
            let good = try await Fixtures.runningCampaign(in: scratch.store, name: "good", contacts: 1, first: 600)
            try await scratch.execute(
                "update campaigns set number_limits = '[{\"attempts\": \"x\"}]' where name = 'bad'"
            )
            let third = try await Self.run(scratch, ["selector", "--once"])
            #expect(third.exitCode == 1, "\(third.output)")
            #expect(third.output.contains("campaign   bad") && third.output.contains("good"), "\(third.output)")
            #expect(
                try await scratch.value(
                    "select count(*) from contacts where campaign_id = $1 and call_id is not null",
                    [good]
                )
                    == 1
            )
            #expect(try await Self.run(scratch, ["selector", "--json"]).exitCode == 64)
            let away = try await Product.run(
                ["selector", "--once"],
                ["DATABASE_URL": "postgresql://127.0.0.1:1/none", "AMQP_URL": scratch.brokerURL]
            )
            #expect(away.exitCode == 69, "\(away.errors)")
        }
    }
}
