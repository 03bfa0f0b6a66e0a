// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Dialing
import Foundation
import Selection
import Telephony
import TestBasics
import TestSupport
import Testing

@testable import Dialing

/// What the provider does not call, and what follows for the others.
@Suite(.timeLimit(.minutes(20)))
struct RefusalTests {
    /// Refuses some numbers, and takes all others.
    private static func provider(
        _ code: String,
        _ destination: TelephonyError.Destination,
        _ isRefused: @escaping @Sendable (String) -> Bool
    ) -> ScriptedProvider {
        ScriptedProvider { request throws(TelephonyError) in
            if isRefused(request.to.e164) {
                throw TelephonyError(
                    code: .refused(destination),
                    providerCode: code,
                    httpStatus: 400,
                    message: "the provider does not take a call to this number"
                )
            }
            return PlacedCall(providerCallID: "CA" + request.callID.lowercased, rawStatus: "queued")
        }
    }

    private static func campaign(_ house: House, regions: [String]) async throws -> UUID {
        let campaign = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1, first: 9000)
        try await house.scratch.execute("delete from contacts")
        let rows = try regions.enumerated().map { index, region in
            CallStore.NewContact(
                externalID: region,
                phoneNumber: try Fixtures.number(index),
                email: nil,
                language: nil,
                hasPriorConsent: true,
                doNotCall: false,
                timeZone: nil,
                region: region
            )
        }
        _ = try await house.scratch.store.addContacts(rows, campaign: campaign)
        return campaign
    }

    @Test(
        "one number's refusal parks that number, uncharged, and says why; the others are called",
        arguments: ["21216", "29999"]
    )
    func oneNumber(code: String) async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 4)
            _ = try await house.selector().pass()
            let refused = try Fixtures.number(1)
            let provider = Self.provider(code, .number) { $0 == refused.e164 }
            try await house.withDialer(provider: provider) { dialer in
                try await eventually("the others are called") {
                    try await house.count("status = 'placed'", in: "call_attempts") == 3
                }
                try await eventually("the number rests") {
                    try await house.count(
                        "state = 'pending' and attempts_count = 0 and next_attempt_at > now() + interval '1 hour'"
                    ) == 1
                }
                try await eventually("its slot is free") { dialer.heldCalls == 3 }
            }
            #expect(try await house.scratch.store.campaign(named: "test").status == .running)
            #expect(try await house.publisher.queueStatus(CallTopology.dead).messagesReady == 0)
            let explanations = try await house.scratch.store.explainContacts(
                phoneNumber: refused,
                id: nil,
                campaign: nil
            )
            let due = try #require(explanations.first?.rules.first { $0.rule == "due" })
            #expect(!due.passed && due.detail.contains(code))
            // Whoever pauses and resumes does not meet it at once again.
            _ = try await house.scratch.store.pauseAllCampaigns(reason: "stop", actor: "test")
            try await house.scratch.store.perform(.resume, onCampaign: "test", reason: nil, actor: "test")
            #expect(try await house.selector().pass().published == 0)
        }
    }

    @Test(
        "the same refusal for several numbers and none taken pauses the campaign, with the code and how many; once resumed, others come first"
    )
    func severalNumbers() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 6)
            _ = try await house.selector().pass()
            let provider = Self.provider("29999", .number) { _ in true }
            try await house.withDialer(provider: provider) {
                $0.maximumConcurrentCalls = 1
            } _: { _ in
                try await eventually("the pause") {
                    try await house.scratch.store.campaign(named: "test").status == .paused
                }
                let reason = try await house.scratch.store.campaign(named: "test").statusReason
                #expect(reason?.contains("29999") == true && reason?.contains("3 different numbers") == true)
                try await eventually("all are back") {
                    try await house.count("state = 'pending' and attempts_count = 0 and call_id is null") == 6
                }
                #expect(Set(provider.placements.map(\.to)).count == 3)
                try await house.scratch.store.perform(.resume, onCampaign: "test", reason: nil, actor: "test")
                #expect(try await house.selector().pass().published == 3)
                try await eventually("the others are tried") { provider.placements.count == 6 }
                #expect(Set(provider.placements.map(\.to)).count == 6)
            }
        }
    }

    @Test("a number that is refused again and again is charged from the third time on, so that its story ends")
    func threeTimes() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 2) { $0.maximumAttempts = 2 }
            let refused = try Fixtures.number(0)
            let provider = Self.provider("21216", .number) { $0 == refused.e164 }
            try await house.withRecorder {
                try await house.withDialer(provider: provider) { dialer in
                    for count in 1...4 {
                        try await house.scratch.execute(
                            "update contacts set next_attempt_at = now() where state in ('pending', 'not_reached')"
                        )
                        _ = try await house.selector().pass()
                        try await eventually("refusal \(count)") {
                            try await house.count("error_code = '21216'", in: "call_attempts") == count
                        }
                        try await eventually("its slot is free") { dialer.heldCalls == 1 }
                    }
                }
            }
            #expect(try await house.count("error_code = '21216' and counted", in: "call_attempts") == 2)
            #expect(
                try await house.count("state = 'not_reached' and next_attempt_at is null and attempts_count = 2") == 1
            )
        }
    }

    @Test("a country's refusal parks the country, with the reason where people look; the others are called")
    func country() async throws {
        try await House.run { house in
            _ = try await Self.campaign(house, regions: ["FR", "FR", "FR", "DE", "DE"])
            let french = Set(try (0..<3).map { try Fixtures.number($0).e164 })
            let provider = Self.provider("21215", .country) { french.contains($0) }
            _ = try await house.selector().pass()
            try await house.withRecorder {
                try await house.withDialer(provider: provider) {
                    $0.maximumConcurrentCalls = 1
                } _: { _ in
                    for done in 1...2 {
                        try await eventually("German call \(done)") {
                            provider.placements.count { !french.contains($0.to.e164) } == done
                        }
                        let call = try #require(provider.placements.last { !french.contains($0.to.e164) })
                        try await house.report(.completed, call.callID)
                    }
                    try await eventually("the French contacts are back") {
                        try await house.count("state = 'pending' and attempts_count = 0 and call_id is null") == 3
                    }
                }
            }
            #expect(provider.placements.count { french.contains($0.to.e164) } == 1)
            let store = house.scratch.store
            #expect(try await store.campaign(named: "test").status == .running)
            // Nobody there is claimed before the country's time comes.
            #expect(try await house.selector().pass().published == 0)
            let number = try Fixtures.number(2)
            let rules = try await store.explainContacts(phoneNumber: number, id: nil, campaign: nil).first?.rules
            let rule = try #require(rules?.first { $0.rule == "country called" })
            #expect(!rule.passed && rule.detail.contains("FR") && rule.detail.contains("21215"))
            let funnel = try await store.explainCampaign(named: "test")
            #expect(funnel.countryRests.map(\.country) == ["FR"])
            #expect(funnel.obstacle?.contains("FR (code 21215)") == true)
        }
    }

    @Test("a country is tried at growing intervals while it is refused, and not held back once a call is taken")
    func growing() async throws {
        try await House.run { house in
            let campaign = try await Self.campaign(house, regions: Array(repeating: "FR", count: 9))
            let store = house.scratch.store
            func attempt(_ isRefused: Bool) async throws -> CallStore.ParkedRefusal? {
                try await house.scratch.execute("update country_rests set rests_until = now() - interval '1 second'")
                let claim = try await store.claim(campaign: campaign, limit: 1, leaseDuration: .seconds(60))
                let request = try #require(claim.requests.first)
                let wish = CallStore.AttemptRequest(
                    callID: request.callID,
                    contactID: request.contactID,
                    expiresAt: request.expiresAt
                )
                _ = try await store.beginAttempts([wish], dialerID: "d1", trunk: "default", margin: .seconds(5))
                guard isRefused else {
                    try await store.markPlaced([(request.callID, "CA1", "queued")])
                    return nil
                }
                return try await store.parkRefused(
                    callID: request.callID,
                    errorCode: "21215",
                    isCountry: true,
                    rest: .seconds(3600)
                )
            }
            for pause in [30, 120, 480] {
                #expect(try await attempt(true)?.country == "FR")
                #expect(try await house.scratch.value("select pause::bigint from country_rests", as: Int.self) == pause)
            }
            #expect(try await attempt(false) == nil)
            // The country is called: this is the number's, or its kind's.
            #expect(try await attempt(true)?.countryRestsUntil ?? .distantFuture <= Date().addingTimeInterval(60))
            let isOpen = try await house.scratch.value(
                "select country_rests_until('default', 'FR') is null",
                as: Bool.self
            )
            #expect(isOpen)
        }
    }
}

