// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import CallModel
import Foundation
import Logging
import TestBasics
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
        clock: TestClock? = nil,
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
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }),
            clock: clock.map { clock in
                TransportClock(now: { clock.now }, sleep: { try await clock.sleep(until: $0) })
            } ?? .continuous
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
    static func failureOfPlacing(_ reaction: StubProvider.Reaction) async throws -> TelephonyError {
        try await Self.withFailing(reaction) { stub, provider, failure in
            let request = try Self.callRequest()
            let error = try await failure { _ = try await provider.place(request) }
            #expect(stub.requests.count == 1, "the provider must be asked exactly once")
            return try #require(error)
        }
    }

    /// A provider that reacts like this, and what gives the error of asking it something. Where no answer comes the time
    /// for it passes at once, when the request has arrived.
    static func withFailing<Result: Sendable>(
        _ reaction: StubProvider.Reaction,
        _ body: (
            _ stub: StubProvider, _ provider: TwilioProvider,
            _ failure: (_ ask: @escaping @Sendable () async throws -> Void) async throws -> TelephonyError?
        ) async throws -> Result
    ) async throws -> Result {
        let clock = TestClock()
        let timeout = Duration.seconds(120)
        return try await StubProvider.run(script: { _ in reaction }) { stub in
            try await Self.withProvider(baseURL: stub.url, requestTimeout: timeout, clock: clock) { provider in
                try await body(stub, provider) { ask in
                    let before = stub.requests.count
                    let asking = Task { try await ask() }
                    if reaction.isWithoutEnd {
                        try await eventually("the request arrives") { stub.requests.count > before }
                        clock.advance(by: timeout)
                    }
                    return await #expect(throws: TelephonyError.self) { try await asking.value }
                }
            }
        }
    }
}
