// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Foundation
import NIOConcurrencyHelpers
import Selection
import Telephony
import TestBasics
import TestSupport
import Testing

/// Caps, cool-offs, quotas and exclusions while three selectors and three dialers race for the same numbers.
@Suite(.timeLimit(.minutes(20)))
struct RuleRaceTests {
    private static let shared = 30
    private static let liveLimit = 4
    private static let target = 8
    private static let northTarget = 3

    /// Two campaigns on the same numbers, and one with quotas on numbers of its own.
    private static func prepare(_ store: CallStore) async throws {
        for name in ["left", "right"] {
            _ = try await Fixtures.runningCampaign(in: store, name: name, contacts: Self.shared) {
                $0.retryIntervalMinutes = 0
                $0.maximumAttempts = 15
                $0.numberLimits = ["2/8h", "completed=7d", "refused=60d"].compactMap {
                    try? $0.contains("=") ? NumberLimit(restAfter: $0) : NumberLimit(attemptsPer: $0)
                }
            }
        }
        let quotas = try await Fixtures.runningCampaign(in: store, name: "quotas", contacts: 20, first: 100) {
            $0.retryIntervalMinutes = 0
            $0.maximumConcurrentCalls = Self.liveLimit
            $0.targetCompletes = Self.target
            $0.cellTargets = ["north": Self.northTarget]
        }
        let north = try (200..<220).map { index in
            CallStore.NewContact(
                externalID: nil,
                phoneNumber: try Fixtures.number(index),
                email: nil,
                language: nil,
                hasPriorConsent: true,
                doNotCall: false,
                timeZone: nil,
                cell: "north"
            )
        }
        _ = try await store.addContacts(north, campaign: quotas)
    }

