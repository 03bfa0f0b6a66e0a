// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(20)))
struct DispositionTests {
    /// What a call brings.
    private struct Fate {
        var status: CallStatus
        var answeredBy: AnsweredBy?
        var errorCode: String?
        var survey: SurveyOutcomeReport.Outcome?

        init(
            _ status: CallStatus,
            _ answeredBy: AnsweredBy? = nil,
            _ errorCode: String? = nil,
            survey: SurveyOutcomeReport.Outcome? = nil
        ) {
            self.status = status
            self.answeredBy = answeredBy
            self.errorCode = errorCode
            self.survey = survey
        }
    }

    /// Two attempts at most; the last contact is excluded before any, and the one before it is never dialed.
    private static let fates: [[Fate]] = [
        [Fate(.completed, .human, survey: .completed)],
        [Fate(.completed)],
        [Fate(.noAnswer), Fate(.completed, survey: .refused)],
        [Fate(.completed, survey: .optOut)],
        [Fate(.completed, .machine), Fate(.noAnswer)],
        [Fate(.completed, .fax)],
        [Fate(.failed, nil, "sip_404")],
        [Fate(.busy), Fate(.failed, nil, "sip_404")],
        [Fate(.busy), Fate(.noAnswer)],
        [Fate(.busy)],
        [Fate(.failed, nil, "sip_503")],
        [],
        [],
    ]

    private static let codes = [
        "1.1", "1.1", "2.11", "2.11", "3.14", "4.2", "4.3", "4.3", "3.13", "3.12", "3.16", "3.11", "3.11",
    ]
    private static let final = [
        true, true, true, true, true, false, true, true, true, false, false, false, true,
    ]

    private static func campaign(_ scratch: Scratch) async throws -> UUID {
        let store = scratch.store
        let campaign = try await Fixtures.runningCampaign(in: store, contacts: Self.fates.count) {
            $0.retryIntervalMinutes = 0
            $0.maximumAttempts = 2
        }
        _ = try await store.addExclusions([try Fixtures.number(Self.fates.count - 1)], reason: nil, source: "manual")
        for round in 0..<2 {
            try await Self.call(scratch, campaign, round: round)
        }
        // One more that the provider refused to place: it is charged to nobody.
        let claimed = try await store.claim(campaign: campaign, limit: 1, leaseDuration: .seconds(60)).requests
        let request = try #require(claimed.first)
        try await Self.begin(scratch, [request])
        try await store.revertAttempt(callID: request.callID, errorCode: "21215", backOff: .seconds(600))
        return campaign
    }

    private static func begin(_ scratch: Scratch, _ requests: [DialRequest]) async throws {
        let verdicts = try await scratch.store.beginAttempts(
            requests.map { .init(callID: $0.callID, contactID: $0.contactID, expiresAt: $0.expiresAt) },
            dialerID: "d1",
            trunk: "default",
            margin: .seconds(10)
        )
        for verdict in verdicts {
            guard case .created = verdict else {
                Issue.record("no attempt: \(verdict)")
                return
            }
        }
    }

    private static func call(_ scratch: Scratch, _ campaign: UUID, round: Int) async throws {
        let store = scratch.store
        let contacts = try await scratch.value(
            "select array_agg(id order by phone_number) from contacts where campaign_id = $1",
            [campaign],
            as: [UUID].self
        )
        let claimed = try await store.claim(campaign: campaign, limit: 50, leaseDuration: .seconds(60)).requests
        var wanted: [(DialRequest, Fate)] = []
        for request in claimed {
            let index = try #require(contacts.firstIndex(of: request.contactID))
            if Self.fates[index].count > round { wanted.append((request, Self.fates[index][round])) }
        }
        try await Self.begin(scratch, wanted.map(\.0))
        let idle = claimed.filter { request in !wanted.contains { $0.0.callID == request.callID } }
        _ = try await store.revertClaims(idle.map(\.callID), contacts: idle.map(\.contactID))
        let events = wanted.map { request, fate in
            CallEvent(
                callID: request.callID,
                status: fate.status,
                occurredAt: Date(),
                answeredBy: fate.answeredBy,
                errorCode: fate.errorCode
            )
        }
        _ = try await store.record(CallReport.merge(events))
        let reports = wanted.compactMap { request, fate in
            fate.survey.map { SurveyOutcomeReport(callID: request.callID, outcome: $0, occurredAt: Date()) }
        }
        _ = try await store.record(reports)
    }

