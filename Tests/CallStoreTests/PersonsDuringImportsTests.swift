// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import Postgres
import TestBasics
import TestSupport
import Testing

/// What persons want, while imports bring them at the same time: it holds, whichever comes first.
@Suite(.timeLimit(.minutes(20)))
struct PersonsDuringImportsTests {
    private static let key = SuppressionKey(secret: "a key of some length")

    private static func row(_ index: Int, consent: Bool? = true, doNotCall: Bool = false) throws -> CallStore.NewContact
    {
        CallStore.NewContact(
            externalID: nil,
            phoneNumber: try Fixtures.number(index),
            email: nil,
            language: nil,
            hasPriorConsent: consent,
            doNotCall: doNotCall,
            timeZone: "Europe/Berlin",
            timeZoneSource: "number"
        )
    }

    private static func begin(
        _ scratch: Scratch,
        _ campaign: UUID,
        key: SuppressionKey? = Self.key
    ) async throws -> CallStore.ContactImport {
        try await scratch.store.beginImport(
            campaign: campaign,
            fileName: "a.csv",
            fileSize: nil,
            fingerprint: nil,
            key: key
        )
    }

    /// One portion of an import.
    private static func add(
        _ scratch: Scratch,
        _ rows: [CallStore.NewContact],
        to current: CallStore.ContactImport
    ) async throws -> CallStore.ContactImport {
        var progress = current.progress
        progress.linesDone += rows.count
        progress.zonesFromNumber += rows.count
        return try await scratch.store.addContacts(.init(rows), to: current, progress: progress)
    }

    private static func waiting(_ scratch: Scratch, _ count: Int) async throws {
        try await eventually("\(count) wait for a lock") {
            try await scratch.value(
                "select count(*) from pg_locks where not granted and locktype = 'advisory' and database = "
                    + "(select oid from pg_database where datname = current_database())",
                as: Int.self
            ) == count
        }
    }

    /// Imports hang when they have inserted this number, until `body` has ended; then what it has begun is waited for.
    private static func hanging(
        _ scratch: Scratch,
        at number: PhoneNumber,
        _ body: (inout ThrowingTaskGroup<Void, any Error>) async throws -> Void
    ) async throws {
        try await scratch.execute(
            """
            create function hang() returns trigger language plpgsql
            as 'begin perform pg_advisory_xact_lock(42); return null; end'
            """
        )
        try await scratch.execute(
            "create trigger hang after insert on contacts for each row when (new.phone_number = '\(number.e164)') "
                + "execute function hang()"
        )
        let client = PostgresClient(
            configuration: try PostgresConfiguration(uri: scratch.databaseURL),
            logger: scratch.logger
        )
        let outcome: Result<Void, any Error>
        do {
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                try await client.withTransaction { connection in
                    try await connection.execute(PostgresStatement("select pg_advisory_xact_lock(42)", prepared: false))
                    try await body(&tasks)
                }
                try await tasks.waitForAll()
            }
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        await client.close()
        try outcome.get()
    }

