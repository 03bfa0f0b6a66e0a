// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Foundation
import ProviderSimulator
import TestBasics
import TestSupport
import Testing

/// The house on a broker of three nodes, as in production, one of which dies in the middle of a campaign. `FAULT_SEED`
/// chooses which: the first by default, which founded the cluster.
@Suite(.serialized, .alone, .timeLimit(.minutes(20)))
struct ClusterTests {
    private static let contacts = 600
    private static let nodes = 3
    /// Calls that end before a node is killed, then until the others must take everything again, and then until it is back.
    /// The provider holds the rest, so that the campaign is not over before.
    private static let (before, settling, without) = (150, 100, 150)
    private static let scenario = """
        {"seed": 5, "outcomes": {"completed": 70, "no_answer": 20, "busy": 10},
         "ring_seconds": {"min": 0.1, "max": 0.5}, "talk_seconds": {"min": 0.2, "max": 1}}
        """

    @Test("the node that leads the queues is killed in the middle of a campaign: it goes on, and no promise is broken")
    func nodeKilled() async throws {
        let process = ProcessInfo.processInfo
        let seed = process.environment["FAULT_SEED"].flatMap { Int($0) } ?? 1
        let leader = (seed + Self.nodes - 1) % Self.nodes + 1
        let house = try await FaultHouse.start(
            name: TestRun.name + "-cluster",
            scenario: Self.scenario,
            nodes: Self.nodes,
            leader: leader
        )
        let supervision = Task {
            while !Task.isCancelled {
                await house.slots.supervise()
                try? await Task.sleep(for: .milliseconds(100))
            }
        }
        do {
            try await Self.campaign(house, leader: leader)
        } catch {
            supervision.cancel()
            try? await house.stop()
            throw error
        }
        supervision.cancel()
        try await house.stop()
    }

    private static func campaign(_ house: FaultHouse, leader: Int) async throws {
        let queue = CallTopology.dialQueue(trunk: "default")
        try await house.rehearsal.hold(.end)
        _ = try await Fixtures.runningCampaign(in: house.store, name: "cluster", contacts: Self.contacts) {
            $0.answerURL = house.rehearsal.url + "/simulator/answer"
            $0.maximumAttempts = 2
            $0.retryIntervalMinutes = 0
            $0.maximumCallSeconds = 3600
        }
        try await Self.endCalls(house, Self.before)
        let victim = try await house.servers.leader(of: queue)
        #expect(victim == house.servers.nodeName(leader))
        // In the middle of it all: calls end, and others begin.
        async let settled: Void = Self.endCalls(house, Self.settling)
        let killedAt = Date()
        try await house.servers.killNode(victim)
        try await settled
        let settledAt = Date()
        // From here on the living nodes take every report at once.
        let refused = try Self.refusals(house)
        try await Self.endCalls(house, Self.without)
        #expect(try await house.servers.leader(of: queue) != victim)
        #expect(try Self.refusals(house) == refused, "the broker's living nodes go on refusing reports")
        let restartedAt = Date()
        try await house.servers.startMissing()
        try await house.rehearsal.release(.end)
        let open = """
            select (select count(*) from contacts where state in ('pending', 'in_progress')
                    or state = 'not_reached' and next_attempt_at is not null)
                + (select count(*) from call_attempts where ended_at is null)
                + (select count(*) from survey_events where published_at is null)
            """
        try await eventually("the campaign is over", of: { try await house.count(open) }, { $0 == 0 })
        try await eventually(
            "all reports are taken",
            of: { try await house.broker.queueStatus(CallTopology.callEvents).messagesReady },
            { $0 == 0 }
        )
        #expect(try await house.miscounts() == nil)
        let witnesses = try await house.witnesses(poison: [])
        for violation in Checker(witnesses).violations().prefix(20) {
            Issue.record("\(violation)\n\(violation.callID.map { witnesses.history(of: $0) } ?? "")")
        }
        for text in house.log.unexpected { Issue.record("\(text)") }
        let starts = witnesses.ledger.compactMap(\.startedAt).sorted()
        // Only while calls were let through one after the other: before and afterwards it is the test that holds them.
        let then = starts.filter { killedAt.addingTimeInterval(-1) < $0 && $0 < settledAt }
        let worst = zip(then, then.dropFirst()).map { $1.timeIntervalSince($0) }.max() ?? 0
        print(
            """
            CLUSTER \(victim) killed after \(starts.count { $0 < killedAt }) calls; longest pause between two calls then \
            \(String(format: "%.1f", worst)) s; started again after \(String(format: "%.0f", restartedAt.timeIntervalSince(killedAt))) s
            CLUSTER requests to the provider \(witnesses.ledger.count), attempts \(witnesses.attempts.count), contacts \
            \(witnesses.contacts.count), survey events \(witnesses.surveyRows.count) published \(witnesses.surveyMessages.count) times
            CLUSTER violations \(Checker(witnesses).violations().count)
            """
        )
    }

    /// Reports that a webhook server could not hand over so far, by its log.
    private static func refusals(_ house: FaultHouse) throws -> Int {
        try ["webhooks-1", "webhooks-2"].reduce(0) { sum, name in
            let log = try String(contentsOf: house.folder.appendingPathComponent(name + ".log"), encoding: .utf8)
            return sum + log.split(separator: "\n").count { $0.contains("could not be handed") }
        }
    }

    /// Lets that many calls end, and waits until they have.
    private static func endCalls(_ house: FaultHouse, _ number: Int) async throws {
        let ended = { try await house.count("select count(*) from call_attempts where ended_at is not null") }
        let wanted = try await ended() + number
        try await house.rehearsal.pass(.end, calls: number)
        try await eventually("\(wanted) calls have ended", of: ended) { $0 >= wanted }
    }
}
