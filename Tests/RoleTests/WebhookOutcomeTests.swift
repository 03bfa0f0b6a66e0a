// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import Postgres
import Recording
import TestBasics
import TestSupport
import Testing

@testable import Webhooks

/// `POST /v1/calls/{call_id}/outcome`: what was answered with 204 is in the database.
@Suite(.timeLimit(.minutes(20)))
struct WebhookOutcomeTests {
    /// The door, and who knocks at it.
    private struct Door: Sendable {
        let client: any TestClientProtocol

        func say(
            _ body: String,
            of call: String,
            token: String? = "the-token-of-today"
        ) async throws -> TestResponse {
            try await self.client.execute(
                uri: "/v1/calls/\(call)/outcome",
                method: .post,
                headers: token.map { [.authorization: "Bearer " + $0] } ?? [:],
                body: ByteBuffer(string: body)
            )
        }

        func say(_ outcome: SurveyOutcomeReport.Outcome, of call: UUID) async throws -> HTTPResponse.Status {
            try await self.say(#"{"outcome": "\#(outcome.rawValue)"}"#, of: call.lowercased).status
        }
    }

    private static func open(
        _ house: House,
        broker: AMQPConnection? = nil,
        store: CallStore? = nil,
        _ change: (inout WebhookConfiguration) -> Void = { _ in },
        _ body: @Sendable (Door) async throws -> Void
    ) async throws {
        var configuration = WebhookConfiguration()
        configuration.outcomeTokens = ["the-token-of-today", "the-one-before"]
        configuration.refusalsPerMinute = 0
        change(&configuration)
        var logger = Logger(label: "webhooks")
        logger.logLevel = .critical
        let server = WebhookServer(
            configuration: configuration,
            provider: ScriptedProvider(),
            store: store ?? house.scratch.store,
            broker: broker ?? house.publisher,
            logger: logger
        )
        try await Application(router: server.router()).test(.live) { client in try await body(Door(client: client)) }
    }

