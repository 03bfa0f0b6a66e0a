// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// `campaign block` and `holidays block`, as campaign managers run them.
@Suite(.timeLimit(.minutes(20)))
struct BlockedDatesCommandTests {
    @Test("dates come from a file or by name, for a campaign or a country, and are freed again")
    func blocked() async throws {
        try await Scratch.run { scratch in
            _ = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1)
            func run(_ arguments: [String]) async throws -> Product.Ended {
                try await Product.run(arguments, ["DATABASE_URL": scratch.databaseURL])
            }
            let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString + ".ics")
            defer { try? FileManager.default.removeItem(at: file) }
            let lines = [
                "BEGIN:VCALENDAR", "VERSION:2.0", "BEGIN:VEVENT", "UID:1", "SUMMARY:Christmas",
                "DTSTART;VALUE=DATE:20991225", "DTEND;VALUE=DATE:20991227", "END:VEVENT", "END:VCALENDAR",
            ]
            try (lines.joined(separator: "\r\n") + "\r\n").write(to: file, atomically: true, encoding: .utf8)
            let campaign = try await run(["campaign", "block", "test", "2099-05-01", "--file", file.path])
            #expect(campaign.exitCode == 0, "\(campaign.errors)")
            #expect(campaign.output.hasPrefix("3 dates blocked; blocked now:\n"), "\(campaign.output)")
            let blocked = "select blocked_dates::text from campaigns"
            #expect(
                try await scratch.value(blocked, as: String.self)
                    == "{[2099-05-01,2099-05-02),[2099-12-25,2099-12-27)}"
            )
            #expect(try await run(["campaign", "unblock", "test", "--file", file.path]).exitCode == 0)
            #expect(try await scratch.value(blocked, as: String.self) == "{[2099-05-01,2099-05-02)}")
            #expect(try await run(["holidays", "block", "FR", "2099-07-14"]).exitCode == 0)
            let listed = try await run(["holidays", "list"])
            #expect(listed.output.contains("FR") && listed.output.contains("2099-07-14"), "\(listed.output)")
            #expect(try await run(["campaign", "block", "test", "--file", "/nowhere.ics"]).exitCode == 64)
            #expect(try await run(["campaign", "block", "test"]).exitCode == 64)
        }
    }
}
