// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import NIOConcurrencyHelpers
import Postgres
import TestBasics
import TestSupport

@testable import struct ProviderSimulator.SeededGenerator

/// Forgets persons while a file is imported in which they are, before and behind.
final class Erasures: Sendable {
    /// Where the file goes; nobody is called in it.
    static let campaign = "imports"
    /// More than an import commits together.
    private static let portion = 14_000

    private let house: FaultHouse
    private let numbers = NIOLockedValueBox<[String: Date]>([:])

    init(house: FaultHouse) async throws {
        self.house = house
        var settings = CampaignSettings(name: Self.campaign, timeZone: "UTC")
        settings.window = nil
        _ = try await house.store.createCampaign(settings)
    }

    /// Who was forgotten, and when that was done.
    var erased: [String: Date] { self.numbers.withLockedValue(\.self) }

    /// - Returns: Whether somebody was forgotten while the import was under way.
    func erase(using random: inout SeededGenerator) async throws -> Bool {
        guard let number = try await self.person(draw: random.next()) else { return false }
        let place = Int.random(in: 0..<10_000, using: &random)
        let folder = self.house.folder.appendingPathComponent("import-\(random.next())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let filler = String(repeating: "x", count: 40)
        var rows = try (0..<Self.portion).map {
            "\(try Fixtures.number(5_000_000 + $0).e164),\(filler)-\(100_000 + $0)"
        }
        rows[place] = number + ",before"
        try (rows.joined(separator: "\n") + "\n").write(
            to: folder.appendingPathComponent("first"),
            atomically: true,
            encoding: .utf8
        )
        try (number + ",behind\n").write(to: folder.appendingPathComponent("rest"), atomically: true, encoding: .utf8)
        // The import reads a pipe, in which the same rows come again and again until the person is forgotten.
        let writer = try Child(
            "/bin/bash",
            [
                "-c",
                """
                cd '\(folder.path)' && mkfifo pipe && exec 3>pipe
                echo phone_number,external_contact_id >&3
                until [[ -e go ]]; do cat first >&3; sleep 0.2; done
                cat rest >&3
                """,
            ],
            environment: ["PATH": "/usr/bin:/bin"],
            output: "/dev/null",
            errors: "/dev/null"
        )
        defer { writer.send(SIGKILL) }
        let pipe = folder.appendingPathComponent("pipe").path
        try await eventually("there is a pipe") { FileManager.default.fileExists(atPath: pipe) }
        let before = try await self.read()
        let load = try RunningRole(
            ["contacts", "import", pipe, "--campaign", Self.campaign, "--allow-unassigned"],
            self.house.operatorEnvironment
        )
        defer { load.send(SIGKILL) }
        try await eventually("a portion is in") { try await self.read() > before || !load.isRunning }
        let isErased = try await self.erase(number)
        let isDuring = load.isRunning
        _ = FileManager.default.createFile(atPath: folder.appendingPathComponent("go").path, contents: nil)
        try await eventually("the import has ended") { !load.isRunning }
        self.house.log.note("import: \(load.end.map { "\($0)" } ?? "-"), erased: \(isErased)")
        return isErased && isDuring && load.end == .exit(0)
    }

    /// How many rows imports have read so far.
    private func read() async throws -> Int {
        try await self.house.count("select coalesce(sum(rows_read), 0)::bigint from contact_imports")
    }

    /// - Returns: Whether nobody knows the number any more.
    private func erase(_ number: String) async throws -> Bool {
        let ended = try await Product.run(["contacts", "erase", number], self.house.operatorEnvironment)
        // What has ended badly may have been done all the same.
        let left = try await self.house.count("select count(*) from contacts where phone_number = '\(number)'")
        guard left == 0 else {
            self.house.log.note("erase: \(ended.exitCode) \(ended.errors)")
            if ended.exitCode == 0 { self.house.log.unexpected("an erased number is still there") }
            return false
        }
        self.numbers.withLockedValue { $0[number] = Date() }
        return true
    }

    /// Somebody with a past, who is not being called.
    private func person(draw: UInt64) async throws -> String? {
        try await self.house.rows(
            """
            select c.phone_number from contacts c join campaigns k on k.id = c.campaign_id and k.name = 'main'
            where c.phone_number is not null and c.attempts_count > 0 and c.state in ('not_reached', 'completed')
                and not exists (select from exclusion_list_entries e where e.phone_number = c.phone_number)
            order by md5(c.external_contact_id || '\(draw)') limit 1
            """
        ).first?.decode(String.self, at: 0)
    }
}
