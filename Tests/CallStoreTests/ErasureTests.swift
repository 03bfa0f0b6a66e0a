// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import TestSupport
import Testing

/// Who was forgotten stays forgotten; what an erasure leaves in the tables is told by ``EvidenceTests``.
@Suite(.timeLimit(.minutes(20)))
struct ErasureTests {
    @Test(
        "a report that comes late, or again, brings nothing back of who was forgotten",
        arguments: ["erased", "retained"]
    )
    func lateReports(way: String) async throws {
        try await Scratch.run { scratch in
            let store = scratch.store
            let campaign = try await Fixtures.runningCampaign(in: store, contacts: 1)
            let callIDs = try await Calls.begin(scratch, try await Calls.claim(scratch, campaign))
            try await store.markPlaced([(callIDs[0], "CA1", "queued")])
            let event = CallEvent(
                callID: callIDs[0],
                providerCallID: "CA1",
                status: .completed,
                occurredAt: Date()
            )
            _ = try await store.record([CallReport(event)])
            if way == "erased" {
                _ = try await store.erase(try Fixtures.number(0), key: SuppressionKey(secret: "a key of some length"))
            } else {
                try await store.perform(.cancel, onCampaign: "test", reason: nil, actor: "t")
                try await scratch.execute("update campaigns set status_changed_at = now() - interval '1 day'")
                _ = try await store.retain(from: Date(), isRehearsal: false)
            }
            _ = try await store.record([CallReport(event)])
            try await store.markPlaced([(callIDs[0], "CA1", "queued")])
            let traces = try await scratch.value(
                "select num_nonnulls(phone_number, provider_call_id, metadata)::bigint from call_attempts",
                as: Int.self
            )
            #expect(traces == 0)
        }
    }

    @Test("a number of which nothing is known is not erased: that is an error, and nothing changes; twice is none")
    func unknownNumber() async throws {
        try await Scratch.run { scratch in
            let (store, key) = (scratch.store, SuppressionKey(secret: "a key of some length"))
            let campaign = try await Fixtures.runningCampaign(in: store, contacts: 1)
            let stranger = try Fixtures.number(5)
            let error = await #expect(throws: StoreError.self) { try await store.erase(stranger, key: key) }
            #expect(error?.code == .notFound && error?.message.contains("999") == false)
            #expect(try await store.suppressedNumbers(key: key).isEmpty)
            #expect(try await store.exclusions().isEmpty)
            // Another form of the number is there.
            let erasure = try await store.erase(stranger, otherForms: [try Fixtures.number(0)], key: key)
            #expect(erasure.contacts == 1)
            let suppressed = try await store.suppressedNumbers(key: key)
            #expect(suppressed.contains(stranger))
            #expect(suppressed.contains(try Fixtures.number(0)))
            #expect(try await store.erase(stranger, key: key) == CallStore.Erasure())
            #expect(try await Calls.claim(scratch, campaign).isEmpty)
            // What was said about consent is a trace as well.
            _ = try await store.setConsent(false, number: try Fixtures.number(6), campaign: nil)
            #expect(try await store.erase(try Fixtures.number(6), key: key).consents == 1)
        }
    }

    @Test("nobody is forgotten in the middle of a call, but excluded at once")
    func eraseDuringCall() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1)
            let callIDs = try await Calls.begin(scratch, try await Calls.claim(scratch, campaign))
            let key = SuppressionKey(secret: "a key of some length")
            await #expect(throws: StoreError.self) {
                try await scratch.store.erase(try Fixtures.number(0), key: key)
            }
            #expect(try await scratch.store.suppressedNumbers(key: key).isEmpty)
            try await Calls.end(scratch, callIDs, .completed)
            let state = try await scratch.value("select state from contacts", as: String.self)
            #expect(state == "excluded")
            #expect(try await scratch.store.erase(try Fixtures.number(0), key: key).contacts == 1)
        }
    }
}