    @Test(
        "whatever the roles race for, no cap, cool-off, quota or exclusion is broken, and the audit agrees",
        arguments: 0..<3
    )
    func race(seed: Int) async throws {
        try await House.run { house in
            try await Self.prepare(house.scratch.store)
            let provider = ScriptedProvider(remembers: true)
            let excluded = NIOLockedValueBox<(number: String, at: Date)?>(nil)
            try await house.withRecorder {
                try await Self.with(house, dialers: 3, provider) {
                    try await Self.with(house, selectors: 3) {
                        try await Self.live(house, provider, excluded, seed: UInt64(seed))
                    }
                }
            }
            try await Self.check(house, seed)
            try await Self.check(provider, house, #require(excluded.withLockedValue(\.self)), seed)
        }
    }

    private static func with(
        _ house: House,
        dialers: Int,
        _ provider: ScriptedProvider,
        _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        guard dialers > 0 else { return try await body() }
        try await house.withDialer("d\(dialers)", provider: provider) { _ in
            try await Self.with(house, dialers: dialers - 1, provider, body)
        }
    }

    private static func with(
        _ house: House,
        selectors: Int,
        _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        guard selectors > 0 else { return try await body() }
        let selector = house.selector {
            $0.interval = .milliseconds(30)
            $0.intervalWhenLimited = .milliseconds(30)
            $0.batchSize = 3
        }
        try await House.serving(selector) { try await Self.with(house, selectors: selectors - 1, body) }
    }

    /// Ends calls as chance has it until nobody can be called any more; one number is excluded in the middle.
    private static func live(
        _ house: House,
        _ provider: ScriptedProvider,
        _ excluded: NIOLockedValueBox<(number: String, at: Date)?>,
        seed: UInt64
    ) async throws {
        let random = NIOLockedValueBox(SeededRandom(seed: seed))
        let ended = NIOLockedValueBox(0)
        try await eventually("nobody can be called any more", progress: { provider.placements.count }) {
            let placed = provider.placements
            for request in placed.dropFirst(ended.withLockedValue(\.self)) {
                let chance = random.withLockedValue { Int.random(in: 0..<10, using: &$0) }
                if chance == 0 { try await Self.tell(house, .refused, request.callID) }
                if chance == 1 { try await Self.tell(house, .optOut, request.callID) }
                try await house.report(chance < 7 ? .completed : .busy, request.callID)
            }
            if placed.count >= 10, excluded.withLockedValue({ $0 == nil }) {
                // One that would still be called.
                let called = Set(placed.map(\.to))
                let number = try #require(try (0..<Self.shared).map(Fixtures.number).first { !called.contains($0) })
                try await house.scratch.store.addExclusions([number], reason: nil, source: "manual")
                let now = try await house.scratch.value("select clock_timestamp()", as: Date.self)
                excluded.withLockedValue { $0 = (number.e164, now) }
            }
            let isIdle = placed.count == ended.withLockedValue(\.self)
            ended.withLockedValue { $0 = placed.count }
            // A contact whose number was busy with the other campaign's call shall come back at once.
            try await house.scratch.execute(
                """
                update contacts set next_attempt_at = now()
                where id = any (array(
                    select id from contacts
                    where state in ('pending', 'not_reached')
                        and next_attempt_at between now() and now() + interval '2 minutes'
                    for no key update skip locked))
                """
            )
            // Quotas end their campaign; the shared numbers rest for hours, or their story is over.
            let isOver = try await house.scratch.value(
                """
                select not exists (
                    select from contacts c join campaigns k on k.id = c.campaign_id
                    where c.state = 'in_progress' or k.status = 'running' and c.state in ('pending', 'not_reached')
                        and (k.name = 'quotas' or c.next_attempt_at < now() + interval '1 hour'))
                """,
                as: Bool.self
            )
            return isIdle && isOver
        }
    }

    private static func tell(_ house: House, _ outcome: SurveyOutcomeReport.Outcome, _ callID: UUID) async throws {
        let publication = CallMessages.publication(
            of: SurveyOutcomeReport(callID: callID, outcome: outcome, occurredAt: Date())
        )
        try await house.publisher.publish(
            publication.message,
            exchange: publication.exchange,
            routingKey: publication.routingKey
        )
    }

    /// What the provider was really asked for, which no statement of ours has judged.
    private static func check(
        _ provider: ScriptedProvider,
        _ house: House,
        _ excluded: (number: String, at: Date),
        _ seed: Int
    ) async throws {
        let calls = Dictionary(grouping: provider.placements, by: \.to)
        let shared = try Set((0..<Self.shared).map { try Fixtures.number($0) })
        for (number, placed) in calls where shared.contains(number) {
            #expect(placed.count <= 2, "seed \(seed): \(placed.count) calls to one number in a few minutes")
        }
        #expect(calls.keys.count { shared.contains($0) } > Self.shared / 2, "seed \(seed): nobody raced")
        let rows = try await house.scratch.value("select count(*) from call_attempts where counted", as: Int.self)
        #expect(provider.placements.count == rows, "seed \(seed)")
        let late = try await house.scratch.value(
            "select count(*) from call_attempts where phone_number = $1 and started_at > $2",
            [excluded.number, excluded.at],
            as: Int.self
        )
        #expect(late == 0, "seed \(seed): an excluded number was called")
        let left = try await house.scratch.value(
            "select count(*) from contacts where phone_number = $1 and state = 'excluded'",
            [excluded.number],
            as: Int.self
        )
        #expect(left > 0, "seed \(seed): nobody would have called the excluded number")
    }

    private static func check(_ house: House, _ seed: Int) async throws {
        let scratch = house.scratch
        let calls = try await scratch.value("select count(*) from call_attempts where counted", as: Int.self)
        let most = try await scratch.value(
            """
            select max(n) from (
                select count(*) as n from call_attempts a join campaigns k on k.id = a.campaign_id
                where a.counted and k.name <> 'quotas' group by a.phone_number) x
            """,
            as: Int.self
        )
        #expect(most == 2, "seed \(seed)")
        let afterRest = try await scratch.value(
            """
            select count(*) from call_attempts a join call_attempts b using (phone_number)
            join campaigns k on k.id = b.campaign_id
            where k.name <> 'quotas' and a.outcome in ('completed', 'refused') and b.started_at > a.ended_at
            """,
            as: Int.self
        )
        #expect(afterRest == 0, "seed \(seed)")
        let live = try await scratch.value(
            """
            select max(n) from (
                select (select count(*) from call_attempts b where b.campaign_id = a.campaign_id
                    and b.started_at <= a.started_at and b.ended_at > a.started_at) as n
                from call_attempts a join campaigns k on k.id = a.campaign_id where k.name = 'quotas') x
            """,
            as: Int.self
        )
        #expect(live <= Self.liveLimit, "seed \(seed)")
        let completes = try await scratch.value(
            """
            select array[count(*), count(*) filter (where s.cell = 'north')]
            from contacts c join campaign_strata s on s.id = c.stratum_id join campaigns k on k.id = c.campaign_id
            where c.state = 'completed' and k.name = 'quotas'
            """,
            as: [Int].self
        )
        #expect(completes[0] <= Self.target && completes[1] <= Self.northTarget, "seed \(seed): \(completes)")
        #expect(completes[0] == Self.target || completes[1] == Self.northTarget, "seed \(seed): \(completes)")
        let audited = NIOLockedValueBox(0)
        try await scratch.store.audit(from: .distantPast, to: .distantFuture, campaign: nil) { page in
            audited.withLockedValue { $0 += page.count { $0.isCounted } }
            for call in page { #expect(call.breaches.isEmpty, "seed \(seed): \(call)") }
        }
        #expect(audited.withLockedValue(\.self) == calls && calls > Self.shared)
    }
}