    @Test(
        "who is erased while an import brings the same number is not brought back by it: the erasure waits for the rows"
    )
    func erasedBehindAnImport() async throws {
        try await Scratch.run { scratch in
            let (store, number) = (scratch.store, try Fixtures.number(1))
            _ = try await Fixtures.runningCampaign(in: store, name: "old", contacts: 3)
            let campaign = try await store.createCampaign(CampaignSettings(name: "new", timeZone: "UTC"))
            let current = try await Self.begin(scratch, campaign)
            try await Self.hanging(scratch, at: number) { tasks in
                tasks.addTask { _ = try await Self.add(scratch, try (0..<3).map { try Self.row($0) }, to: current) }
                try await Self.waiting(scratch, 1)
                tasks.addTask { _ = try await store.erase(number, key: Self.key) }
                try await Self.waiting(scratch, 2)
            }
            #expect(
                try await scratch.value(
                    "select count(*) from contacts where phone_number = $1",
                    [number.e164],
                    as: Int.self
                )
                    == 0
            )
            #expect(
                try await scratch.value("select count(*) from contacts where erased_at is not null", as: Int.self) == 2
            )
        }
    }

    @Test("an import that began before an erasure leaves the person out in its later portions, and counts it")
    func erasedBeforeAPortion() async throws {
        try await Scratch.run { scratch in
            let (store, number) = (scratch.store, try Fixtures.number(1))
            _ = try await Fixtures.runningCampaign(in: store, name: "old", contacts: 3)
            let campaign = try await store.createCampaign(CampaignSettings(name: "new", timeZone: "UTC"))
            var current = try await Self.begin(scratch, campaign)
            current = try await Self.add(scratch, [try Self.row(0)], to: current)
            #expect(try await store.erase(number, key: Self.key).contacts == 1)
            current = try await Self.add(scratch, try [1, 2, 1].map { try Self.row($0) }, to: current)
            #expect((current.progress.added, current.progress.erased) == (2, 2))
            #expect(
                (current.progress.present, current.progress.repeated, current.progress.zonesFromNumber) == (0, 0, 2)
            )
            let resumed = try await scratch.value("select max(rows_erased) from contact_imports", as: Int.self)
            #expect(resumed == 2)
        }
    }

    @Test("without the key an import stops as soon as somebody is erased: it could not tell whom to leave out")
    func withoutTheKey() async throws {
        try await Scratch.run { scratch in
            let store = scratch.store
            _ = try await Fixtures.runningCampaign(in: store, name: "old", contacts: 3)
            let campaign = try await store.createCampaign(CampaignSettings(name: "new", timeZone: "UTC"))
            let current = try await Self.add(scratch, [try Self.row(0)], to: Self.begin(scratch, campaign, key: nil))
            _ = try await store.erase(try Fixtures.number(1), key: Self.key)
            for attempt in [
                { _ = try await Self.add(scratch, [try Self.row(1)], to: current) },
                { _ = try await Self.begin(scratch, campaign, key: nil) },
                { _ = try await store.addContacts([try Self.row(1)], campaign: campaign) },
            ] as [@Sendable () async throws -> Void] {
                let error = await #expect(throws: StoreError.self) { try await attempt() }
                #expect(error?.message.contains("SUPPRESSION_KEY") == true)
            }
            #expect(
                try await scratch.value(
                    "select count(*) from contacts where campaign_id = $1",
                    [campaign],
                    as: Int.self
                ) == 1
            )
        }
    }

    @Test("imports and erasures that race: whoever was erased is nowhere", arguments: 0..<3)
    func races(seed: UInt64) async throws {
        try await Scratch.run { scratch in
            let store = scratch.store
            _ = try await Fixtures.runningCampaign(in: store, name: "old", contacts: 24)
            let campaign = try await store.createCampaign(CampaignSettings(name: "new", timeZone: "UTC"))
            var random = SeededRandom(seed: seed)
            let portions = (0..<24).shuffled(using: &random)
            let persons = (0..<24).shuffled(using: &random).prefix(12)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    var current = try await Self.begin(scratch, campaign)
                    for index in portions { current = try await Self.add(scratch, [try Self.row(index)], to: current) }
                }
                group.addTask {
                    for index in persons { _ = try await store.erase(try Fixtures.number(index), key: Self.key) }
                }
                try await group.waitForAll()
            }
            let numbers = try persons.map { try Fixtures.number($0).e164 }
            let left = try await scratch.value(
                "select count(*) from contacts where phone_number = any ($1::text[])",
                [numbers],
                as: Int.self
            )
            #expect(left == 0)
            let others = try await scratch.value(
                "select count(*) from contacts where phone_number is not null",
                as: Int.self
            )
            #expect(others == 24)
        }
    }

    @Test("consent that is withdrawn while an import says it is given is not given: the withdrawal waits for the rows")
    func withdrawnBehindAnImport() async throws {
        try await Scratch.run { scratch in
            let (store, number) = (scratch.store, try Fixtures.number(1))
            let campaign = try await Fixtures.runningCampaign(in: store, contacts: 1) { $0.requiresConsent = true }
            let current = try await Self.begin(scratch, campaign)
            try await Self.hanging(scratch, at: number) { tasks in
                tasks.addTask { _ = try await Self.add(scratch, [try Self.row(1)], to: current) }
                try await Self.waiting(scratch, 1)
                tasks.addTask { _ = try await store.setConsent(false, number: number, campaign: nil) }
                try await Self.waiting(scratch, 2)
            }
            #expect(try await Calls.claim(scratch, campaign).count == 1)
            let consent = try await scratch.value(
                "select has_prior_consent from contacts where phone_number = $1",
                [number.e164],
                as: Bool.self
            )
            #expect(!consent)
        }
    }

    @Test(
        "of two imports that bring a number at once, the stricter row counts, whichever is first",
        arguments: [true, false]
    )
    func twoImports(isStrictFirst: Bool) async throws {
        try await Scratch.run { scratch in
            let store = scratch.store
            let number = try Fixtures.number(1)
            let campaign = try await Fixtures.runningCampaign(in: store, contacts: 1)
            let first = try await Self.begin(scratch, campaign)
            let second = try await Self.begin(scratch, campaign)
            try await Self.hanging(scratch, at: number) { tasks in
                tasks.addTask {
                    _ = try await Self.add(scratch, [try Self.row(1, doNotCall: isStrictFirst)], to: first)
                }
                try await Self.waiting(scratch, 1)
                tasks.addTask {
                    _ = try await Self.add(scratch, [try Self.row(1, doNotCall: !isStrictFirst)], to: second)
                }
                try await eventually("the second import waits for the row") {
                    try await scratch.value(
                        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
                        as: Int.self
                    ) == 2
                }
            }
            let state = try await scratch.value(
                "select concat_ws('|', state, do_not_call, excluded_reason) from contacts where phone_number = $1",
                [number.e164],
                as: String.self
            )
            #expect(state == "excluded|t|do_not_call")
            let barred = try await scratch.value("select sum(rows_barred)::bigint from contact_imports", as: Int.self)
            #expect(barred == (isStrictFirst ? 0 : 1))
        }
    }
}
