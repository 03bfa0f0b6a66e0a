// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import TestSupport
import Testing
import Webhooks

@Suite(.timeLimit(.minutes(2)))
struct WebhookTests {
    private static let signature = HTTPField.Name("X-Signature")

    private static func server(_ broker: AMQPConnection) -> WebhookServer {
        var logger = Logger(label: "webhooks")
        logger.logLevel = .critical
        return WebhookServer(
            configuration: WebhookConfiguration(),
            provider: ScriptedProvider(),
            broker: broker,
            logger: logger
        )
    }

    private static func post(
        _ server: WebhookServer,
        path: String = "/v1/callbacks/scripted",
        signature: String?,
        body: String
    ) async throws -> HTTPResponse.Status {
        let application = Application(router: server.router())
        return try await application.test(.live) { client in
            var headers = HTTPFields()
            if let name = Self.signature, let signature { headers[name] = signature }
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
            let server = Self.server(house.publisher)
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

    @Test("without the broker the provider is asked to try again")
    func brokerGone() async throws {
        try await House.run { house in
            let broker = try house.scratch.connection()
            await broker.close()
            let status = try await Self.post(
                Self.server(broker),
                signature: "good",
                body: CallID.make().lowercased
            )
            #expect(status == .serviceUnavailable)
        }
    }
}
