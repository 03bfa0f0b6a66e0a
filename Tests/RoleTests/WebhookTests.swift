// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import AsyncHTTPClient
import CallModel
import CallQueues
import CallStore
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import TestBasics
import TestSupport
import Testing

@testable import Webhooks

@Suite(.timeLimit(.minutes(20)))
struct WebhookTests {
    private static let signature = HTTPField.Name("X-Signature")

    private static func server(
        _ house: House,
        broker: AMQPConnection? = nil,
        _ configuration: WebhookConfiguration = WebhookConfiguration()
    ) -> WebhookServer {
        var logger = Logger(label: "webhooks")
        logger.logLevel = .critical
        return WebhookServer(
            configuration: configuration,
            provider: ScriptedProvider(),
            store: house.scratch.store,
            broker: broker ?? house.publisher,
            logger: logger
        )
    }

    private static func post(
        _ server: WebhookServer,
        path: String = "/v1/callbacks/scripted",
        signature: String?,
        body: String
    ) async throws -> HTTPResponse.Status {
        var headers = HTTPFields()
        if let name = Self.signature, let signature { headers[name] = signature }
        return try await Self.post(server, path: path, headers: headers, body)
    }

    private static func post(
        _ server: WebhookServer,
        path: String,
        headers: HTTPFields,
        _ body: String
    ) async throws -> HTTPResponse.Status {
        let application = Application(router: server.router())
        return try await application.test(.live) { client in
            let response = try await client.execute(
                uri: path,
                method: .post,
                headers: headers,
                body: ByteBuffer(string: body)
            )
            return response.status
        }
    }

    @Test("a good callback is answered once the broker has it; bad ones are refused by kind")
    func answers() async throws {
        try await House.run { house in
            let server = Self.server(house)
            let callID = CallID.make()
            #expect(try await Self.post(server, signature: "good", body: callID.lowercased) == .noContent)
            #expect(try await house.publisher.queueStatus(CallTopology.callEvents).messagesReady == 1)
            #expect(try await Self.post(server, signature: "bad", body: callID.lowercased) == .forbidden)
            #expect(try await Self.post(server, signature: nil, body: callID.lowercased) == .forbidden)
            #expect(try await Self.post(server, signature: "good", body: "what") == .badRequest)
            let large = String(repeating: "a", count: 70_000)
            #expect(try await Self.post(server, signature: "good", body: large) == .contentTooLarge)
            let elsewhere = try await Self.post(server, path: "/v1/callbacks/x", signature: "good", body: "")
            #expect(elsewhere == .notFound)
            #expect(try await house.publisher.queueStatus(CallTopology.callEvents).messagesReady == 1)
        }
    }

