// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import Postgres
import TestBasics
import TestSupport
import Testing

/// Limits per number, rests, caps, target rates and quotas, all at once: campaigns that share their numbers, several
/// selectors, dialers and recorders that know nothing of each other, and a history that is judged afterwards row by row.
@Suite(.timeLimit(.minutes(20)))
struct TogetherTests {
    /// What a campaign must keep.
    private struct Plan: Sendable {
        let id: UUID
        let settings: CampaignSettings
    }

    /// What waits between the roles, taken in any order.
    private actor Pool<Element: Sendable> {
        private var elements: [Element] = []

        func add(_ new: [Element]) { self.elements += new }

        func take(_ most: Int, seed: UInt64) -> [Element] {
            var random = SeededRandom(seed: seed)
            self.elements.shuffle(using: &random)
            let taken = Array(self.elements.suffix(most))
            self.elements.removeLast(taken.count)
            return taken
        }
    }

    private struct House: Sendable {
        let scratch: Scratch
        let plans: [Plan]
        let queue = Pool<DialRequest>()
        let live = Pool<UUID>()
    }

    private static let numbers = 24
    private static let workers = 9
    private static let rounds = 60
    private static let cells = ["north", "south"]

    private static func plans(_ scratch: Scratch, _ random: inout SeededRandom) async throws -> [Plan] {
        var plans: [Plan] = []
        for index in 0..<3 {
            var settings = CampaignSettings(name: "c\(index)", timeZone: "UTC")
            settings.window = nil
            settings.callerID = try PhoneNumber("+15005550006")
            settings.answerURL = "http://127.0.0.1:9/answer"
            settings.maximumAttempts = 15
            settings.retryIntervalMinutes = 0
            settings.numberLimits = [try NumberLimit(attemptsPer: "\(Int.random(in: 1...4, using: &random))/8h")]
            for rest in ["completed=7d", "refused=60d", "busy=2h"] where Bool.random(using: &random) {
                settings.numberLimits.append(try NumberLimit(restAfter: rest))
            }
            if Bool.random(using: &random) { settings.maximumConcurrentCalls = Int.random(in: 1...5, using: &random) }
            if Bool.random(using: &random) { settings.targetCompletes = Int.random(in: 3...9, using: &random) }
            if index == 2 { settings.callsPerHour = 60 * Int.random(in: 3...12, using: &random) }
            for cell in Self.cells where Bool.random(using: &random) {
                settings.cellTargets[cell] = Int.random(in: 0...4, using: &random)
            }
            let id = try await scratch.store.createCampaign(settings)
            let rows = try (0..<Self.numbers).shuffled(using: &random).map { number in
                CallStore.NewContact(
                    externalID: nil,
                    phoneNumber: try Fixtures.number(number),
                    email: nil,
                    language: nil,
                    hasPriorConsent: true,
                    doNotCall: false,
                    timeZone: nil,
                    cell: Self.cells.randomElement(using: &random)
                )
            }
            _ = try await scratch.store.addContacts(rows, campaign: id)
            try await scratch.store.perform(.start, onCampaign: settings.name, reason: nil, actor: "test")
            plans.append(Plan(id: id, settings: settings))
        }
        return plans
    }

    /// Claims; some requests get lost, some arrive twice, some are given back.
    private static func select(_ house: House, _ random: inout SeededRandom) async throws {
        guard let plan = house.plans.randomElement(using: &random) else { return }
        let requests = try await Calls.claim(house.scratch, plan.id, Int.random(in: 1...6, using: &random))
        for request in requests {
            switch Int.random(in: 0..<20, using: &random) {
            case 0: _ = try await house.scratch.store.revertClaims([request.callID], contacts: [request.contactID])
            case 1: await house.queue.add([request, request])
            default: await house.queue.add([request])
            }
        }
    }

    /// Dials; now and then the provider refuses.
    private static func dial(_ house: House, _ random: inout SeededRandom) async throws {
        let taken = await house.queue.take(Int.random(in: 1...6, using: &random), seed: random.next())
        // As a dialer's slots have it: the second of two deliveries waits until the first has its answer.
        var requests: [DialRequest] = []
        for request in taken {
            if requests.contains(where: { $0.callID == request.callID }) {
                await house.queue.add([request])
            } else {
                requests.append(request)
            }
        }
        guard !requests.isEmpty else { return }
        for callID in try await Calls.begin(house.scratch, requests) {
            if Int.random(in: 0..<15, using: &random) == 0 {
                _ = try await house.scratch.store.revertAttempt(callID: callID, errorCode: "x", backOff: .zero)
            } else {
                await house.live.add([callID])
            }
        }
    }

    /// Ends calls; the interview's own word comes first, if it comes.
    private static func record(_ house: House, _ random: inout SeededRandom) async throws {
        for callID in await house.live.take(3, seed: random.next()) {
            let words: [SurveyOutcomeReport.Outcome?] = [nil, nil, nil, .completed, .refused, .optOut]
            let word = words.randomElement(using: &random) ?? nil
            if let word {
                _ = try await house.scratch.store.record([
                    SurveyOutcomeReport(callID: callID, outcome: word, occurredAt: Date())
                ])
            }
            let end: CallStatus =
                word == nil
                ? [.busy, .noAnswer, .noAnswer, .completed].randomElement(using: &random) ?? .busy : .completed
            try await Calls.end(house.scratch, [callID], end)
        }
    }

