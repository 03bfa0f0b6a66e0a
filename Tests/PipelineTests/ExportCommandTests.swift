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
        if let last = reader.finish() { records.append(last.fields) }
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