    @Test("who is refused too often is turned away for a while; the others are heard, and what is genuine always")
    func refusedTooOften() async throws {
        try await House.run { house in
            var configuration = WebhookConfiguration()
            configuration.refusalsPerMinute = 3
            configuration.proxies = 1
            var frozen = Self.server(house, configuration)
            // None is forgotten while the test asks.
            let start = ContinuousClock.now
            frozen.now = { start }
            let server = frozen
            func ask(_ signature: String, from hops: String) async throws -> HTTPResponse.Status {
                var headers = HTTPFields()
                if let name = HTTPField.Name("X-Forwarded-For") { headers[name] = hops }
                if let name = Self.signature { headers[name] = signature }
                return try await Self.post(
                    server,
                    path: "/v1/callbacks/scripted",
                    headers: headers,
                    CallID.make().lowercased
                )
            }
            // What a client writes into the header itself stands before what the proxy appends.
            var answers: [HTTPResponse.Status] = []
            for index in 0..<3 { answers.append(try await ask("bad", from: "1.1.1.\(index), 203.0.113.7")) }
            answers.append(try await ask("bad", from: "203.0.113.7"))
            answers.append(try await ask("good", from: "9.9.9.9, 203.0.113.7"))
            answers.append(try await ask("good", from: "203.0.113.7, 198.51.100.1"))
            #expect(
                answers == [.forbidden, .forbidden, .forbidden, .tooManyRequests, .noContent, .noContent]
            )
            #expect(try await house.publisher.queueStatus(CallTopology.callEvents).messagesReady == 2)
        }
    }

    @Test("refusals are forgotten at the rate that is allowed, and room is given back")
    func limits() {
        let limits = WebhookLimits(requestsAtOnce: 2, refusalsPerMinute: 60)
        let start = ContinuousClock.now
        for _ in 0..<60 { limits.refused("a", now: start) }
        #expect(!limits.mayAsk("a", now: start))
        #expect(limits.mayAsk("b", now: start))
        #expect(limits.mayAsk("a", now: start + .seconds(2)))
        for index in 0..<20_000 { limits.refused("x\(index)", now: start) }
        #expect(limits.mayAsk("x19999", now: start))
        #expect(limits.remembered <= 10_000)
        #expect(limits.enter() && limits.enter() && !limits.enter())
        limits.leave()
        #expect(limits.enter())
    }

    /// Opens a request whose body is still to come, as descriptor 3 of a shell.
    private static func withoutBody(_ port: Int, _ path: String = "/v1/callbacks/scripted") -> String {
        let head = #"POST \#(path) HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\nContent-Length: 36\r\n\r\n"#
        return "exec 3<>/dev/tcp/127.0.0.1/\(port); printf '\(head)' >&3"
    }

    @Test(
        "a body that does not come is given up",
        arguments: ["/v1/callbacks/scripted", "/v1/calls/\(CallID.make().lowercased)/outcome"]
    )
    func slowBodies(path: String) async throws {
        try await House.run { house in
            var configuration = WebhookConfiguration()
            #expect(configuration.bodyTimeout == .seconds(10) && configuration.maximumBodySize == 64 * 1024)
            configuration.bodyTimeout = .seconds(1)
            configuration.outcomeTokens = ["t"]
            let application = Application(router: Self.server(house, configuration).router())
            try await application.test(.live) { client in
                let answer = try await Shell.output(
                    Self.withoutBody(try #require(client.port), path) + "; head -n 1 <&3"
                )
                #expect(answer.contains("408"), "\(answer)")
            }
        }
    }

    @Test("while too many are handled others are told to come again, and room is given back")
    func tooManyAtOnce() async throws {
        try await House.run { house in
            var configuration = WebhookConfiguration()
            configuration.requestsAtOnce = 1
            configuration.refusalsPerMinute = 0
            configuration.bodyTimeout = .seconds(3600)
            let application = Application(router: Self.server(house, configuration).router())
            try await application.test(.live) { client in
                var request = HTTPClientRequest(
                    url: "http://127.0.0.1:\(try #require(client.port))/v1/callbacks/scripted"
                )
                request.method = .POST
                let body = NIOLockedValueBox<AsyncStream<ByteBuffer>.Continuation?>(nil)
                let first = Task { [request] in
                    // It comes again as long as the second is before it.
                    while true {
                        var request = request
                        let (parts, rest) = AsyncStream.makeStream(of: ByteBuffer.self)
                        body.withLockedValue { $0 = rest }
                        request.body = .stream(parts, length: .known(Int64(36)))
                        let status = try await HTTPClient.patient.execute(request, timeout: .seconds(1200)).status
                        if status != .serviceUnavailable { return status.code }
                    }
                }
                func ask() async throws -> HTTPResponse.Status {
                    try await client.execute(uri: "/v1/callbacks/scripted", method: .post).status
                }
                try await eventually("the second is told to come again") { try await ask() == .serviceUnavailable }
                let rest = try #require(body.withLockedValue { $0 })
                rest.yield(ByteBuffer(repeating: UInt8(ascii: "0"), count: 36))
                rest.finish()
                _ = try await first.value
                #expect(try await ask() != .serviceUnavailable)
            }
        }
    }

    @Test("without the broker the provider is asked to try again")
    func brokerGone() async throws {
        try await House.run { house in
            let broker = try house.scratch.connection()
            await broker.close()
            let status = try await Self.post(
                Self.server(house, broker: broker),
                signature: "good",
                body: CallID.make().lowercased
            )
            #expect(status == .serviceUnavailable)
        }
    }
}
