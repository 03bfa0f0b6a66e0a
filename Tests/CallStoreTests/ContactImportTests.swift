// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(20)))
struct ContactImportTests {
    private static func rows(_ numbers: Range<Int>) throws -> [CallStore.NewContact] {
        try numbers.map { index in
            CallStore.NewContact(
                externalID: nil,
                phoneNumber: try Fixtures.number(index),
                email: nil,
                language: nil,
                hasPriorConsent: true,
                doNotCall: index == 7,
                timeZone: "America/Chicago,America/New_York",
                timeZoneSource: "number",
                region: "US",
                cell: "tab\tcell"
            )
        }
    }

    @Test("an import counts what is new, what the campaign had before, and what came twice; it goes on where it was")
    func checkpoint() async throws {
        try await Scratch.run { scratch in
            let store = scratch.store
            let campaign = try await store.createCampaign(CampaignSettings(name: "c", timeZone: "UTC"))
            _ = try await store.addContacts(Self.rows(0..<5), campaign: campaign)
            var current = try await store.beginImport(
                campaign: campaign,
                fileName: "a.csv",
                fileSize: 10,
                fingerprint: "f"
            )
            #expect(current.progress == CallStore.ImportProgress())
            var progress = current.progress
            progress.linesDone = 11
            progress.read = 12
            progress.rejected = 2
            progress.rejectsBytes = 40
            current = try await store.addContacts(.init(Self.rows(3..<13)), to: current, progress: progress)
            #expect((current.progress.added, current.progress.excluded) == (8, 1))
            #expect((current.progress.present, current.progress.repeated) == (2, 0))
            progress = current.progress
            progress.linesDone = 20
            let twice = try Self.rows(10..<15) + Self.rows(14..<15)
            current = try await store.addContacts(.init(twice), to: current, progress: progress)
            #expect((current.progress.added, current.progress.present, current.progress.repeated) == (10, 2, 4))
            let resumed = try await store.beginImport(
                campaign: campaign,
                fileName: "a.csv",
                fileSize: 10,
                fingerprint: "f"
            )
            #expect(resumed == current)
            let other = try await store.beginImport(
                campaign: campaign,
                fileName: "a.csv",
                fileSize: 10,
                fingerprint: "g"
            )
            #expect(other.id != current.id)
            let zones = try await scratch.value("select min(time_zone) from contacts", as: String.self)
            #expect(zones == "America/Chicago,America/New_York")
            let ids = try await scratch.value(
                """
                select count(*) filter (where id::text ~ '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-')
                from contacts
                """,
                as: Int.self
            )
            #expect(ids == 15)
        }
    }

    @Test("of two processes with the same import one gives way and adds nothing")
    func race() async throws {
        try await Scratch.run { scratch in
            let store = scratch.store
            let campaign = try await store.createCampaign(CampaignSettings(name: "c", timeZone: "UTC"))
            let first = try await store.beginImport(
                campaign: campaign,
                fileName: "a.csv",
                fileSize: nil,
                fingerprint: "f"
            )
            let second = try await store.beginImport(
                campaign: campaign,
                fileName: "a.csv",
                fileSize: nil,
                fingerprint: "f"
            )
            #expect(first.id == second.id)
            var progress = first.progress
            progress.linesDone = 3
            _ = try await store.addContacts(.init(Self.rows(0..<2)), to: first, progress: progress)
            let late = progress
            let error = await #expect(throws: StoreError.self) {
                try await store.addContacts(.init(Self.rows(2..<4)), to: second, progress: late)
            }
            #expect(error?.message.contains("another process") == true)
            #expect(try await scratch.value("select count(*) from contacts", as: Int.self) == 2)
        }
    }

    @Test("a finished import begins anew, and so does every import of a pipe")
    func finished() async throws {
        try await Scratch.run { scratch in
            let store = scratch.store
            let campaign = try await store.createCampaign(CampaignSettings(name: "c", timeZone: "UTC"))
            var ids: Set<UUID> = []
            for fingerprint in ["f", "f", nil, nil] {
                let current = try await store.beginImport(
                    campaign: campaign,
                    fileName: "a",
                    fileSize: nil,
                    fingerprint: fingerprint
                )
                ids.insert(current.id)
                if fingerprint != nil { try await store.finishImport(current) }
            }
            #expect(ids.count == 4)
        }
    }
}
