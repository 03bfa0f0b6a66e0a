// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import TestSupport
import Testing

/// Of several rows about one person the stricter word counts, whichever row or import brings it, in any order.
@Suite(.timeLimit(.minutes(20)))
struct StricterRowTests {
    private static func row(_ index: Int, _ consent: Bool?, _ doNotCall: Bool) throws -> CallStore.NewContact {
        CallStore.NewContact(
            externalID: nil,
            phoneNumber: try Fixtures.number(index),
            email: nil,
            language: nil,
            hasPriorConsent: consent,
            doNotCall: doNotCall,
            timeZone: nil
        )
    }

    @Test(
        "two rows about one person, in either order, in one import or two, end in the same",
        arguments: [
            (first: (true, false), second: (true, true), state: "excluded|t|t"),
            (first: (true, false), second: (false, false), state: "excluded|f|f"),
            (first: (true, true), second: (false, false), state: "excluded|f|t"),
            (first: (true, false), second: (true, false), state: "pending|t|f"),
        ] as [(first: (Bool?, Bool), second: (Bool?, Bool), state: String)],
        [true, false]
    )
    func twoRows(words: (first: (Bool?, Bool), second: (Bool?, Bool), state: String), isOneImport: Bool) async throws {
        for isReversed in [false, true] {
            try await Scratch.run { scratch in
                let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1, first: 5) {
                    $0.requiresConsent = true
                }
                let rows = try (isReversed ? [words.second, words.first] : [words.first, words.second]).map {
                    try Self.row(0, $0.0, $0.1)
                }
                for portion in isOneImport ? [rows] : rows.map({ [$0] }) {
                    _ = try await scratch.store.addContacts(portion, campaign: campaign)
                }
                let state = try await scratch.value(
                    "select concat_ws('|', state, has_prior_consent, do_not_call) from contacts where phone_number = $1",
                    [try Fixtures.number(0).e164],
                    as: String.self
                )
                #expect(state == words.state, "reversed: \(isReversed)")
                let callable = try await Calls.claim(scratch, campaign).count
                #expect(callable == (words.state.hasPrefix("pending") ? 2 : 1))
            }
        }
    }

    @Test(
        "a row that bars a person acts at once: on what is queued, in a call, resting and over",
        arguments: [true, false]
    )
    func states(isDoNotCall: Bool) async throws {
        try await Scratch.run { scratch in
            let store = scratch.store
            let campaign = try await Fixtures.runningCampaign(in: store, contacts: 5) {
                $0.requiresConsent = true
                $0.retryIntervalMinutes = 60
            }
            var requests = try await Calls.claim(scratch, campaign, 3)
            let called = try await Calls.begin(scratch, requests)
            try await Calls.end(scratch, [called[0]], .completed)
            try await Calls.end(scratch, [called[1]], .busy)
            requests = try await Calls.claim(scratch, campaign, 1)
            let rows = try (0..<5).map { try Self.row($0, isDoNotCall, isDoNotCall) }
            let count = try await store.addContacts(rows, campaign: campaign)
            #expect((count.added, count.barred, count.withdrawn) == (0, isDoNotCall ? 5 : 0, isDoNotCall ? 0 : 5))
            #expect(try await Calls.begin(scratch, requests).isEmpty)
            try await store.markPlaced([(called[2], "CA1", "queued")])
            #expect(try await store.callsToCancel(among: [called[2]]) == [called[2]])
            #expect(try await Calls.claim(scratch, campaign).isEmpty)
            try await Calls.end(scratch, [called[2]], .canceled)
            let states = try await scratch.value(
                "select string_agg(state, ' ' order by state) from contacts",
                as: String.self
            )
            #expect(states == "completed excluded excluded excluded excluded")
            // A second time it changes nothing.
            #expect(try await store.addContacts(rows, campaign: campaign) == CallStore.ImportCount())
        }
    }

    @Test("an import grants no consent to a contact that is there, and withdraws none by saying nothing")
    func noGrant() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1) {
                $0.requiresConsent = true
            }
            _ = try await scratch.store.addContacts([try Self.row(1, nil, false)], campaign: campaign)
            let count = try await scratch.store.addContacts(
                [try Self.row(0, nil, false), try Self.row(1, true, false)],
                campaign: campaign
            )
            #expect(count == CallStore.ImportCount())
            #expect(try await Calls.claim(scratch, campaign).count == 1)
        }
    }

    @Test("a resumed import tells of what its earlier portions have made stricter")
    func progress() async throws {
        try await Scratch.run { scratch in
            let store = scratch.store
            let campaign = try await Fixtures.runningCampaign(in: store, contacts: 2)
            let begin: @Sendable () async throws -> CallStore.ContactImport = {
                try await store.beginImport(campaign: campaign, fileName: "a", fileSize: 1, fingerprint: "f")
            }
            var progress = try await begin().progress
            progress.linesDone = 2
            let rows = try [Self.row(0, true, true), Self.row(1, false, false), Self.row(0, true, true)]
            _ = try await store.addContacts(.init(rows), to: try await begin(), progress: progress)
            let resumed = try await begin().progress
            #expect((resumed.barred, resumed.withdrawn, resumed.present) == (1, 1, 3))
        }
    }
}