struct RefusalBookTests {
    private let campaign = UUID()

    @Test("a few numbers tell when no call was ever taken, more when some were, and different codes are not added up")
    func counts() {
        var book = RefusalBook()
        let contacts = (0..<20).map { _ in UUID() }
        #expect(book.refused(campaign: self.campaign, code: "1", contact: contacts[0]) == nil)
        #expect(book.refused(campaign: self.campaign, code: "1", contact: contacts[0]) == nil)
        #expect(book.refused(campaign: self.campaign, code: "2", contact: contacts[1]) == nil)
        #expect(book.refused(campaign: UUID(), code: "1", contact: contacts[2]) == nil)
        #expect(book.refused(campaign: self.campaign, code: "1", contact: contacts[1]) == nil)
        #expect(book.refused(campaign: self.campaign, code: "1", contact: contacts[2]) == 3)
        // It begins anew.
        #expect(book.refused(campaign: self.campaign, code: "1", contact: contacts[3]) == nil)
        book.accepted(campaign: self.campaign)
        for contact in contacts[..<9] {
            #expect(book.refused(campaign: self.campaign, code: "1", contact: contact) == nil)
        }
        #expect(book.refused(campaign: self.campaign, code: "1", contact: contacts[9]) == 10)
        for contact in contacts[..<2] {
            #expect(book.refused(campaign: self.campaign, code: "1", contact: contact) == nil)
            book.accepted(campaign: self.campaign)
        }
    }
}
