// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import TestSupport
import Testing

/// Rows that an import rejects, of persons who do not want to be called.
@Suite(.timeLimit(.minutes(4)))
struct RejectedRowTests {
    private static func load(_ rows: String, _ scratch: Scratch) async throws -> Product.Ended {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer {
            for suffix in ["", ".rejects.csv"] { try? FileManager.default.removeItem(atPath: file.path + suffix) }
        }
        let header = "phone_number,email,has_prior_consent,time_zone,region,cell,do_not_call\n"
        try (header + rows).write(to: file, atomically: true, encoding: .utf8)
        return try await Product.run(
            ["contacts", "import", file.path, "--campaign", "c"],
            ["DATABASE_URL": scratch.databaseURL, "SUPPRESSION_KEY": "the key of those who are forgotten"]
        )
    }

    private static func with(_ body: @Sendable (Scratch) async throws -> Void) async throws {
        try await Scratch.run { scratch in
            var settings = CampaignSettings(name: "c", timeZone: "UTC")
            settings.window = nil
            _ = try await scratch.store.createCampaign(settings)
            try await body(scratch)
        }
    }

    @Test(
        "a wish not to be called counts, whatever is wrong with the rest of its row, before, after or without its contact",
        arguments: zip(
            [
                "+4930901820,nobody,,,,,yes", "+4930901820,,perhaps,,,,true", "+4930901820,,,Mars/Olympus,,,1",
                "+4930901820,,,,Germany,,y", "+4930901820,,,,XX,,t", "+4930901820,,,,,<b>,TRUE",
            ],
            ["", "before", "behind", "elsewhere", "behind", "before"]
        )
    )
    func barred(row: String, contact: String) async throws {
        try await Self.with { scratch in
            let good = "+4930901820,a@example.org,yes,,,,no\n"
            switch contact {
            case "": _ = try await Self.load(row + "\n", scratch)
            case "before": _ = try await Self.load(good + row + "\n", scratch)
            case "behind": _ = try await Self.load(row + "\n" + good, scratch)
            default:
                _ = try await Self.load(good, scratch)
                let ended = try await Self.load(row + "\n+498921830,,,,,,\n", scratch)
                #expect(ended.exitCode == 0 && ended.output.contains("rejected  1"), "\(ended.output)\(ended.errors)")
                #expect(ended.output.contains("its number is excluded"), "\(ended.output)")
            }
            if contact.isEmpty { _ = try await Self.load(good, scratch) }
            let state = try await scratch.value(
                "select state from contacts where phone_number = '+4930901820'",
                as: String.self
            )
            #expect(state == "excluded")
        }
    }

    @Test(
        "a row that says nothing of it, or whose number nobody can read, bars nobody; nor does it keep who was forgotten"
    )
    func notBarred() async throws {
        try await Self.with { scratch in
            let rows = "+4930901820,nobody,,,,,\n+4930901820,nobody,,,,,no\nMüller,,,,,,yes\n+4930901820,,,,,,,yes\n"
            let ended = try await Self.load(rows, scratch)
            #expect(ended.output.contains("rejected  4"), "\(ended.output)\(ended.errors)")
            #expect(try await scratch.value("select count(*) from campaign_exclusions", as: Int.self) == 0)
            try await scratch.store.addExclusions([try PhoneNumber("+498921830")], reason: nil, source: "api")
            let key = SuppressionKey(secret: "the key of those who are forgotten")
            _ = try await scratch.store.erase(try PhoneNumber("+498921830"), key: key)
            _ = try await Self.load("+498921830,nobody,,,,,yes\n", scratch)
            #expect(try await scratch.value("select count(*) from campaign_exclusions", as: Int.self) == 0)
        }
    }
}