    @Test("each contact gets the code of the strongest of its attempts, and the rates are those by hand")
    func dispositions() async throws {
        try await Scratch.run { scratch async throws in
            let campaign = try await Self.campaign(scratch)
            let found = try await scratch.store.dispositions(campaign: campaign)
            var counts: [String: Int] = [:]
            var final: [String: Int] = [:]
            for (code, isFinal) in zip(Self.codes, Self.final) {
                counts[code, default: 0] += 1
                if isFinal { final[code, default: 0] += 1 }
            }
            #expect(Dictionary(uniqueKeysWithValues: found.counts.map { ($0.key.code, $0.value) }) == counts)
            #expect(Dictionary(uniqueKeysWithValues: found.final.map { ($0.key.code, $0.value) }) == final)
            #expect(found.unreportedInterviews == 1)
            // 2 interviews, 2 refusals, 6 unknown, 3 ineligible: e = 4 / 7.
            #expect(found.rates.rr1 == 0.2)
            let rr3 = try #require(found.rates.rr3)
            #expect(abs(rr3 - 14.0 / 52) < 1e-12)
            #expect(found.rates.coop1 == 0.5)
            #expect(found.rates.ref1 == 0.2)
            #expect(found.rates.con1 == 0.4)
        }
    }

    @Test("contacts are exported in pages of any size, each once, with the code and whether it is final")
    func contacts() async throws {
        try await Scratch.run { scratch async throws in
            let campaign = try await Self.campaign(scratch)
            let columns = CallStore.Export.contacts.columns
            for pageSize in [1, 4, 100] {
                var rows: [[String]] = []
                var largest = 0
                try await scratch.store.export(.contacts, campaign: campaign, pageSize: pageSize) { page in
                    largest = max(largest, page.count)
                    rows += page
                }
                #expect(largest <= pageSize)
                #expect(rows.allSatisfy { $0.count == columns.count })
                func column(_ name: String) throws -> [String] {
                    let index = try #require(columns.firstIndex(of: name))
                    return rows.map { $0[index] }
                }
                #expect(try column("phone_number") == (0..<Self.fates.count).map { try Fixtures.number($0).e164 })
                #expect(try column("external_contact_id") == (0..<Self.fates.count).map { "x\($0)" })
                #expect(try column("disposition") == Self.codes)
                #expect(try column("disposition_is_final") == Self.final.map(String.init))
            }
        }
    }

    @Test("attempts are exported in their order, those that were not charged without a code")
    func attempts() async throws {
        try await Scratch.run { scratch async throws in
            let campaign = try await Self.campaign(scratch)
            let columns = CallStore.Export.attempts.columns
            var rows: [[String]] = []
            try await scratch.store.export(.attempts, campaign: campaign, pageSize: 3) { rows += $0 }
            let made = Self.fates.map(\.count).reduce(0, +) + 1
            #expect(rows.count == made)
            let code = try #require(columns.firstIndex(of: "disposition"))
            let counted = try #require(columns.firstIndex(of: "counted"))
            let callID = try #require(columns.firstIndex(of: "call_id"))
            #expect(rows.filter { $0[counted] == "false" }.map { $0[code] } == [""])
            var counts: [String: Int] = [:]
            for row in rows { counts[row[code], default: 0] += 1 }
            #expect(
                counts == ["1.1": 2, "2.11": 2, "3.13": 3, "3.14": 1, "4.2": 1, "4.3": 2, "3.12": 3, "3.16": 1, "": 1]
            )
            let inOrder = try await scratch.value(
                "select array_agg(call_id::text order by id) from call_attempts",
                as: [String].self
            )
            #expect(rows.map { $0[callID] } == inOrder)
            let ended = try #require(columns.firstIndex(of: "ended_at"))
            let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
            for row in rows {
                let isTime = (try? Date(row[ended], strategy: style)) != nil
                #expect(isTime, "\(row[ended])")
            }
        }
    }

    @Test("once the campaign is over, so are its contacts")
    func over() async throws {
        try await Scratch.run { scratch async throws in
            let campaign = try await Self.campaign(scratch)
            try await scratch.store.perform(.cancel, onCampaign: "test", reason: nil, actor: "test")
            let found = try await scratch.store.dispositions(campaign: campaign)
            #expect(found.final == found.counts)
        }
    }
}
