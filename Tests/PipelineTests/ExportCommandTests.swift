// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import TestSupport
import Testing

/// The export as operators use it.
@Suite(.timeLimit(.minutes(20)))
struct ExportCommandTests {
    private static func campaign(_ scratch: Scratch) async throws {
        let campaign = try await scratch.store.createCampaign(CampaignSettings(name: "c", timeZone: "UTC"))
        let contacts = try (0..<5).map { index in
            CallStore.NewContact(
                externalID: index == 3 ? "Müller, \"Jo\"\nBerlin" : "x\(index)",
                phoneNumber: try Fixtures.number(index),
                email: nil,
                language: nil,
                hasPriorConsent: true,
                doNotCall: false,
                timeZone: nil
            )
        }
        _ = try await scratch.store.addContacts(contacts, campaign: campaign)
    }

    private static func records(_ text: String) -> [[String]] {
        var reader = CSVReader()
        var records = reader.read(Data(text.utf8)).map(\.fields)
        while let last = reader.finish() { records.append(last.fields) }
        return records
    }

    @Test("contacts go to standard output, masked if wished, and read back as they are")
    func standardOutput() async throws {
        try await Scratch.run { scratch in
            try await Self.campaign(scratch)
            let environment = ["DATABASE_URL": scratch.databaseURL]
            let plain = try await Product.run(["campaign", "export", "c", "--contacts", "-"], environment)
            #expect(plain.exitCode == 0, "\(plain.errors)")
            let records = Self.records(plain.output)
            #expect(records.first == CallStore.Export.contacts.columns)
            #expect(records.count == 6)
            #expect(records[4][1] == "Müller, \"Jo\"\nBerlin")
            #expect(records[4][2] == (try Fixtures.number(3)).e164)
            let masked = try await Product.run(
                ["campaign", "export", "c", "--contacts", "-", "--mask-numbers"],
                environment
            )
            #expect(Self.records(masked.output)[4][2] == "+***03")
            #expect(!masked.output.contains("+1999"))
        }
    }

    @Test("cells that a spreadsheet would run are text on request, and come back as they were")
    func spreadsheets() async throws {
        let ids = [
            "=1+1", "+x", "-x", "@x", "'=x", "''=x", "'plain", "a=b", "x", "＝x", "=cmd|' /C calc'!A0", "-1", "'",
        ]
        try await Scratch.run { scratch in
            let campaign = try await scratch.store.createCampaign(CampaignSettings(name: "c", timeZone: "UTC"))
            _ = try await scratch.store.createCampaign(CampaignSettings(name: "again", timeZone: "UTC"))
            let contacts = try ids.enumerated().map { index, id in
                CallStore.NewContact(
                    externalID: id,
                    phoneNumber: try Fixtures.number(index),
                    email: "=1@example.org",
                    language: nil,
                    hasPriorConsent: true,
                    doNotCall: false,
                    timeZone: "Europe/Berlin"
                )
            }
            _ = try await scratch.store.addContacts(contacts, campaign: campaign)
            let environment = ["DATABASE_URL": scratch.databaseURL]
            let export = ["campaign", "export", "c", "--contacts"]
            let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString + ".csv").path
            defer { try? FileManager.default.removeItem(atPath: path) }
            let plain = try await Product.run(export + ["-"], environment)
            let safe = try await Product.run(export + [path, "--for-spreadsheets"], environment)
            #expect(safe.exitCode == 0, "\(safe.errors)")
            let written = Self.records(try String(contentsOfFile: path, encoding: .utf8))
            let starters: Set<Character> = ["=", "+", "-", "@", "\t", "\r", "＝"]
            #expect(!written.joined().contains { $0.first.map(starters.contains) == true })
            #expect(Self.records(plain.output).map { $0.map(SpreadsheetCell.harmless) } == written)
            #expect(Self.records(plain.output) == written.map { $0.map(SpreadsheetCell.original) })
            let load = ["contacts", "import", path, "--campaign", "again", "--ignore-other-columns"]
            let loaded = try await Product.run(load, environment)
            #expect(loaded.output.contains("added     \(ids.count)"), "\(loaded.output)\(loaded.errors)")
            let different = try await scratch.value(
                """
                select count(*) from contacts a join contacts b on a.phone_number = b.phone_number and a.id < b.id
                where a.external_contact_id is distinct from b.external_contact_id
                """,
                as: Int.self
            )
            #expect(different == 0)
            let evidence = try await Product.run(
                ["audit", "--from", "2026-01-01", "--evidence", path, "--for-spreadsheets"],
                environment
            )
            #expect(evidence.exitCode == 0, "\(evidence.errors)")
        }
    }

    @Test("a file appears whole or not at all, and one place takes one table")
    func files() async throws {
        try await Scratch.run { scratch in
            try await Self.campaign(scratch)
            let environment = ["DATABASE_URL": scratch.databaseURL]
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            let contacts = folder.appendingPathComponent("contacts.csv").path
            let attempts = folder.appendingPathComponent("attempts.csv").path
            let written = try await Product.run(
                ["campaign", "export", "c", "--contacts", contacts, "--attempts", attempts],
                environment
            )
            #expect(written.exitCode == 0, "\(written.errors)")
            #expect(written.output.isEmpty)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).count == 2)
            #expect(Self.records(try String(contentsOfFile: attempts, encoding: .utf8)).count == 1)
            // The second table cannot be read: its file is not there, the first one is whole.
            try await scratch.execute("alter table call_attempts rename column policy to mislaid")
            try FileManager.default.removeItem(atPath: attempts)
            let failed = try await Product.run(
                ["campaign", "export", "c", "--contacts", contacts, "--attempts", attempts],
                environment
            )
            #expect(failed.exitCode != 0)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["contacts.csv"])
            let same = try await Product.run(
                ["campaign", "export", "c", "--contacts", "-", "--attempts", "-"],
                environment
            )
            #expect(same.exitCode == 64)
            let none = try await Product.run(["campaign", "export", "c"], environment)
            #expect(none.exitCode == 64)
        }
    }
}
