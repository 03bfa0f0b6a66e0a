// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Foundation
import Postgres
import Recording
import TestBasics
import TestSupport
import Testing

/// What is a message's fault and what is the server's: whatever a server cannot do just now waits, and nothing is lost.
@Suite(.timeLimit(.minutes(20)))
struct RecorderFaultTests {
    /// Live calls, one for each contact.
    private static func place(_ house: House, _ count: Int) async throws -> [UUID] {
        let campaign = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: count)
        let requests = try await house.scratch.store
            .claim(campaign: campaign, limit: count, leaseDuration: .seconds(60)).requests
        _ = try await house.scratch.store.beginAttempts(
            requests.map { .init(callID: $0.callID, contactID: $0.contactID, expiresAt: $0.expiresAt) },
            dialerID: "d1",
            trunk: "default",
            margin: .seconds(10)
        )
        return requests.map(\.callID)
    }

    private static func say(_ house: House, _ outcome: SurveyOutcomeReport.Outcome, _ callID: UUID) async throws {
        let publication = CallMessages.publication(
            of: SurveyOutcomeReport(callID: callID, outcome: outcome, occurredAt: Date())
        )
        try await house.publisher.publish(
            publication.message,
            exchange: publication.exchange,
            routingKey: publication.routingKey
        )
    }

    /// How many transactions of this database have failed.
    private static func rollbacks(_ house: House) async throws -> Int {
        try await house.scratch.value(
            "select xact_rollback from pg_stat_database where datname = current_database()",
            as: Int.self
        )
    }

    private static func dead(_ house: House) async throws -> Int {
        try await house.publisher.queueStatus(CallTopology.dead).messagesReady
    }

    /// A call is reported as over and an opt-out is said while something is wrong; both count once it is not any more.
    private static func nothingIsLost(
        _ house: House,
        _ recorder: OutcomeRecorder,
        _ callIDs: [UUID],
        reason: String,
        until mend: () async throws -> Void
    ) async throws {
        try await house.report(.completed, callIDs[0])
        try await Self.say(house, .optOut, callIDs[1])
        try await eventually("readiness says why: \(recorder.currentFault ?? "")") {
            recorder.currentFault?.contains(reason) == true
        }
        let failures = try await Self.rollbacks(house)
        try await eventually(
            "it was tried again",
            of: { try await Self.rollbacks(house) },
            { $0 >= failures + 3 }
        )
        #expect(recorder.currentFault?.contains(reason) == true, "\(recorder.currentFault ?? "ready")")
        #expect(try await Self.dead(house) == 0)
        #expect(try await house.count("ended_at is not null", in: "call_attempts") == 0)
        try await mend()
        try await eventually("both are recorded") {
            let ended = try await house.count("outcome = 'completed'", in: "call_attempts")
            let excluded = try await house.count("state = 'excluded'")
            return ended == 1 && excluded == 1
        }
        try await eventually("readiness is back") { recorder.currentFault == nil }
        #expect(try await Self.dead(house) == 0)
        #expect(try await house.publisher.queueStatus(CallTopology.callEvents).messagesReady == 0)
    }

    /// Runs a recorder whose sessions have a statement time-out until a test lifts it: what they do then may take its time.
    private static func withTimeout(
        _ house: House,
        _ timeout: Duration,
        _ body: @Sendable (OutcomeRecorder, _ lift: @escaping @Sendable () async throws -> Void) async throws -> Void
    ) async throws {
        let database = try await house.scratch.value("select current_database()::text", as: String.self)
        let role = "r_" + String(UInt64.random(in: 0...UInt64.max), radix: 36)
        try await house.scratch.execute("create role \(role) login superuser password 'a-password'")
        try await house.scratch.execute(
            "alter role \(role) in database \(database) set statement_timeout = \(Int(timeout / .milliseconds(1)))"
        )
        let parameters = "user=\(role)&password=a-password"
        try await house.withRecorder(parameters: parameters, options: { _ in }) { recorder in
            try await body(recorder) {
                try await house.scratch.execute("alter role \(role) in database \(database) reset statement_timeout")
                // A session keeps the time-out that it began with.
                try await house.scratch.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where usename = '\(role)'"
                )
            }
        }
        try await house.scratch.execute("drop role \(role)")
    }

    @Test("a lock that outlasts the statement time-out makes reports wait")
    func locked() async throws {
        try await House.run { house in
            let callIDs = try await Self.place(house, 2)
            try await Self.withTimeout(house, .milliseconds(700)) { recorder, lift in
                let locker = try house.scratch.anotherClient()
                try await locker.withConnection { connection in
                    try await connection.execute(PostgresStatement("begin", prepared: false))
                    try await connection.execute(
                        PostgresStatement("lock table call_attempts in share mode", prepared: false)
                    )
                    try await Self.nothingIsLost(house, recorder, callIDs, reason: "57014") {
                        try await lift()
                        try await connection.execute(PostgresStatement("rollback", prepared: false))
                    }
                }
                await locker.close()
            }
        }
    }

    @Test("a database that became read-only makes reports wait")
    func readOnly() async throws {
        try await House.run { house in
            let callIDs = try await Self.place(house, 2)
            let name = try await house.scratch.value("select current_database()::text", as: String.self)
            // A session keeps the default that it began with.
            let sessions = """
                select pg_terminate_backend(pid)::text from pg_stat_activity
                where datname = '\(name)' and application_name = 'under test'
                """
            let admin = try house.scratch.anotherClient(parameters: "options=-c%20default_transaction_read_only%3Doff")
            @Sendable func change(_ value: String) async throws {
                let statement = "alter database \(name) set default_transaction_read_only = \(value)"
                try await admin.execute(PostgresStatement(statement, prepared: false))
                try await admin.execute(PostgresStatement(sessions, prepared: false))
            }
            try await change("on")
            try await house.withRecorder(options: { $0.applicationName = "under test" }) { recorder in
                try await Self.nothingIsLost(house, recorder, callIDs, reason: "25006") { try await change("off") }
            }
            await admin.close()
        }
    }

    @Test("rights that were taken away make reports wait")
    func rights() async throws {
        try await House.run { house in
            let callIDs = try await Self.place(house, 2)
            let role = "r_" + String(UInt64.random(in: 0...UInt64.max), radix: 36)
            try await house.scratch.execute("create role \(role)")
            try await house.scratch.execute("grant all on all tables in schema public to \(role)")
            try await house.scratch.execute("revoke update on call_attempts from \(role)")
            try await house.withRecorder(parameters: "options=-c%20role%3D\(role)") { recorder in
                try await Self.nothingIsLost(house, recorder, callIDs, reason: "42501") {
                    try await house.scratch.execute("grant update on call_attempts to \(role)")
                }
            }
            try await house.scratch.execute("drop owned by \(role)")
            try await house.scratch.execute("drop role \(role)")
        }
    }

    @Test(
        "whatever else a server says that is not about values makes reports wait",
        arguments: [
            "53100", "53200", "53300", "53400", "40001", "40P01", "55000", "55P03", "57014", "57P01", "58030", "XX000",
            "XX001", "0A000", "54001", "P0001", "42P01", "22023", "72000",
        ]
    )
    func waits(state: String) async throws {
        try await House.run { house in
            let callIDs = try await Self.place(house, 2)
            try await house.raise(state, onUpdateWhere: "true")
            try await house.withRecorder(options: { _ in }) { recorder in
                try await Self.nothingIsLost(house, recorder, callIDs, reason: state) {
                    try await house.scratch.execute("drop trigger raises on call_attempts")
                }
            }
        }
    }

    @Test(
        "one report whose values the database refuses is put aside with the reason, and none of the others",
        arguments: ["22001", "22021", "23514", "zero byte"]
    )
    func values(state: String) async throws {
        try await House.run { house in
            let callIDs = try await Self.place(house, 60)
            if state != "zero byte" { try await house.raise(state, onUpdateWhere: "new.call_id = '\(callIDs[17])'") }
            for (index, callID) in callIDs.enumerated() {
                var event = CallEvent(callID: callID, status: .completed, occurredAt: Date())
                if index == 17, state == "zero byte" { event.rawStatus = "a\0b" }
                let publication = CallMessages.publication(of: event)
                try await house.publisher.publish(
                    publication.message,
                    exchange: publication.exchange,
                    routingKey: publication.routingKey
                )
            }
            try await house.withRecorder(options: { _ in }) { recorder in
                try await eventually(
                    "the others are recorded",
                    of: { try await house.count("outcome = 'completed'", in: "call_attempts") },
                    { $0 == 59 }
                )
                try await eventually("it is put aside") { try await Self.dead(house) == 1 }
                #expect(recorder.currentFault == nil)
            }
            let delivery = try #require(try await house.publisher.get(CallTopology.dead))
            let letter = DeadLetter(delivery)
            #expect(letter.kind == .refused)
            #expect(letter.callID == callIDs[17])
            #expect(letter.reason.contains(state == "zero byte" ? "cannot be expressed" : state))
            #expect(letter.exchange == CallTopology.callEvents && letter.queue == CallTopology.callEvents)
            #expect(try await house.publisher.queueStatus(CallTopology.callEvents).messagesReady == 0)
        }
    }

    @Test("a row that somebody has locked holds up its own report only, and is recorded when it is free")
    func oneLockedRow() async throws {
        try await House.run { house in
            let callIDs = try await Self.place(house, 60)
            try await Self.withTimeout(house, .seconds(2)) { recorder, lift in
                let locker = try house.scratch.anotherClient()
                try await locker.withConnection { connection in
                    try await connection.execute(PostgresStatement("begin", prepared: false))
                    let lock = "select from call_attempts where call_id = '\(callIDs[30])' for update"
                    try await connection.execute(PostgresStatement(lock, prepared: false))
                    for callID in callIDs { try await house.report(.completed, callID) }
                    try await eventually(
                        "the others are recorded",
                        of: { try await house.count("outcome = 'completed'", in: "call_attempts") },
                        { $0 == 59 }
                    )
                    try await eventually("readiness says why") {
                        recorder.currentFault?.contains("1 report(s) wait") == true
                    }
                    #expect(try await Self.dead(house) == 0)
                    try await lift()
                    try await connection.execute(PostgresStatement("rollback", prepared: false))
                }
                await locker.close()
                try await eventually("the last one is recorded") {
                    try await house.count("outcome = 'completed'", in: "call_attempts") == 60
                }
                try await eventually("readiness is back") { recorder.currentFault == nil }
            }
            #expect(try await house.publisher.queueStatus(CallTopology.callEvents).messagesReady == 0)
        }
    }

    @Test("ends that come twice, with the interview's word among them, are recorded once")
    func together() async throws {
        try await House.run { house in
            let callIDs = try await Self.place(house, 3)
            // Before the recorder starts, so that they come in one batch.
            for _ in 0..<2 {
                for callID in callIDs { try await house.report(.completed, callID) }
                try await Self.say(house, .refused, callIDs[0])
            }
            try await house.withRecorder {
                try await eventually("all are over") {
                    try await house.count("ended_at is not null", in: "call_attempts") == 3
                }
            }
            #expect(try await house.count("state = 'refused'") == 1)
            #expect(try await house.count("state = 'completed'") == 2)
            #expect(try await house.count("kind = 'refused'", in: "survey_events") == 1)
            #expect(try await house.count("kind = 'completed'", in: "survey_events") <= 3)
            #expect(try await Self.dead(house) == 0)
        }
    }
}
