// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Foundation
import Postgres
import TestBasics
import TestSupport
import Testing

/// How a role ends when it cannot drain, and where it says how it is.
@Suite(.timeLimit(.minutes(20)))
struct StopTests {
    @Test("a role that waits for the database ends at once when it is told so again, with 143")
    func secondSignal() async throws {
        try await Scratch.run { scratch in
            let role = try await Self.blockedRecorder(scratch)
            // Signals of one kind that wait are one.
            try await eventually("it has ended") {
                role.send(SIGTERM)
                return !role.isRunning
            }
            #expect(role.end == .exit(143), "\(role.log.suffix(2000))")
            #expect(!role.log.contains("Has stopped"))
            #expect(!role.log.contains("Could not stop in time"))
        }
    }

    /// A recorder that has a report whose row somebody else keeps locked until the connection goes.
    private static func blockedRecorder(_ scratch: Scratch) async throws -> RunningRole {
        _ = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1)
        let locker = try await Self.locker(scratch)
        let role = try RunningRole(
            ["recorder"],
            ["DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL]
        )
        let broker = try scratch.connection(topology: CallTopology.reports())
        let event = CallMessages.publication(of: CallEvent(callID: locker, status: .completed, occurredAt: Date()))
        try await broker.publish(event.message, exchange: event.exchange, routingKey: event.routingKey)
        await broker.close()
        try await eventually("the recorder waits for the row") {
            try await scratch.value(
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
                as: Int.self
            ) == 1
        }
        return role
    }

    /// Makes an attempt and keeps its row locked, by a session that sleeps.
    /// - Returns: The attempt's call.
    private static func locker(_ scratch: Scratch) async throws -> UUID {
        let callID = CallID.make()
        try await scratch.execute(
            """
            insert into call_attempts (call_id, contact_id, campaign_id, attempt_number, phone_number, dialer_id,
                status, deadline_at)
            select $1, id, campaign_id, 1, phone_number, 'd1', 'placed', now() from contacts
            """,
            [callID]
        )
        Task {
            try? await scratch.execute(
                "with row as materialized (select id from call_attempts for update) select pg_sleep(600) from row"
            )
        }
        try await eventually("the row is locked") {
            try await scratch.value(
                "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()",
                as: Int.self
            ) == 1
        }
        return callID
    }

    @Test("a role whose log nobody reads cannot drain, and ends all the same within its limit, with 143")
    func limit() async throws {
        try await Scratch.run { scratch in
            let broker = try scratch.connection(topology: CallTopology.reports())
            try await broker.waitUntilReady(timeout: .seconds(600))
            let log = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
            try #require(mkfifo(log.path, 0o600) == 0)
            defer { try? FileManager.default.removeItem(at: log) }
            let reader = open(log.path, O_RDONLY | O_NONBLOCK)
            defer { close(reader) }
            // F_SETPIPE_SZ, to the smallest that there is: a page.
            #expect(fcntl(reader, 1031, 4096) == 4096)
            let role = try RunningRole(
                ["recorder"],
                ["DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL],
                logFile: log
            )
            // Each poison is a line of the log, until it has no room for more.
            let events = CallTopology.callEvents
            try await eventually(
                "the recorder stands still",
                of: {
                    // More when it has taken what was there.
                    if try await broker.queueStatus(events).messagesReady == 0 {
                        for _ in 0..<20 {
                            try await broker.publish(AMQPMessage(body: [0x7B]), exchange: "", routingKey: events)
                        }
                    }
                    return Self.waiting(in: reader)
                },
                { $0 >= 3800 }
            )
            role.send(SIGTERM)
            try await eventually("it has ended") { !role.isRunning }
            #expect(role.end == .exit(143))
            await broker.close()
        }
    }

    /// Bytes that nobody has read.
    private static func waiting(in pipe: Int32) -> Int {
        var count: Int32 = 0
        _ = ioctl(pipe, UInt(FIONREAD), &count)
        return Int(count)
    }

    @Test("a role says how it is at HEALTH_HOST, and nowhere else")
    func healthHost() async throws {
        try await Scratch.run { scratch in
            let port = try Ports.free()
            let role = try RunningRole(
                ["recorder"],
                [
                    "DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL, "HEALTH_HOST": "127.0.0.2",
                    "HEALTH_PORT": "\(port)",
                ]
            )
            do {
                try await eventually("it is ready") { await Rehearsal.isReady("http://127.0.0.2:\(port)/health/ready") }
                #expect(await !Rehearsal.isReady("http://127.0.0.1:\(port)/health/ready"))
                await role.stop()
            } catch {
                print(role.log.suffix(2000))
                await role.stop()
                throw error
            }
            #expect(role.end == .exit(0), "\(role.log.suffix(2000))")
        }
    }
}
