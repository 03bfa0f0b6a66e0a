// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import AsyncHTTPClient
import CallModel
import CallQueues
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOConcurrencyHelpers
import Telephony
import TestSupport
import Testing

@testable import Webhooks

/// Keeps the log's lines.
private struct KeepingLogHandler: LogHandler {
    let lines: NIOLockedValueBox<[String]>
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .debug

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        self.lines.withLockedValue { $0.append("\(event.message) \(event.metadata ?? [:])") }
    }
}

/// The webhooks' door as the provider meets it: with the real adapter's signatures.
@Suite(.timeLimit(.minutes(20)))
struct DoorTests {
    private static let url = "https://calls.example.org"
    private static let token = "a-token"

    private static func withServer(
        refusalsPerMinute: Int = 3,
        proxies: Int = 0,
        lines: NIOLockedValueBox<[String]> = NIOLockedValueBox([]),
        _ body: @escaping @Sendable (House, any TestClientProtocol) async throws -> Void
    ) async throws {
        try await House.run { house in
            var configuration = WebhookConfiguration()
            configuration.refusalsPerMinute = refusalsPerMinute
            configuration.proxies = proxies
            configuration.outcomeTokens = ["the-token"]
            let http = HTTPClient(configuration: TwilioProvider.makeHTTPClientConfiguration())
            let provider = TwilioProvider(
                configuration: try TwilioConfiguration(
                    accountSID: "AC" + String(repeating: "a", count: 32),
                    authToken: Self.token,
                    baseURL: "https://api.example.org",
                    callbackBaseURL: Self.url
                ),
                httpClient: http,
                logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
            )
            var server = WebhookServer(
                configuration: configuration,
                provider: provider,
                store: house.scratch.store,
                broker: house.publisher,
                logger: Logger(label: "webhooks", factory: { _ in KeepingLogHandler(lines: lines) })
            )
            // None is forgotten while a test asks.
            let start = ContinuousClock.now
            server.now = { start }
            do {
                try await Application(router: server.router()).test(.live) { try await body(house, $0) }
            } catch {
                try? await http.shutdown()
                throw error
            }
            try await http.shutdown()
        }
    }

    private static func callback(
        _ client: any TestClientProtocol,
        _ form: String,
        signed: String? = nil,
        token: String = Self.token,
        forwardedFor: String? = nil
    ) async throws -> HTTPResponse.Status {
        let target = "/v1/callbacks/twilio?call_id=\(CallID.make().lowercased)"
        var headers: HTTPFields = [.contentType: "application/x-www-form-urlencoded"]
        let signature = TwilioSignature.sign(url: Self.url + target, form: Array((signed ?? form).utf8), token: token)
        if let name = HTTPField.Name("X-Twilio-Signature") { headers[name] = signature }
        if let name = HTTPField.Name("X-Forwarded-For"), let forwardedFor { headers[name] = forwardedFor }
        return try await client.execute(uri: target, method: .post, headers: headers, body: ByteBuffer(string: form))
            .status
    }

    private static let sid = "CallSid=CA" + String(repeating: "b", count: 32)

    @Test("words that we do not know are taken, counted and logged once each, and turn nobody away")
    func unknownWords() async throws {
        let lines = NIOLockedValueBox<[String]>([])
        try await Self.withServer(lines: lines) { house, client async throws in
            for _ in 0..<100 {
                #expect(try await Self.callback(client, Self.sid + "&CallStatus=session_timeout") == .noContent)
            }
            #expect(try await Self.callback(client, Self.sid + "&CallStatus=") == .noContent)
            #expect(try await Self.callback(client, Self.sid + "&CallStatus=%2B4930123456") == .noContent)
            #expect(try await Self.callback(client, Self.sid + "&CallStatus=completed") == .noContent)
            #expect(try await house.publisher.queueStatus(CallTopology.callEvents).messagesReady == 1)
        }
        let words = lines.withLockedValue { $0.filter { $0.contains("CallStatus") } }
        #expect(words.count == 3)
        #expect(words.contains { $0.contains("session_timeout") })
        #expect(!lines.withLockedValue { $0.contains { $0.contains("4930123456") } })
    }

    @Test("what is genuine and cannot be read is refused, and turns nobody away")
    func malformed() async throws {
        try await Self.withServer { house, client async throws in
            for _ in 0..<10 {
                #expect(try await Self.callback(client, "CallSid=x&CallStatus=completed") == .badRequest)
            }
            #expect(try await Self.callback(client, Self.sid + "&CallStatus=completed") == .noContent)
        }
    }

