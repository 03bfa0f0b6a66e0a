// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import CallModel
import Foundation
import Logging
import Testing

@testable import Telephony

enum Fixture {
    static let accountSID = "AC" + String(repeating: "a", count: 32)
    static let callSID = "CA" + String(repeating: "b", count: 32)
    static let token = "12345-a-secret-token"
    static let to = "+14155550123"
    static let from = "+14155550199"

    static func configuration(
        baseURL: String = "https://api.twilio.com",
        callbackBaseURL: String = "https://calls.example.org",
        previousAuthToken: String? = nil,
        requestTimeout: Duration = .seconds(120)
    ) throws -> TwilioConfiguration {
        try TwilioConfiguration(
            accountSID: Self.accountSID,
            authToken: Self.token,
            baseURL: baseURL,
            callbackBaseURL: callbackBaseURL,
            previousAuthToken: previousAuthToken,
            requestTimeout: requestTimeout
        )
    }

    static func callRequest(
        callID: UUID = UUID(),
        answerURL: String = "https://survey.example.org/answer?language=en",
        ringTimeout: Duration = .seconds(30),
        maximumCallDuration: Duration = .seconds(600),
        detectsMachines: Bool = false
    ) throws -> CallRequest {
        CallRequest(
            callID: callID,
            to: try PhoneNumber(Self.to),
            from: try PhoneNumber(Self.from),
            answerURL: answerURL,
            ringTimeout: ringTimeout,
            maximumCallDuration: maximumCallDuration,
            detectsMachines: detectsMachines
        )
    }

    static func query(acceptedAfter: Date) throws -> CallQuery {
        CallQuery(to: try PhoneNumber(Self.to), from: try PhoneNumber(Self.from), acceptedAfter: acceptedAfter)
    }

    static func callJSON(
        sid: String = Self.callSID,
        status: String = "queued",
        created: String = "Mon, 23 Nov 2026 20:00:00 +0000",
        started: String = "",
        ended: String = "",
        to: String = Self.to,
        answeredBy: String? = nil
    ) -> String {
        """
        {"sid":"\(sid)","status":"\(status)","to":"\(to)","from":"\(Self.from)","date_created":"\(created)",\
        "start_time":"\(started)","end_time":"\(ended)","direction":"outbound-api","duration":null,\
        "answered_by":\(answeredBy.map { "\"\($0)\"" } ?? "null")}
        """
    }

    static let created = StubProvider.Reaction.answer(201, body: Self.callJSON())

    /// A provider adapter for a stub, with an HTTP client of its own that is shut down afterwards.
    static func withProvider<Result: Sendable>(
        baseURL: String,
        callbackBaseURL: String = "https://calls.example.org",
        requestTimeout: Duration = .seconds(120),
        _ body: (TwilioProvider) async throws -> Result
    ) async throws -> Result {
        let client = HTTPClient(
            eventLoopGroupProvider: .singleton,
            configuration: TwilioProvider.makeHTTPClientConfiguration()
        )
        let provider = TwilioProvider(
            configuration: try Self.configuration(
                baseURL: baseURL,
                callbackBaseURL: callbackBaseURL,
                requestTimeout: requestTimeout
            ),
            httpClient: client,
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        )
        let result: Result
        do {
            result = try await body(provider)
        } catch {
            try? await client.shutdown()
            throw error
        }
        try await client.shutdown()
        return result
    }

    /// The error of placing a call at a provider that reacts like this.
    static func failureOfPlacing(
        _ reaction: StubProvider.Reaction,
        requestTimeout: Duration = .seconds(120)
    ) async throws -> TelephonyError {
        try await StubProvider.run(script: { _ in reaction }) { stub in
            try await Self.withProvider(baseURL: stub.url, requestTimeout: requestTimeout) { provider in
                let request = try Self.callRequest()
                let error = await #expect(throws: TelephonyError.self) { try await provider.place(request) }
                #expect(stub.requests.count == 1, "the provider must be asked exactly once")
                return try #require(error)
            }
        }
    }
}
