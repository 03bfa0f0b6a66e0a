// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import AsyncHTTPClient
import CallModel
import CallQueues
import CallStore
import Foundation
import NIOCore
import NIOHTTP1
import TestBasics
import TestSupport
import Testing

/// What a whole run writes to its logs and sends through the broker.
@Suite(.timeLimit(.minutes(20)), .serialized)
struct PrivacyTests {
    private static let outcomeToken = "outcome-token-7c1b"
    private static let formerToken = "former-token-93aa"
    private static let suppressionKey = "suppression-key-0123456789abcdef"
    private static let databasePassword = "database-password-55e0"
    private static let scenario = """
        {"seed": 3, "outcomes": {"completed": 50, "no_answer": 20, "busy": 15, "failed": 5, "invalid_number": 10},
         "ring_seconds": {"min": 0.05, "max": 0.2}, "talk_seconds": {"min": 0.1, "max": 0.3},
         "faults": {"callback_duplicated": 0.1, "callback_lost": 0.1, "refuse_429": 0.05, "server_error_after": 0.05,
                    "server_error_before": 0.05}}
        """

    /// Everything that was written or sent, with where it was.
    private struct Seen: Sendable {
        var logs: [(role: String, line: String)] = []
        var messages: [AMQPDelivery] = []
    }

    @Test(
        "no log line and no message holds a number, a name, an e-mail address or a secret; all of a call name it"
    )
    func wholeRun() async throws {
        let contacts = 60
        let seen = try await Scratch.run { scratch in try await Self.run(scratch, contacts) }
        #expect(seen.logs.count > 4 * contacts)
        #expect(seen.messages.count > 4 * contacts)
        let texts = seen.logs.map { "\($0.role): \($0.line)" } + seen.messages.map(Self.text)
        let numbers = try (0..<contacts).map { try Fixtures.number($0).e164.dropFirst() } + ["15005550006"]
        let forbidden =
            numbers.map(String.init) + [
                "private.example", "Mustermann", "Erika", Self.outcomeToken, Self.formerToken, Self.suppressionKey,
                Self.databasePassword, Rehearsal.token, "guest:guest",
            ]
        // A contact's reference is what the survey's own system knows it by: it goes there, and nowhere else.
        let elsewhere = seen.messages.filter { $0.exchange != CallTopology.surveyEvents }.map(Self.text)
        for text in elsewhere + seen.logs.map(\.line) where text.contains("Kundennummer") {
            Issue.record("a reference is in \(text.prefix(300))")
        }
        for text in texts {
            for word in forbidden where text.contains(word) { Issue.record("'\(word)' is in \(text.prefix(300))") }
            if let number = text.firstMatch(of: /\+[1-9][0-9]{7,14}\b/) {
                Issue.record("\(number.0) is in \(text.prefix(300))")
            }
        }
        try Self.checkLines(seen.logs)
        Self.checkTraces(seen.messages)
    }

    /// A line about a call names the call and its campaign.
    private static func checkLines(_ logs: [(role: String, line: String)]) throws {
        var ofCalls: [String: Int] = [:]
        for (role, line) in logs {
            let object = try #require(
                try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String],
                "no JSON object of texts: \(line.prefix(300))"
            )
            for key in ["time", "level", "logger", "message"] { #expect(object[key] != nil, "\(line.prefix(300))") }
            guard let callID = object["call_id"] else { continue }
            #expect(UUID(uuidString: callID) != nil)
            ofCalls[role, default: 0] += 1
            // A recorder only tells of calls that are not ours.
            if role != "recorder" { #expect(object["campaign_id"] != nil, "\(line.prefix(300))") }
        }
        #expect(ofCalls["dialer", default: 0] > 60)
        #expect(ofCalls["webhooks", default: 0] > 60)
    }

    /// The trace id of whatever is about a call is its `call_id`.
    private static func checkTraces(_ messages: [AMQPDelivery]) {
        var kinds: [String: Int] = [:]
        for delivery in messages {
            guard let object = try? JSONSerialization.jsonObject(with: Data(delivery.message.body)) as? [String: Any],
                let callID = object["call_id"] as? String, delivery.message.type != CallEndedHint.messageType
            else { continue }
            kinds[delivery.message.type ?? "", default: 0] += 1
            guard case .string(let traceparent)? = delivery.message.headers["traceparent"] else {
                Issue.record("no traceparent: \(Self.text(delivery).prefix(300))")
                continue
            }
            #expect(traceparent.hasPrefix("00-" + callID.lowercased().filter { $0 != "-" } + "-"))
        }
        for kind in [DialRequest.messageType, CallEvent.messageType, SurveyEvent.messageType] {
            #expect(kinds[kind, default: 0] >= 40, "\(kind): \(kinds)")
        }
    }

    private static func text(_ delivery: AMQPDelivery) -> String {
        "\(delivery.exchange) \(delivery.routingKey) \(delivery.message.headers) \(delivery.message) "
            + String(decoding: delivery.message.body, as: UTF8.self)
    }

