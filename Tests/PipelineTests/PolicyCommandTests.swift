// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import TestSupport
import Testing

/// Policies as operators use them.
@Suite(.timeLimit(.minutes(20)))
struct PolicyCommandTests {
    @Test("create says what the policy tightens, show what is in force, and a window outside the policy is refused")
    func create() async throws {
        try await Scratch.run { scratch in
            let environment = ["DATABASE_URL": scratch.databaseURL]
            let created = try await Product.run(
                ["campaign", "create", "c", "--time-zone", "Europe/Paris", "--max-attempts", "10", "--policy", "fr"],
                environment
            )
            #expect(created.exitCode == 0, "\(created.errors)")
            for text in [
                "Mon-Sun 09:00-20:00 becomes Mon-Fri 10:00-13:00, 14:00-20:00", "10 becomes 8", "no legal advice",
                "prior consent",
            ] {
                #expect(created.output.contains(text), "\(text) in: \(created.output)")
            }
            let shown = try await Product.run(["campaign", "show", "c"], environment)
            for text in ["fr@", "Mon-Fri 10:00-13:00, 14:00-20:00", "4 per 31 d", "2026-12-25", "required"] {
                #expect(shown.output.contains(text), "\(text) in: \(shown.output)")
            }
            let outside = try await Product.run(
                [
                    "campaign", "create", "d", "--time-zone", "Europe/Paris", "--window", "21:00-23:00", "--policy",
                    "fr",
                ],
                environment
            )
            #expect(outside.exitCode == 64)
            #expect(outside.errors.contains("window: Mon-Sun 21:00-23:00 lies wholly outside"))
            let changed = try await Product.run(["campaign", "policy", "c", "--policy", "cautious"], environment)
            #expect(changed.exitCode == 0, "\(changed.errors)")
            let list = try await Product.run(["policy", "list", "--json"], environment)
            #expect(list.output.contains("\"name\" : \"cautious\""))
        }
    }

    @Test(
        "a caller ID that the policy forbids is refused at creation, by set and by policy; show and check tell the rules"
    )
    func callerID() async throws {
        try await Scratch.run { scratch in
            @Sendable func run(_ arguments: String...) async throws -> Product.Ended {
                try await Product.run(Array(arguments), ["DATABASE_URL": scratch.databaseURL])
            }
            let mobile = "+33612345678"
            let create = ["campaign", "create", "c", "--time-zone", "Europe/Paris", "--policy", "fr-research"]
            let refused = try await Product.run(
                create + ["--caller-id", mobile],
                ["DATABASE_URL": scratch.databaseURL]
            )
            #expect(refused.exitCode == 64 && refused.errors.contains("caller-id: numbers of FR that begin with +336"))
            #expect(!refused.errors.contains(mobile))
            let created = try await Product.run(
                create + ["--caller-id", "+33162005555"],
                ["DATABASE_URL": scratch.databaseURL]
            )
            #expect(created.exitCode == 0, "\(created.errors)")
            #expect(created.output.contains("the interview must begin with: Vous parlez"))
            let set = try await run("campaign", "set", "c", "--caller-id", mobile)
            #expect(set.exitCode != 0 && set.errors.contains("begin with +336"), "\(set.errors)")
            let shown = try await run("campaign", "show", "c")
            for text in ["+33162005555", "not +331", "but +33162", "Vous parlez"] {
                #expect(shown.output.contains(text), "\(text) in: \(shown.output)")
            }
            let checked = try await run("campaign", "check", "c")
            #expect(checked.output.contains("must begin with: Vous parlez"), "\(checked.output)")
            let other = try await run(
                "campaign",
                "create",
                "d",
                "--time-zone",
                "Europe/Paris",
                "--caller-id",
                mobile
            )
            #expect(other.exitCode == 0)
            let applied = try await run("campaign", "policy", "d", "--policy", "fr")
            #expect(applied.exitCode != 0 && applied.errors.contains("begin with +336"), "\(applied.errors)")
        }
    }