    /// Live calls.
    private static func place(_ house: House, _ count: Int = 1) async throws -> [UUID] {
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

    private static func end(_ house: House, _ callID: UUID, _ status: CallStatus = .completed) async throws {
        let event = CallEvent(callID: callID, status: status, occurredAt: Date())
        _ = try await house.scratch.store.record([CallReport(event)])
    }

    @Test("a callback has a time or none, and its time is in the database before it is answered")
    func callback() async throws {
        try await House.run { house in
            try await Self.open(house) { door in
                let call = try await Self.place(house)[0].lowercased
                for body in [
                    #"{"outcome": "completed", "callback_at": "2099-01-01T10:00:00Z"}"#,
                    #"{"outcome": "callback", "callback_at": "tomorrow"}"#,
                ] {
                    #expect(try await door.say(body, of: call).status == .badRequest)
                }
                #expect(try await door.say(#"{"outcome": "callback"}"#, of: call).status == .noContent)
                let body = #"{"outcome": "callback", "callback_at": "2099-01-01T10:00:00Z"}"#
                for _ in 0..<2 { #expect(try await door.say(body, of: call).status == .noContent) }
                let stored = try await house.scratch.value(
                    "select string_agg(appointed_at::text || source, ' ') from appointments",
                    as: String.self
                )
                #expect(stored.hasPrefix("2099-01-01 10:00:00+00") && stored.hasSuffix("interview"), "\(stored)")
            }
        }
    }

    @Test("it needs a valid token and a word that we know, and is committed when it is answered")
    func answers() async throws {
        try await House.run { house in
            let callID = try await Self.place(house)[0]
            let path = callID.lowercased
            try await Self.open(house) { door in
                let good = #"{"outcome": "refused"}"#
                #expect(try await door.say(good, of: path, token: nil).status == .unauthorized)
                #expect(try await door.say(good, of: path, token: "the-token-of-todaz").status == .unauthorized)
                #expect(try await door.say(good, of: path, token: "").status == .unauthorized)
                #expect(try await door.say("{}", of: path).status == .badRequest)
                #expect(try await door.say(#"{"outcome": "bored"}"#, of: path).status == .badRequest)
                #expect(try await door.say(good, of: "7").status == .badRequest)
                #expect(try await house.count("survey_outcome is not null", in: "call_attempts") == 0)
                #expect(try await door.say(good, of: path).status == .noContent)
                #expect(try await house.count("survey_outcome = 'refused'", in: "call_attempts") == 1)
                #expect(try await door.say(good, of: path, token: "the-one-before").status == .noContent)
                try await Self.end(house, callID)
                #expect(try await house.count("state = 'refused'") == 1)
            }
            #expect(try await house.publisher.queueStatus(CallTopology.callEvents).messagesReady == 0)
            try await Self.open(house) {
                $0.outcomeTokens = []
            } _: { door in
                let status = try await door.say(.refused, of: callID)
                #expect(status == .notFound)
            }
        }
    }

    @Test("an opt-out excludes before it is answered, in every campaign, and with the broker away")
    func optOut() async throws {
        try await House.run { house in
            let callID = try await Self.place(house)[0]
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, name: "other", contacts: 3)
            let broker = try house.scratch.connection()
            await broker.close()
            try await Self.open(house, broker: broker) { door in
                for _ in 0..<3 {
                    let status = try await door.say(.optOut, of: callID)
                    #expect(status == .noContent)
                }
            }
            #expect(try await house.count("true", in: "exclusion_list_entries") == 1)
            #expect(try await house.count("state = 'excluded'") == 2)
            #expect(try await house.count("state = 'pending'") == 2)
        }
    }

    @Test("a call that nobody made here is not found, and nothing changes")
    func unknownCall() async throws {
        try await House.run { house in
            _ = try await Self.place(house)
            try await Self.open(house) { door in
                let answer = try await door.say(#"{"outcome": "opt_out"}"#, of: CallID.make().lowercased)
                #expect(answer.status == .notFound)
                #expect(String(buffer: answer.body) == "no call with this id was made here\n")
            }
            #expect(try await house.count("true", in: "exclusion_list_entries") == 0)
            #expect(try await house.publisher.queueStatus(CallTopology.callEvents).messagesReady == 0)
        }
    }

    @Test(
        "what cannot be committed now is told to come again, and counts when it does or when a recorder hears of it",
        arguments: ["locked", "read-only", "away"],
        [true, false]
    )
    func comesAgain(fault: String, doesComeAgain: Bool) async throws {
        try await House.run { house in
            let callID = try await Self.place(house)[0]
            let client = try house.scratch.anotherClient(
                parameters: fault == "read-only" ? "options=-c%20default_transaction_read_only%3Don" : nil
            )
            if fault == "away" { await client.close() }
            let locker = try house.scratch.anotherClient()
            try await locker.withConnection { connection in
                try await connection.execute(PostgresStatement("begin", prepared: false))
                if fault == "locked" {
                    let lock = "lock table call_attempts in share mode"
                    try await connection.execute(PostgresStatement(lock, prepared: false))
                }
                let store = CallStore(client: client, logger: house.scratch.logger)
                try await Self.open(house, store: store) {
                    $0.outcomeTimeout = .seconds(1)
                } _: { door in
                    let answer = try await door.say(#"{"outcome": "opt_out"}"#, of: callID.lowercased)
                    #expect(answer.status == .serviceUnavailable)
                    #expect(answer.headers[.retryAfter] == "5")
                }
                try await connection.execute(PostgresStatement("rollback", prepared: false))
            }
            await locker.close()
            await client.close()
            #expect(try await house.count("true", in: "exclusion_list_entries") == 0)
            if doesComeAgain {
                try await Self.open(house) { door in
                    let status = try await door.say(.optOut, of: callID)
                    #expect(status == .noContent)
                }
                #expect(try await house.count("state = 'excluded'") == 1)
            } else {
                try await house.withRecorder {
                    try await eventually("it was heard") { try await house.count("state = 'excluded'") == 1 }
                }
            }
        }
    }

    @Test("any order of an interview's words and the provider's end gives the same row", arguments: 0..<6)
    func permutations(seed: Int) async throws {
        try await House.run { house in
            let callID = try await Self.place(house)[0]
            let order = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]][seed]
            try await Self.open(house) { door in
                for step in order + order {
                    switch step {
                    case 0: #expect(try await door.say(.completed, of: callID) == .noContent)
                    case 1: #expect(try await door.say(.refused, of: callID) == .noContent)
                    default: try await Self.end(house, callID)
                    }
                }
            }
            let row = try await house.scratch.value(
                "select concat_ws('|', c.state, a.outcome, a.survey_outcome) from contacts c, call_attempts a",
                as: String.self
            )
            #expect(row == "refused|refused|refused", "order \(order)")
        }
    }

    @Test("many at once, twice each, beside the provider's ends: each is in its row, and every survey event goes out")
    func manyAtOnce() async throws {
        try await House.run { house in
            let callIDs = try await Self.place(house, 60)
            let optOuts = Set(callIDs[40...])
            try await house.withRecorder {
                try await Self.open(house) { door in
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for callID in callIDs + callIDs {
                            group.addTask {
                                let word: SurveyOutcomeReport.Outcome = optOuts.contains(callID) ? .optOut : .refused
                                let status = try await door.say(word, of: callID)
                                #expect(status == .noContent)
                            }
                            group.addTask { try await house.report(.completed, callID) }
                        }
                        try await group.waitForAll()
                    }
                }
                #expect(try await house.count("true", in: "exclusion_list_entries") == 20)
                try await eventually(
                    "all are over",
                    of: { try await house.count("outcome = 'refused'", in: "call_attempts") },
                    { $0 == 60 }
                )
                // Who opted out before the end is excluded, and who did after it has refused by then.
                #expect(try await house.count("state in ('refused', 'excluded')") == 60)
                #expect(try await house.count("state = 'excluded'") <= 20)
                try await eventually(
                    "the outbox is empty",
                    of: {
                        let refused = try await house.count("kind = 'refused'", in: "survey_events")
                        return [refused, try await house.count("published_at is null", in: "survey_events")]
                    },
                    { $0[0] >= 40 && $0[1] == 0 }
                )
            }
        }
    }
}
