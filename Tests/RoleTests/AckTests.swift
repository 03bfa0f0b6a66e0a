// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Dialing
import Foundation
import NIOConcurrencyHelpers
import Postgres
import Recording
import Selection
import Telephony
import TestBasics
import TestSupport
import Testing

/// When the recorder lets go of what it was told: after the commit, and once.
@Suite(.timeLimit(.minutes(20)))
struct AckTests {
    private static func recorder(_ house: House, _ consuming: AMQPConnection) -> OutcomeRecorder {
        OutcomeRecorder(
            configuration: RecorderConfiguration(),
            store: house.scratch.store,
            consuming: consuming,
            publishing: house.publisher,
            logger: house.scratch.logger
        )
    }

    private static func calls(_ house: House, _ count: Int) async throws -> [UUID] {
        _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: count)
        _ = try await house.selector().pass()
        let provider = ScriptedProvider()
        try await house.withDialer(provider: provider) {
            $0.maximumConcurrentCalls = count
        } _: { _ in
            try await eventually("they are placed") {
                try await house.count("status = 'placed'", in: "call_attempts") == count
            }
        }
        return provider.placements.map(\.callID)
    }

    @Test("a report is not acked while its commit is still to come: a recorder that goes then leaves it in the queue")
    func afterCommit() async throws {
        try await House.run { house in
            let calls = try await Self.calls(house, 1)
            let isLocked = NIOLockedValueBox(false)
            let mayCommit = NIOLockedValueBox(false)
            let consuming = try house.scratch.connection(topology: CallTopology.reports())
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    try await house.scratch.client.withTransaction { connection in
                        try await connection.execute(
                            PostgresStatement("select from call_attempts for update", prepared: false)
                        )
                        isLocked.withLockedValue { $0 = true }
                        try await eventually("the test is done") { mayCommit.withLockedValue(\.self) }
                    }
                }
                try await eventually("the row is locked") { isLocked.withLockedValue(\.self) }
                try await house.report(.completed, calls[0])
                let recorder = Self.recorder(house, consuming)
                group.addTask { try await recorder.run() }
                try await eventually("the recorder waits for the row") {
                    try await house.count(
                        "wait_event_type = 'Lock' and datname = current_database()",
                        in: "pg_stat_activity"
                    ) == 1
                }
                await consuming.close()
                try await eventually("the report is back in the queue") {
                    try await house.publisher.queueStatus(CallTopology.callEvents).messagesReady == 1
                }
                mayCommit.withLockedValue { $0 = true }
                try await eventually("it is recorded all the same") {
                    try await house.count("outcome = 'completed'", in: "call_attempts") == 1
                }
                try await group.waitForAll()
            }
        }
    }

    @Test("D3: two recorders that get the same reports apply them once")
    func reportsTwice() async throws {
        try await House.run { house in
            let calls = try await Self.calls(house, 30)
            let isLocked = NIOLockedValueBox(false)
            let mayCommit = NIOLockedValueBox(false)
            let connections = [
                try house.scratch.connection(topology: CallTopology.reports()),
                try house.scratch.connection(topology: CallTopology.reports()),
            ]
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    try await house.scratch.client.withTransaction { connection in
                        try await connection.execute(
                            PostgresStatement("select from call_attempts for update", prepared: false)
                        )
                        isLocked.withLockedValue { $0 = true }
                        try await eventually("the test is done") { mayCommit.withLockedValue(\.self) }
                    }
                }
                try await eventually("the rows are locked") { isLocked.withLockedValue(\.self) }
                for call in calls { try await house.report(.completed, call) }
                let first = Self.recorder(house, connections[0])
                group.addTask { try await first.run() }
                try await eventually("the first has them all") { connections[0].statistics.delivered == 30 }
                // What it has not acked goes to the second, while the first is still about to record it.
                await connections[0].close()
                try await House.serving(Self.recorder(house, connections[1])) {
                    try await eventually("so has the second") { connections[1].statistics.delivered == 30 }
                    mayCommit.withLockedValue { $0 = true }
                    try await eventually("all are over") { try await house.count("state = 'completed'") == 30 }
                }
                try await group.waitForAll()
            }
            await connections[1].close()
            #expect(try await house.count("attempts_count = 1") == 30)
            #expect(try await house.count("true", in: "survey_events") == 30)
            #expect(try await house.publisher.queueStatus(CallTopology.callEvents).messagesReady == 0)
        }
    }

    @Test("each report is acked once: none comes again, and the broker closes no channel")
    func once() async throws {
        try await House.run { house in
            let calls = try await Self.calls(house, 20)
            let consuming = try house.scratch.connection(topology: CallTopology.reports())
            try await House.serving(Self.recorder(house, consuming)) {
                for (status, rank) in [(CallStatus.ringing, 3), (.answered, 4), (.completed, 10)] {
                    for call in calls { try await house.report(status, call) }
                    try await eventually("all are recorded") {
                        try await house.count("report_rank = \(rank)", in: "call_attempts") == calls.count
                    }
                }
            }
            #expect(consuming.statistics.delivered == calls.count * 3)
            #expect(consuming.statistics.consumersLost == 0 && consuming.statistics.reconnects == 0)
            #expect(try await house.publisher.queueStatus(CallTopology.callEvents).messagesReady == 0)
            await consuming.close()
        }
    }
}