    @Test("list and doctor say which policy is overdue for review, doctor only while a campaign is under it")
    func overdue() async throws {
        try await Scratch.run { scratch in
            let environment = ["DATABASE_URL": scratch.databaseURL]
            let policy = try #require(try CallStore.shippedPolicies().first { $0.name == "us" })
            let document = policy.document.replacing(try #require(policy.reviewBy), with: "2020-01-01")
                .replacing("\"\(policy.version)\"", with: "\"2019-01-01\"")
            let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString + ".json")
            defer { try? FileManager.default.removeItem(at: file) }
            try Data(document.utf8).write(to: file)
            let created = try await Product.run(
                ["campaign", "create", "late", "--time-zone", "UTC", "--policy-file", file.path],
                environment
            )
            #expect(created.exitCode == 0, "\(created.errors)")
            #expect(try await Product.run(["policy", "list"], environment).output.contains("2020-01-01, overdue"))
            let words = "policy us@2019-01-01: was to be looked at again by 2020-01-01; under it: late"
            #expect(try await Product.run(["doctor"], environment).output.contains(words))
            let checked = try await Product.run(["campaign", "check", "late"], environment)
            #expect(checked.output.contains("to be looked at again by 2020-01-01"), "\(checked.output)")
            _ = try await Product.run(["campaign", "cancel", "late"], environment)
            #expect(try await !Product.run(["doctor"], environment).output.contains(words))
        }
    }

    @Test("consent is recorded with its day, source and proof, and only when it is given")
    func consent() async throws {
        try await Scratch.run { scratch in
            let environment = ["DATABASE_URL": scratch.databaseURL]
            let campaign = try await scratch.store.createCampaign(CampaignSettings(name: "c", timeZone: "UTC"))
            let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString + ".csv")
            defer { try? FileManager.default.removeItem(at: file) }
            let rows = """
                phone_number,has_prior_consent,consent_at,consent_source,consent_proof
                +493023125140,yes,2026-03-04,web form,form 12
                +493023125141,yes,2026-03-04T09:30+01:00,,

                """
            try Data(rows.utf8).write(to: file)
            let imported = try await Product.run(["contacts", "import", file.path, "--campaign", "c"], environment)
            #expect(imported.exitCode == 0, "\(imported.errors)")
            func known() async throws -> [String] {
                try await scratch.value(
                    """
                    select array_agg(concat_ws('|', to_char(consent_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI'),
                        consent_source, consent_proof) order by phone_number)
                    from contacts where campaign_id = $1
                    """,
                    [campaign],
                    as: [String].self
                )
            }
            #expect(try await known() == ["2026-03-04 00:00|web form|form 12", "2026-03-04 08:30"])
            let given = try await Product.run(
                [
                    "contacts", "consent", "+493023125141", "--given", "--at", "2026-05-06", "--source", "letter",
                    "--proof", "box 7",
                ],
                environment
            )
            #expect(given.exitCode == 0, "\(given.errors)")
            #expect(try await known()[1] == "2026-05-06 00:00|letter|box 7")
            for wrong in [["--given", "--at", "06.05.2026"], ["--withdrawn", "--at", "2026-05-06"]] {
                let ended = try await Product.run(["contacts", "consent", "+493023125141"] + wrong, environment)
                #expect(ended.exitCode == 64, "\(ended.errors)")
            }
        }
    }

    @Test("a document with a misspelt field is refused with the place of it")
    func check() async throws {
        let document = try #require(try CallStore.shippedPolicies().first { $0.name == "us" }).document
        let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString + ".json")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data(document.utf8).write(to: file)
        let good = try await Product.run(["policy", "check", file.path])
        #expect(good.exitCode == 0, "\(good.errors)")
        #expect(good.output.contains("47 CFR 64.1200(c)(1)"))
        try Data(document.replacing("\"limits\"", with: "\"limit\"").utf8).write(to: file)
        let bad = try await Product.run(["policy", "check", file.path])
        #expect(bad.exitCode == 64)
        #expect(bad.errors.contains("$.limit: is not a field here"), "\(bad.errors)")
    }
}