    @Test("strangers at one address with the provider, behind a proxy or not, do not keep it out", arguments: [0, 1])
    func strangers(proxies: Int) async throws {
        try await Self.withServer(proxies: proxies) { house, client async throws in
            var answers: Set<HTTPResponse.Status> = []
            for _ in 0..<10 {
                answers.insert(
                    try await Self.callback(client, Self.sid, token: "another", forwardedFor: "203.0.113.7")
                )
            }
            #expect(answers == [.forbidden, .tooManyRequests])
            let unsigned = try await client.execute(uri: "/v1/callbacks/twilio", method: .post).status
            #expect(unsigned == (proxies == 0 ? .tooManyRequests : .forbidden))
            #expect(
                try await Self.callback(client, Self.sid + "&CallStatus=completed", forwardedFor: "203.0.113.7")
                    == .noContent
            )
            func outcome(_ token: String) async throws -> HTTPResponse.Status {
                try await client.execute(
                    uri: "/v1/calls/\(CallID.make().lowercased)/outcome",
                    method: .post,
                    headers: [.authorization: "Bearer \(token)"],
                    body: ByteBuffer(string: #"{"outcome": "bored"}"#)
                ).status
            }
            // A faulty request of somebody whom we know: told what is wrong, always.
            for _ in 0..<10 { #expect(try await outcome("the-token") == .badRequest) }
        }
    }

    @Test("a proxy that the settings do not know is said once, and counted each time")
    func forwarding() async throws {
        let lines = NIOLockedValueBox<[String]>([])
        try await Self.withServer(lines: lines) { _, client async throws in
            for index in 0..<5 {
                let form = Self.sid + "&CallStatus=completed"
                #expect(try await Self.callback(client, form, forwardedFor: "203.0.113.\(index)") == .noContent)
            }
        }
        #expect(lines.withLockedValue { $0.count { $0.contains("WEBHOOK_PROXIES") } } == 1)
        let silent = NIOLockedValueBox<[String]>([])
        try await Self.withServer(proxies: 1, lines: silent) { _, client async throws in
            _ = try await Self.callback(client, Self.sid + "&CallStatus=completed", forwardedFor: "203.0.113.1")
        }
        #expect(silent.withLockedValue { $0.count { $0.contains("WEBHOOK_PROXIES") } } == 0)
    }

    @Test("equal pairs may be signed each or once")
    func equalPairs() async throws {
        try await Self.withServer { _, client async throws in
            let form = Self.sid + "&CallStatus=completed&Tag=a&Tag=a&Tag=b"
            #expect(try await Self.callback(client, form) == .noContent)
            #expect(
                try await Self.callback(client, form, signed: Self.sid + "&CallStatus=completed&Tag=a&Tag=b")
                    == .noContent
            )
            #expect(
                try await Self.callback(client, form, signed: Self.sid + "&CallStatus=completed&Tag=a") == .forbidden
            )
        }
    }

    @Test(
        "refusals are held against networks",
        arguments: [
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true), ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("[2001:db8:1:2::1]:4711", "2001:DB8:1:2::1%eth0", true), ("203.0.113.7", "::ffff:203.0.113.7", true),
            ("203.0.113.7:4711", "203.0.113.7", true), ("203.0.113.7", "203.0.113.8", false), ("a", "b", false),
            ("a", "a", true), ("::1", "::2", true),
        ]
    )
    func networks(one: String, other: String, isSame: Bool) {
        #expect((ClientNetwork(one) == ClientNetwork(other)) == isSame)
        let limits = WebhookLimits(requestsAtOnce: 1, refusalsPerMinute: 2)
        let now = ContinuousClock.now
        for _ in 0..<2 { limits.refused(one, now: now) }
        #expect(limits.mayAsk(other, now: now) == !isSame)
    }

    @Test("whoever goes on being refused is heard again a minute or so after the last time")
    func forgetting() {
        let limits = WebhookLimits(requestsAtOnce: 1, refusalsPerMinute: 60)
        let now = ContinuousClock.now
        for _ in 0..<100_000 { limits.refused("203.0.113.7", now: now) }
        #expect(!limits.mayAsk("203.0.113.7", now: now + .seconds(30)))
        #expect(limits.mayAsk("203.0.113.7", now: now + .seconds(62)))
    }

    @Test("a network that is refused stays known while it goes on, whoever else comes")
    func busyNetworks() {
        let limits = WebhookLimits(requestsAtOnce: 1, refusalsPerMinute: 2)
        let now = ContinuousClock.now
        for index in 0..<20_000 {
            limits.refused("x\(index)", now: now)
            limits.refused("203.0.113.7", now: now)
            if index > 2 { #expect(!limits.mayAsk("203.0.113.7", now: now)) }
        }
        #expect(limits.remembered <= 10_000)
    }

    @Test("when all room is taken, there is some left for those who bring a signature")
    func room() {
        let limits = WebhookLimits(requestsAtOnce: 1, refusalsPerMinute: 2)
        #expect(limits.enter() && !limits.enter())
        #expect(limits.enterSigned() && !limits.enterSigned())
        limits.leaveSigned()
        #expect(limits.enterSigned())
    }
}