    /// One instant's standing, from one snapshot: no cap and no quota is exceeded, even if every call under way becomes a
    /// complete.
    private static func watch(_ house: House, _ seed: Int) async throws {
        let rows = try await house.scratch.client.execute(
            PostgresStatement(
                """
                select c.campaign_id, s.cell, count(*) filter (where c.state = 'in_progress'),
                    count(*) filter (where c.state = 'completed')
                from contacts c join campaign_strata s on s.id = c.stratum_id
                group by c.campaign_id, s.cell
                """,
                prepared: false
            )
        )
        var underWay: [UUID: Int] = [:]
        var wanted: [UUID: Int] = [:]
        for index in 0..<rows.count {
            let row = rows[index]
            let campaign = try row.decode(UUID.self, at: 0)
            let cell = try row.decode(String.self, at: 1)
            let (claimed, completes) = (try row.decode(Int.self, at: 2), try row.decode(Int.self, at: 3))
            underWay[campaign, default: 0] += claimed
            wanted[campaign, default: 0] += claimed + completes
            let settings = house.plans.first { $0.id == campaign }?.settings
            if let target = settings?.cellTargets[cell] {
                #expect(claimed + completes <= target, "seed \(seed): \(cell)")
            }
        }
        for plan in house.plans {
            if let cap = plan.settings.maximumConcurrentCalls {
                #expect(underWay[plan.id, default: 0] <= cap, "seed \(seed): \(plan.settings.name)")
            }
            if let target = plan.settings.targetCompletes {
                #expect(wanted[plan.id, default: 0] <= target, "seed \(seed): \(plan.settings.name)")
            }
        }
    }

    /// What a number that was busy with another campaign's call waits for, and reverted contacts, shall not be waited for.
    private static func hurry(_ house: House) async throws {
        try await house.scratch.execute(
            """
            update contacts set next_attempt_at = now()
            where id = any (array(
                select id from contacts
                where state in ('pending', 'not_reached') and next_attempt_at between now() and now() + interval '2 minutes'
                for no key update skip locked))
            """
        )
    }

    private static func run(_ house: House, _ seed: Int) async throws {
        typealias Step = @Sendable (House, inout SeededRandom) async throws -> Void
        let steps: [Step] = [Self.select, Self.dial, Self.record]
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<Self.workers {
                group.addTask {
                    var random = SeededRandom(seed: UInt64(seed * 100 + worker))
                    for _ in 0..<Self.rounds { try await steps.randomElement(using: &random)?(house, &random) }
                }
            }
            group.addTask {
                for _ in 0..<Self.rounds {
                    try await Self.watch(house, seed)
                    try await Self.hurry(house)
                }
            }
            try await group.waitForAll()
        }
    }

    private struct Attempt: Sendable {
        let campaign: UUID
        let number: String
        let startedAt: Date
        let outcome: CallOutcome?
        let isOptOut: Bool
    }

    /// In the order in which they were made. A number has one open attempt at most, so that of its attempts each knew how
    /// those before had ended.
    private static func history(_ scratch: Scratch) async throws -> [Attempt] {
        try await scratch.client.execute(
            PostgresStatement(
                """
                select campaign_id, phone_number, started_at, outcome, survey_outcome is not distinct from 'opt_out'
                from call_attempts where counted order by id
                """,
                prepared: false
            )
        ).map { row in
            Attempt(
                campaign: try row.decode(UUID.self, at: 0),
                number: try row.decode(String.self, at: 1),
                startedAt: try row.decode(Date.self, at: 2),
                outcome: try row.decode(String?.self, at: 3).flatMap(CallOutcome.init(rawValue:)),
                isOptOut: try row.decode(Bool.self, at: 4)
            )
        }
    }

    /// All of it lies within minutes, so that every attempt is within every period.
    private static func judge(_ plans: [Plan], _ attempts: [Attempt], _ seed: Int) {
        for own in Dictionary(grouping: attempts, by: \.number).values {
            for (index, attempt) in own.enumerated() {
                let before = own[..<index]
                let hasOptedOut = before.contains { $0.isOptOut }
                #expect(!hasOptedOut, "seed \(seed): called after an opt-out")
                for limit in plans.first(where: { $0.id == attempt.campaign })?.settings.numberLimits ?? [] {
                    let counted = before.count { earlier in
                        limit.outcomes.map { $0.contains { $0 == earlier.outcome } } ?? true
                    }
                    #expect(counted < limit.attempts, "seed \(seed): \(limit), and \(counted) before")
                }
            }
        }
        for plan in plans {
            guard let rate = plan.settings.callsPerHour else { continue }
            let starts = attempts.filter { $0.campaign == plan.id }.map(\.startedAt).sorted()
            for start in starts {
                let within = starts.count { $0 > start.addingTimeInterval(-59) && $0 <= start }
                #expect(within <= rate / 60, "seed \(seed): \(within) calls in a minute at \(rate) per hour")
            }
        }
    }

    @Test(
        "campaigns, selectors, dialers and recorders together break no limit, rest, cap, rate or quota",
        arguments: 0..<6
    )
    func together(seed: Int) async throws {
        try await Scratch.run { scratch in
            var random = SeededRandom(seed: UInt64(seed))
            let house = House(scratch: scratch, plans: try await Self.plans(scratch, &random))
            try await Self.run(house, seed)
            let attempts = try await Self.history(scratch)
            #expect(attempts.count >= 5, "seed \(seed): too few calls to show anything")
            Self.judge(house.plans, attempts, seed)
            var breaches: [String] = []
            try await scratch.store.audit(from: .distantPast, to: .distantFuture, campaign: nil) {
                breaches += $0.flatMap(\.breaches)
            }
            #expect(breaches.isEmpty, "seed \(seed)")
        }
    }
}
