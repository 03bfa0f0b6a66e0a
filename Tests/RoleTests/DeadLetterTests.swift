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

/// `call-scheduler dead-letters`: people look at what nobody could handle, and act on it.
@Suite(.timeLimit(.minutes(20)))
struct DeadLetterTests {
    /// What `list --json` says of a letter.
    private struct Letter: Decodable, Equatable {
        let id: String
        let kind: String
        let reason: String
        let callID: String?
        let ageSeconds: Int?
        let exchange: String?
        let bodySize: Int

        enum CodingKeys: String, CodingKey {
            case id, kind, reason, exchange
            case callID = "call_id"
            case ageSeconds = "age_seconds"
            case bodySize = "body_size"
        }
    }

    private static func run(_ house: House, _ arguments: String...) async throws -> Product.Ended {
        try await Product.run(
            ["dead-letters"] + arguments,
            ["DATABASE_URL": house.scratch.databaseURL, "AMQP_URL": house.scratch.brokerURL]
        )
    }

    private static func list(_ house: House, _ arguments: String...) async throws -> [Letter] {
        let ended = try await Product.run(
            ["dead-letters", "list", "--json"] + arguments,
            ["DATABASE_URL": house.scratch.databaseURL, "AMQP_URL": house.scratch.brokerURL]
        )
        #expect(ended.exitCode == 0, "\(ended.errors)")
        return try JSONDecoder().decode([Letter].self, from: Data(ended.output.utf8))
    }

    private static func dead(_ house: House) async throws -> Int {
        var count = 0
        for queue in CallTopology.deadLetterQueues {
            count += try await house.publisher.queueStatus(queue).messagesReady
        }
        return count
    }

    /// Puts reports into `dial.dead` as a recorder does.
    private static func fill(_ house: House, _ count: Int, exchange: String = CallTopology.callEvents) async throws {
        let publications = (0..<count).map { _ in
            var publication = CallMessages.publication(
                of: CallEvent(callID: CallID.make(), status: .busy, occurredAt: Date())
            )
            publication.message.headers["call-scheduler-reason"] = .string("SQLSTATE 23514")
            publication.message.headers["call-scheduler-queue"] = .string(CallTopology.callEvents)
            publication.message.headers["call-scheduler-exchange"] = .string(exchange)
            publication.message.headers["call-scheduler-routing-key"] = .string(CallTopology.callEvents)
            publication.exchange = CallTopology.dead
            return publication
        }
        for result in await house.publisher.publish(batch: publications) { try result.get() }
    }

