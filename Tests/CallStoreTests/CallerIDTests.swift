// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import TestSupport
import Testing

/// A caller ID that the policy forbids is refused wherever one is given, and keeps a campaign from starting.
@Suite(.timeLimit(.minutes(20)))
struct CallerIDTests {
    private static let mobile = "+33612345678"
    private static let verified = "+33162123456"

    private static func settings(_ callerID: String?) throws -> CampaignSettings {
        var settings = CampaignSettings(name: "c", timeZone: "Europe/Paris")
        settings.callerID = try callerID.map { try PhoneNumber($0) }
        settings.answerURL = "http://127.0.0.1:9/answer"
        return settings
    }

    private static func refused(_ body: () async throws -> Void) async {
        let error = await #expect(throws: StoreError.self) { try await body() }
        #expect(error?.code == .notAllowed)
        #expect(error?.message.contains("begin with +336") == true, "\(error?.message ?? "")")
        #expect(error?.message.contains(Self.mobile) == false)
    }

    @Test(
        "a campaign is not created with it, nor brought under the policy, nor given it, nor started",
        arguments: ["fr", "fr-research"]
    )
    func refused(name: String) async throws {
        try await Scratch.run { scratch async throws in
            let store = scratch.store
            let policy = try await store.policy(named: name)
            await Self.refused { _ = try await store.createCampaign(try Self.settings(Self.mobile), policy: policy) }
            #expect(try await store.campaigns().isEmpty)
            _ = try await store.createCampaign(try Self.settings(Self.mobile))
            await Self.refused { try await store.apply(policy, toCampaign: "c") }
            #expect(try await store.effectiveRules(campaign: "c").policy == nil)

            var changes = CallStore.CampaignChanges()
            changes.callerID = try PhoneNumber(Self.verified)
            try await store.change(campaign: "c", changes)
            try await store.apply(policy, toCampaign: "c")
            changes.callerID = try PhoneNumber(Self.mobile)
            let forbidden = changes
            await Self.refused { try await store.change(campaign: "c", forbidden) }
            #expect(try await store.campaign(named: "c").settings.callerID?.e164 == Self.verified)

            // By a program of the version before.
            try await scratch.execute("update campaigns set caller_id = $1", [Self.mobile])
            try await scratch.execute(
                """
                insert into contacts (id, campaign_id, phone_number, stratum_id)
                select uuid_v7(), id, '+33162999999', null from campaigns
                """
            )
            let problems = try await store.checkCampaign(named: "c")
            #expect(problems.contains { $0.isError && $0.field == "caller_id" && $0.problem.contains("+336") })
            await Self.refused { try await store.perform(.start, onCampaign: "c", reason: nil, actor: "test") }
        }
    }

    @Test("of all prefixes the longest decides; a number of another country, or of none, may be shown")
    func longest() throws {
        let document = try #require(try CallStore.shippedPolicies().first { $0.name == "fr" }).document
        let policy = try Policy.parse(
            document.replacing(#""forbidden": ["+331""#, with: #""forbidden": ["+33", "+331623", "+331""#)
        )
        for (number, isAllowed) in [
            ("+33162123456", true), ("+33162312345", false), ("+33812345678", false), ("+493012345678", true),
        ] {
            #expect((policy.fault(ofCallerID: try PhoneNumber(number)) == nil) == isAllowed, "\(number)")
        }
        #expect(policy.fault(ofCallerID: nil) == nil)
    }
}
