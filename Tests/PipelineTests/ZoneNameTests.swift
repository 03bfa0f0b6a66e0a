// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import TestSupport
import Testing

/// Time zones as people and databases know them.
@Suite(.timeLimit(.minutes(20)))
struct ZoneNameTests {
    private static let rows = [
        ("localtime", nil), ("Factory", nil), ("posixrules", nil), ("posix/Europe/Berlin", nil), ("UTC+2", nil),
        ("Berlin", nil), ("europe/berlin", "Europe/Berlin"), ("AMERICA/NEW YORK", "America/New_York"),
        ("Europe/Kyiv", "Europe/Kyiv"), ("US/Pacific-New", "America/Los_Angeles"),
        ("Asia/Calcutta", "Asia/Calcutta"), ("Etc/GMT+2", "Etc/GMT+2"),
    ]

    @Test("what is no place's zone is refused with the right one; another case or an old name is taken and said")
    func names() async throws {
        try await Scratch.run { scratch in
            let environment = ["DATABASE_URL": scratch.databaseURL]
            _ = try await scratch.store.createCampaign(CampaignSettings(name: "c", timeZone: "Europe/Vienna"))
            let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString + ".csv").path
            defer { for suffix in ["", ".rejects.csv"] { try? FileManager.default.removeItem(atPath: path + suffix) } }
            let lines = Self.rows.enumerated().map { index, row in "+4930231251\(10 + index),\(row.0)" }
            try ("phone_number,time_zone\n" + lines.joined(separator: "\n") + "\n").write(
                toFile: path,
                atomically: true,
                encoding: .utf8
            )
            let ended = try await Product.run(["contacts", "import", path, "--campaign", "c"], environment)
            #expect(ended.output.contains("rejected  6"), "\(ended.output)\(ended.errors)")
            #expect(ended.output.contains("europe/berlin as Europe/Berlin, in 1 row(s)"), "\(ended.output)")
            #expect(ended.output.contains("is it Europe/Berlin?") || ended.output.contains("Europe/Berlin"))
            let rejects = try String(contentsOfFile: path + ".rejects.csv", encoding: .utf8)
            #expect(rejects.contains("is it Europe/Berlin?"), "\(rejects)")
            let stored = try await scratch.value(
                "select string_agg(time_zone, ' ' order by phone_number) from contacts",
                as: String.self
            )
            #expect(stored == Self.rows.compactMap(\.1).joined(separator: " "))
            for zone in ["localtime", "Factory"] {
                let created = try await Product.run(["campaign", "create", "d", "--time-zone", zone], environment)
                #expect(created.exitCode == 64, "\(created.output)")
            }
            for command in [["doctor"], ["migrate"]] {
                let fine = try await Product.run(command, environment)
                #expect(!(fine.output + fine.errors).contains("does not know the time zones"), "\(fine.output)")
            }
            try await scratch.execute("update contacts set time_zone = 'US/Lost' where time_zone = 'Europe/Kyiv'")
            for command in [["doctor"], ["migrate"], ["contacts", "import", path, "--campaign", "c"]] {
                let said = try await Product.run(command, environment)
                let words = said.output + said.errors
                #expect(words.contains("does not know the time zones US/Lost"), "\(words)")
                #expect(words.contains("tzdata-legacy"), "\(words)")
            }
        }
    }

    @Test("a database that is not UTF-8 is noticed")
    func encoding() async throws {
        try await Scratch.run { scratch in
            let name = "latin_\(UUID().uuidString.lowercased().prefix(8))"
            try await scratch.execute("create database \(name) encoding 'SQL_ASCII' locale 'C' template template0")
            var url = try #require(URLComponents(string: scratch.databaseURL))
            url.path = "/" + name
            let environment = ["DATABASE_URL": url.string ?? ""]
            for command in ["migrate", "doctor"] {
                let said = try await Product.run([command], environment)
                #expect((said.output + said.errors).contains("encoding is SQL_ASCII"), "\(said.output)\(said.errors)")
            }
            try await scratch.execute("drop database \(name)")
        }
    }
}