    private static func run(_ scratch: Scratch, _ contacts: Int) async throws -> Seen {
        let tap = try await Self.tap(scratch)
        let rehearsal = try await Rehearsal.start(scenario: Self.scenario)
        let port = try Ports.free()
        var roles: [(name: String, role: RunningRole)] = []
        let outcome: Result<Seen, any Error>
        do {
            let environment = [
                "DATABASE_URL": scratch.databaseURL.replacing("@", with: ":\(Self.databasePassword)@"),
                "AMQP_URL": scratch.brokerURL, "LOG_LEVEL": "trace", "LOG_FORMAT": "json",
                "TWILIO_ACCOUNT_SID": Rehearsal.account, "TWILIO_AUTH_TOKEN": Rehearsal.token,
                "TWILIO_PREVIOUS_AUTH_TOKEN": Self.formerToken, "TWILIO_BASE_URL": rehearsal.url,
                "WEBHOOK_PUBLIC_URL": "http://127.0.0.1:\(port)", "WEBHOOK_PORT": "\(port)",
                "WEBHOOK_OUTCOME_TOKEN": Self.outcomeToken, "SUPPRESSION_KEY": Self.suppressionKey,
                "SELECTOR_INTERVAL_SECONDS": "0.5", "DIALER_MAX_CONCURRENT_CALLS": "10",
                "DIALER_CALLS_PER_SECOND": "100", "DIALER_CALL_MARGIN_SECONDS": "1",
                "DIALER_FAILURE_BACKOFF_SECONDS": "1", "DIALER_ID": "d1", "DIALER_BREAKER_PAUSE_SECONDS": "1",
            ]
            for name in ["selector", "dialer", "recorder", "webhooks"] {
                roles.append((name, try RunningRole([name], environment)))
            }
            try await Self.mischief(scratch, port)
            try await rehearsal.hold(.end)
            _ = try await Fixtures.runningCampaign(in: scratch.store, contacts: contacts) {
                $0.maximumAttempts = 2
                $0.maximumCallSeconds = 3600
                $0.retryIntervalMinutes = 0
                $0.answerURL = rehearsal.url + "/simulator/answer"
            }
            try await scratch.execute(
                """
                update contacts set email = 'Erika.Mustermann' || id || '@private.example',
                    external_contact_id = 'Kundennummer ' || id
                """
            )
            try await eventually("calls are live") {
                try await scratch.value("select count(*) from call_attempts", as: Int.self) > 5
            }
            // A broken connection, and a number that must not be called any more.
            try await scratch.execute(
                """
                select pg_terminate_backend(pid) from pg_stat_activity
                where application_name like 'call-scheduler/%' and datname = current_database()
                """
            )
            _ = try await scratch.store.addExclusions(
                [try Fixtures.number(contacts - 1)],
                reason: "asked us to",
                source: "manual"
            )
            try await rehearsal.release(.end)
            let open = """
                select count(*) from contacts
                where state in ('pending', 'in_progress') or state = 'not_reached' and next_attempt_at is not null
                """
            try await eventually(
                "every contact is final",
                of: { try await scratch.value(open, as: Int.self) },
                { $0 == 0 }
            )
            for (_, role) in roles { await role.stop() }
            var seen = Seen()
            for (name, role) in roles {
                seen.logs += role.log.split(separator: "\n").map { (name, String($0)) }
            }
            while let delivery = try await tap.get("tap") { seen.messages.append(delivery) }
            outcome = .success(seen)
        } catch {
            for (_, role) in roles { await role.stop() }
            outcome = .failure(error)
        }
        await rehearsal.role.stop()
        await tap.close()
        return try outcome.get()
    }

    /// A queue that gets a copy of every message.
    private static func tap(_ scratch: Scratch) async throws -> AMQPConnection {
        var topology = CallTopology.dialRequests(trunk: "default").union(CallTopology.reports())
            .union(CallTopology.surveys()).union(CallTopology.hints())
        topology.queue("tap", kind: .classic, durable: false)
        topology.bind(queue: "tap", exchange: CallTopology.dialExchange, routingKey: "default")
        topology.bind(queue: "tap", exchange: CallTopology.callEvents, routingKey: CallTopology.callEvents)
        topology.bind(queue: "tap", exchange: CallTopology.surveyEvents, routingKey: "#")
        topology.bind(queue: "tap", exchange: CallTopology.callEnded, routingKey: "d1")
        topology.bind(queue: "tap", exchange: CallTopology.dead, routingKey: "")
        let connection = try scratch.connection(topology: topology)
        try await connection.waitUntilReady(timeout: .seconds(120))
        return connection
    }

    /// Callbacks and outcomes that are refused: what they hold must not be repeated in a log.
    private static func mischief(_ scratch: Scratch, _ port: Int) async throws {
        let number = try Fixtures.number(0).e164
        try await eventually("the webhooks answer") {
            await Self.post("http://127.0.0.1:\(port)/v1/callbacks/other", "", [:]) == 404
        }
        let callback = "http://127.0.0.1:\(port)/v1/callbacks/twilio?call_id=\(number)"
        #expect(
            await Self.post(callback, "To=%2B\(number.dropFirst())", ["X-Twilio-Signature": Rehearsal.token]) == 403
        )
        let outcome = "http://127.0.0.1:\(port)/v1/calls/\(UUID().uuidString)/outcome"
        #expect(await Self.post(outcome, "{}", ["Authorization": "Bearer \(Self.formerToken)"]) == 401)
        #expect(
            await Self.post(outcome, "{\"outcome\": \"\(number)\"}", ["Authorization": "Bearer \(Self.outcomeToken)"])
                == 400
        )
    }

    private static func post(_ url: String, _ body: String, _ headers: [String: String]) async -> UInt? {
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/x-www-form-urlencoded")
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        request.body = .bytes(ByteBuffer(string: body))
        return (try? await HTTPClient.shared.execute(request, timeout: .seconds(600)))?.status.code
    }
}