    @Test("each letter has its kind, its reason, its age and its call; looking takes none away and keeps their order")
    func kinds() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 2)
            _ = try await house.selector().pass()
            let calls = AskedCalls()
            let provider = ScriptedProvider { request throws(TelephonyError) in
                // The first is refused for now, the second is taken.
                guard calls.add(request.callID) > 1 else {
                    throw TelephonyError(
                        code: .refusedForNow(retryAfter: nil),
                        providerCode: "20429",
                        httpStatus: 429,
                        message: "too many"
                    )
                }
                return PlacedCall(providerCallID: "CA" + request.callID.lowercased, rawStatus: "queued")
            }
            try await house.withDialer(provider: provider) { _ in
                try await eventually("both are asked for") { calls.all.count == 2 }
                try await eventually("the refused one is dead") { try await Self.dead(house) == 1 }
            }
            let (refused, placed) = (calls.all[0], calls.all[1])
            try await house.raise("23514", onUpdateWhere: "new.call_id = '\(placed)'")
            try await house.withRecorder {
                try await house.report(.completed, placed)
                try await eventually("the report is dead") { try await Self.dead(house) == 2 }
                var garbage = AMQPMessage(body: Array(#"{"phone": "+15005550006"}"#.utf8))
                garbage.type = CallEvent.messageType
                try await house.publisher.publish(
                    garbage,
                    exchange: CallTopology.callEvents,
                    routingKey: CallTopology.callEvents
                )
                try await eventually("the garbage is dead") { try await Self.dead(house) == 3 }
            }
            let letters = try await Self.list(house)
            #expect(letters.map(\.kind) == ["refused", "unreadable", "not_placed"])
            #expect(letters.map(\.callID) == [placed.lowercased, nil, refused.lowercased])
            #expect(letters[2].reason == "the provider did not take the call: 20429")
            #expect(letters[0].reason.contains("23514"))
            #expect(letters[1].reason == "field event_id is missing" || letters[1].reason.contains("missing"))
            #expect(letters.allSatisfy { ($0.ageSeconds ?? -1) >= 0 && ($0.ageSeconds ?? 999) < 300 })
            for _ in 0..<3 { #expect(try await Self.list(house).map(\.id) == letters.map(\.id)) }
            #expect(try await Self.list(house, "--kind", "refused").map(\.id) == [letters[0].id])
            // What was looked at goes back when the connection is gone.
            try await eventually("all are there") { try await Self.dead(house) == 3 }
            let text = try await Self.run(house, "list")
            #expect(text.exitCode == 0)
            #expect(text.output.contains("3 in all: 1 not_placed, 1 refused, 1 unreadable"))
            let shown = try await Self.run(house, "show", String(letters[1].id.prefix(8)))
            #expect(shown.exitCode == 0, "\(shown.errors)")
            #expect(shown.output.contains(letters[1].reason) && !shown.output.contains("+15005550006"))
            let body = try await Self.run(house, "show", letters[1].id, "--body")
            #expect(body.output == #"{"phone": "+15005550006"}"#)
            // What was looked at goes back when the connection is gone.
            try await eventually("all are there") { try await Self.dead(house) == 3 }
            // The newest has not gone to the front.
            #expect(try await house.publisher.get(CallTopology.dead).map { DeadLetter($0).kind } == .refused)
        }
    }

    @Test("an opt-out that the database refused counts once the cause is gone and it is sent again")
    func sentAgain() async throws {
        try await House.run { house in
            let campaign = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1)
            let request = try await house.scratch.store
                .claim(campaign: campaign, limit: 1, leaseDuration: .seconds(60)).requests[0]
            _ = try await house.scratch.store.beginAttempts(
                [.init(callID: request.callID, contactID: request.contactID, expiresAt: request.expiresAt)],
                dialerID: "d1",
                trunk: "default",
                margin: .seconds(10)
            )
            try await house.raise("23514", onUpdateWhere: "true")
            try await house.withRecorder {
                let publication = CallMessages.publication(
                    of: SurveyOutcomeReport(callID: request.callID, outcome: .optOut, occurredAt: Date())
                )
                try await house.publisher.publish(
                    publication.message,
                    exchange: publication.exchange,
                    routingKey: publication.routingKey
                )
                try await eventually("it is dead") { try await Self.dead(house) == 1 }
                try await house.scratch.execute("drop trigger raises on call_attempts")
                let letter = try await Self.list(house)[0]
                let sent = try await Self.run(house, "send-again", letter.id)
                #expect(sent.exitCode == 0, "\(sent.errors)")
                #expect(sent.output == "sent 1 again\n")
                try await eventually("it counts") { try await house.count("state = 'excluded'") == 1 }
            }
            #expect(try await Self.dead(house) == 0)
        }
    }

    @Test("thousands are listed in their order, sent again and discarded")
    func thousands() async throws {
        try await House.run { house in
            try await Self.fill(house, 3000)
            let letters = try await Self.list(house, "--limit", "5000")
            #expect(letters.count == 3000)
            #expect(Set(letters.map(\.id)).count == 3000)
            #expect(try await Self.list(house, "--limit", "100").map(\.id) == letters[..<100].map(\.id))
            #expect(try await Self.list(house, "--limit", "5000").map(\.id) == letters.map(\.id))
            #expect(try await Self.dead(house) == 3000)
            // By id, from the middle.
            let discarded = try await Self.run(house, "discard", letters[1500].id, letters[2999].id)
            #expect(discarded.output == "discarded 2\n", "\(discarded.errors)")
            let left = letters.map(\.id).filter { $0 != letters[1500].id && $0 != letters[2999].id }
            #expect(try await Self.list(house, "--limit", "5000").map(\.id) == left)
            let sent = try await Self.run(house, "send-again", "--all", "--kind", "refused")
            #expect(sent.output == "sent 2998 again\n", "\(sent.errors)")
            #expect(try await Self.dead(house) == 0)
            #expect(try await house.publisher.queueStatus(CallTopology.callEvents).messagesReady == 2998)
            let delivery = try #require(try await house.publisher.get(CallTopology.callEvents))
            #expect(
                delivery.message.headers.keys.filter { $0.contains("call-scheduler") || $0.contains("death") } == []
            )
            try await Self.fill(house, 500)
            let rest = try await Self.run(house, "discard", "--all", "--kind", "refused")
            #expect(rest.output == "discarded 500\n", "\(rest.errors)")
            #expect(try await Self.run(house, "list").output == "no dead letters\n")
        }
    }

    @Test("what cannot be sent stays, and what is asked for wrongly does nothing")
    func faults() async throws {
        try await House.run { house in
            try await Self.fill(house, 2, exchange: "nowhere")
            let letters = try await Self.list(house)
            let sent = try await Self.run(house, "send-again", "--all")
            #expect(sent.exitCode == 1)
            #expect(sent.output == "sent 0 again\n")
            #expect(sent.errors.contains(letters[0].id) && sent.errors.contains(letters[1].id))
            for arguments in [
                ["discard", "--all"], ["discard"], ["discard", "0123456789abcdef"], ["discard", "12"],
                ["discard", letters[0].id, "--all"], ["discard", "--all", "--kind", "good"], ["list", "--limit", "0"],
                ["show", "ffffffff"], ["send-again", letters[0].id, "eeeeeeee"],
            ] {
                let ended = try await Product.run(
                    ["dead-letters"] + arguments,
                    ["DATABASE_URL": house.scratch.databaseURL, "AMQP_URL": house.scratch.brokerURL]
                )
                #expect(ended.exitCode == 64, "\(arguments): \(ended.output)\(ended.errors)")
            }
            #expect(try await Self.list(house).map(\.id) == letters.map(\.id))
        }
    }
}

/// The calls that a provider was asked for, in order.
private final class AskedCalls: Sendable {
    private let calls = NIOLockedValueBox<[UUID]>([])

    var all: [UUID] { self.calls.withLockedValue(\.self) }

    func add(_ callID: UUID) -> Int {
        self.calls.withLockedValue { calls in
            calls.append(callID)
            return calls.count
        }
    }
}
