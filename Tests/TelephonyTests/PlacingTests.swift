// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation
import NIOConcurrencyHelpers
import TestBasics
import Testing

@testable import Telephony

@Suite("Placing a call", .timeLimit(.minutes(20)))
struct PlacingTests {
    @Test("what shall come back with every callback is in its URL, escaped, with the call's id first")
    func callbackParameters() async throws {
        let callID = UUID()
        try await StubProvider.run(script: { _ in Fixture.created }) { stub in
            var request = try Fixture.callRequest(callID: callID)
            request.callbackParameters = ["tracestate": "a=b,c=d e", "campaign_id": "7"]
            _ = try await Fixture.withProvider(baseURL: stub.url) { [request] provider in
                try await provider.place(request)
            }
            let url = try #require(stub.requests.first?.form.first { $0[0] == "StatusCallback" }?[1])
            #expect(
                url == "https://calls.example.org/v1/callbacks/twilio?call_id=\(callID.lowercased)&campaign_id=7"
                    + "&tracestate=a%3Db%2Cc%3Dd%20e#rc=5&rp=all"
            )
        }
    }

    @Test("an accepted call has the provider's id, and the request has what was asked for")
    func accepted() async throws {
        let callID = UUID()
        try await StubProvider.run(script: { _ in Fixture.created }) { stub in
            let placed = try await Fixture.withProvider(baseURL: stub.url) { provider in
                try await provider.place(Fixture.callRequest(callID: callID, detectsMachines: true))
            }
            #expect(placed == PlacedCall(providerCallID: Fixture.callSID, rawStatus: "queued"))
            let request = try #require(stub.requests.first)
            #expect(request.method == "POST")
            #expect(request.path == "/2010-04-01/Accounts/\(Fixture.accountSID)/Calls.json")
            #expect(request.headers["content-type"] == "application/x-www-form-urlencoded")
            let credentials = Data("\(Fixture.accountSID):\(Fixture.token)".utf8).base64EncodedString()
            #expect(request.headers["authorization"] == "Basic \(credentials)")
            #expect(
                request.form == [
                    ["To", Fixture.to], ["From", Fixture.from],
                    ["Url", "https://survey.example.org/answer?language=en&call_id=\(callID.lowercased)"],
                    ["Method", "POST"],
                    [
                        "StatusCallback",
                        "https://calls.example.org/v1/callbacks/twilio?call_id=\(callID.lowercased)#rc=5&rp=all",
                    ],
                    ["StatusCallbackMethod", "POST"],
                    ["StatusCallbackEvent", "ringing"],
                    ["StatusCallbackEvent", "answered"], ["StatusCallbackEvent", "completed"],
                    ["Timeout", "30"], ["TimeLimit", "600"], ["MachineDetection", "Enable"],
                ]
            )
        }
    }

    @Test(
        "the answer URL gets the call's id, wherever its query stands",
        arguments: [
            ("https://x.org/a", "https://x.org/a?call_id=ID"), ("https://x.org/a?", "https://x.org/a?call_id=ID"),
            ("https://x.org/a?b=c", "https://x.org/a?b=c&call_id=ID"),
            ("https://x.org/a?b=c#rc=2", "https://x.org/a?b=c&call_id=ID#rc=2"),
            ("https://x.org/#d", "https://x.org/?call_id=ID#d"),
        ]
    )
    func answerURL(given: String, expected: String) async throws {
        let callID = UUID()
        try await StubProvider.run(script: { _ in Fixture.created }) { stub in
            try await Fixture.withProvider(baseURL: stub.url) { provider in
                _ = try await provider.place(Fixture.callRequest(callID: callID, answerURL: given))
            }
            #expect(stub.requests.first?.values("Url") == [expected.replacing("ID", with: callID.lowercased)])
        }
    }

    @Test("machine detection is asked for only where it is wanted")
    func noMachineDetection() async throws {
        try await StubProvider.run(script: { _ in Fixture.created }) { stub in
            try await Fixture.withProvider(baseURL: stub.url) { provider in
                _ = try await provider.place(Fixture.callRequest())
            }
            #expect(stub.requests.first?.values("MachineDetection") == [])
        }
    }

    @Test("a base URL may have a path in front")
    func basePath() async throws {
        try await StubProvider.run(captures: false, script: { _ in Fixture.created }) { stub in
            try await Fixture.withProvider(baseURL: stub.url + "/api/laml/") { provider in
                _ = try await provider.place(Fixture.callRequest())
            }
            #expect(stub.requests.first?.path == "/api/laml/2010-04-01/Accounts/\(Fixture.accountSID)/Calls.json")
        }
    }

    @Test(
        "a refusal is sorted by the provider's code",
        arguments: [
            (400, 21211, TelephonyError.Code.rejected), (400, 21214, .rejected), (400, 21217, .rejected),
            (400, 21202, .rejected), (400, 13224, .rejected), (400, 13225, .rejected),
            (400, 10004, .refusedForNow(retryAfter: nil)), (400, 86008, .refusedForNow(retryAfter: nil)),
            (400, 22005, .refusedForNow(retryAfter: nil)), (429, 20429, .refusedForNow(retryAfter: nil)),
            (400, 21210, .misconfigured(.campaign)), (400, 21212, .misconfigured(.campaign)),
            (400, 21205, .misconfigured(.campaign)), (400, 21626, .misconfigured(.campaign)),
            (400, 21215, .refused(.country)), (400, 13227, .refused(.country)), (400, 32205, .refused(.country)),
            (400, 21408, .refused(.country)), (403, 21215, .refused(.country)), (400, 21203, .refused(.country)),
            (400, 21216, .refused(.number)), (400, 99999, .refused(.number)), (403, 99999, .refused(.number)),
            (400, 21219, .refused(.number)), (403, 10001, .misconfigured(.trunk)), (400, 21472, .misconfigured(.trunk)),
            (401, 20003, .misconfigured(.trunk)), (403, 20003, .misconfigured(.trunk)),
            (401, 99999, .misconfigured(.trunk)), (404, 20404, .misconfigured(.trunk)),
            (500, 20500, .unknown), (503, 20429, .unknown), (500, 21211, .unknown),
        ]
    )
    func refusal(status: Int, code: Int, expected: TelephonyError.Code) async throws {
        let error = try await Fixture.failureOfPlacing(.fault(status, code: code))
        #expect(error.code == expected)
        #expect(error.providerCode == String(code))
        #expect(error.httpStatus == status)
    }

    @Test(
        "an answer that is not the provider's proves nothing",
        arguments: [
            (500, TelephonyError.Code.unknown), (502, .unknown), (503, .unknown), (504, .unknown), (400, .unknown),
            (404, .unknown), (408, .unknown), (301, .unknown), (303, .unknown), (307, .unknown),
            (401, .misconfigured(.trunk)), (403, .misconfigured(.trunk)), (407, .misconfigured(.trunk)),
            (429, .refusedForNow(retryAfter: nil)),
        ]
    )
    func foreignAnswer(status: Int, expected: TelephonyError.Code) async throws {
        let error = try await Fixture.failureOfPlacing(.answer(status, body: "<html>oops</html>"))
        #expect(error.code == expected)
        #expect(error.providerCode == nil)
    }

    @Test(
        "an answer that points elsewhere is not followed: that would be a second request",
        arguments: [301, 302, 303, 307, 308]
    )
    func redirect(status: Int) async throws {
        let place = NIOLockedValueBox("")
        let script: StubProvider.Script = { _ in
            .answer(status, headers: [("Location", place.withLockedValue(\.self) + "/again")], body: "")
        }
        try await StubProvider.run(script: script) { stub in
            place.withLockedValue { $0 = stub.url }
            try await Fixture.withProvider(baseURL: stub.url) { provider in
                let error = await #expect(throws: TelephonyError.self) {
                    try await provider.place(Fixture.callRequest())
                }
                #expect(error?.code == .unknown)
            }
            #expect(stub.requests.count == 1)
        }
    }

    @Test(
        "an acceptance without a readable call id may be a ringing phone",
        arguments: ["", "garbage", "{}", #"{"sid":null}"#, #"{"sid":"CA1"}"#, "[]", "<html></html>"]
    )
    func garbledAcceptance(body: String) async throws {
        #expect(try await Fixture.failureOfPlacing(.answer(201, body: body)).code == .unknown)
    }

    @Test("seconds to wait are handed on")
    func retryAfterSeconds() async throws {
        let error = try await Fixture.failureOfPlacing(.fault(429, code: 20429, headers: [("Retry-After", "17")]))
        #expect(error.code == .refusedForNow(retryAfter: .seconds(17)))
    }

    @Test("a date to wait for is handed on as the time until then")
    func retryAfterDate() {
        let answer = TwilioAnswer(status: 429, retryAfter: "Mon, 23 Nov 2026 20:01:00 GMT", body: [])
        let now = Date(timeIntervalSince1970: 1_795_464_000 - 30)
        #expect(now == InternetDate.parse("Mon, 23 Nov 2026 19:59:30 +0000"))
        #expect(TwilioFailure.placing(answer, now: now).code == .refusedForNow(retryAfter: .seconds(90)))
    }

    @Test("a date to wait for is read off the wire")
    func retryAfterDateOnTheWire() async throws {
        let headers = [("Retry-After", "Tue, 01 Jan 2090 00:00:00 GMT")]
        let error = try await Fixture.failureOfPlacing(.fault(429, code: 20429, headers: headers))
        #expect(error.code == .refusedForNow(retryAfter: .seconds(86_400)))
    }

    @Test(
        "an absurd time to wait is bounded or dropped",
        arguments: [
            ("-5", Duration?.none), ("soon", nil), ("", nil), ("999999999", .seconds(86_400)),
            ("Mon, 23 Nov 1998 20:01:00 GMT", .zero), ("0", .zero),
        ]
    )
    func absurdRetryAfter(text: String, expected: Duration?) {
        #expect(TwilioAnswer(status: 429, retryAfter: text, body: []).retryAfter(now: Date()) == expected)
    }

    @Test("a refused connection placed nothing")
    func connectionRefused() async throws {
        // Nobody listens on port 1; a port that was free a moment ago may be another test's by now.
        try await Fixture.withProvider(baseURL: "http://127.0.0.1:1") { provider in
            let request = try Fixture.callRequest()
            let error = await #expect(throws: TelephonyError.self) { try await provider.place(request) }
            #expect(error?.code == .providerDown)
        }
    }

    @Test("a TLS handshake that fails placed nothing")
    func handshakeFails() async throws {
        try await StubProvider.run(script: { _ in .silence }) { stub in
            let url = stub.url.replacing("http://", with: "https://")
            try await Fixture.withProvider(baseURL: url) { provider in
                let request = try Fixture.callRequest()
                let error = await #expect(throws: TelephonyError.self) { try await provider.place(request) }
                #expect(error?.code == .providerDown)
                #expect(stub.requests.isEmpty)
            }
        }
    }

    @Test(
        "a request that was read and never answered properly may be a ringing phone",
        arguments: [StubProvider.Reaction.silence, .headOnly(201), .headOnly(400), .close, .reset]
    )
    func readAndLost(reaction: StubProvider.Reaction) async throws {
        let error = try await Fixture.failureOfPlacing(reaction)
        #expect(error.code == .unknown)
    }

    @Test("cancelling while the provider thinks may leave a ringing phone")
    func cancelled() async throws {
        try await StubProvider.run(script: { _ in .silence }) { stub in
            try await Fixture.withProvider(baseURL: stub.url) { provider in
                let request = try Fixture.callRequest()
                let task = Task { () async -> TelephonyError.Code? in
                    do throws(TelephonyError) {
                        _ = try await provider.place(request)
                        return nil
                    } catch {
                        return error.code
                    }
                }
                try await eventually("the request arrives") { stub.requests.count == 1 }
                task.cancel()
                #expect(await task.value == .unknown)
            }
        }
    }

    @Test("a connection that the server closed between requests costs a new connection, not a second request")
    func closedKeepAlive() async throws {
        let script: StubProvider.Script = { _ in .answerAndClose(201, body: Fixture.callJSON()) }
        try await StubProvider.run(script: script) { stub in
            try await Fixture.withProvider(baseURL: stub.url) { provider in
                _ = try await provider.place(Fixture.callRequest())
                var asked = 1
                // The close may cross the next request on its way; then nobody can know.
                try await eventually("a connection is made anew") {
                    asked += 1
                    let isPlaced = (try? await provider.place(Fixture.callRequest())) != nil
                    #expect(stub.requests.count <= asked, "a request was repeated")
                    return isPlaced && stub.connections > 1
                }
            }
        }
    }

    @Test("a request that dies with its pooled connection is never sent again")
    func deadPooledConnection() async throws {
        // The first request warms the connection; the second is read on it and answered by a reset.
        let count = NIOLockedValueBox(0)
        let script: StubProvider.Script = { _ in
            let number = count.withLockedValue { count in
                count += 1
                return count
            }
            return number == 2 ? .reset : Fixture.created
        }
        try await StubProvider.run(script: script) { stub in
            try await Fixture.withProvider(baseURL: stub.url) { provider in
                _ = try await provider.place(Fixture.callRequest())
                let second = try Fixture.callRequest()
                let error = await #expect(throws: TelephonyError.self) { try await provider.place(second) }
                #expect(error?.code == .unknown)
                _ = try await provider.place(Fixture.callRequest())
                let requests = stub.requests
                #expect(requests.map(\.connection) == [0, 0, 1], "warm, warm and reset, fresh")
                let ids = requests.flatMap { $0.values("StatusCallback") }
                #expect(Set(ids).count == 3, "each call was asked for once")
            }
        }
    }

    @Test("errors and configurations show neither numbers nor secrets")
    func nothingSecretIsShown() async throws {
        var texts: [String] = []
        for reaction in [
            StubProvider.Reaction.fault(400, code: 21211), .fault(401, code: 20003), .fault(500, code: 20500),
            .answer(201, body: "+14155550123"), .reset,
        ] {
            let error = try await Fixture.failureOfPlacing(reaction)
            texts += ["\(error)", String(reflecting: error)]
        }
        let configuration = try Fixture.configuration(previousAuthToken: "another-secret")
        texts += ["\(configuration)", String(reflecting: configuration)]
        var dumped = ""
        dump(configuration, to: &dumped)
        texts.append(dumped)
        for text in texts {
            for secret in ["4155550123", "4155550199", Fixture.token, "another-secret"] {
                #expect(!text.contains(secret))
            }
        }
    }
}

@Suite("Parameters", .timeLimit(.minutes(20)))
struct ParameterTests {
    @Test(
        "a request outside the description is refused before it is sent, by the parameter's name",
        arguments: [
            ("Timeout", "https://x.org/", 0, 600), ("Timeout", "https://x.org/", 601, 600),
            ("TimeLimit", "https://x.org/", 30, 0), ("TimeLimit", "https://x.org/", 30, 100_000),
            ("Url", "ftp://x.org/", 30, 600), ("Url", "not a url", 30, 600), ("Url", "", 30, 600),
            ("Url", "https://", 30, 600), ("Url", "https://x.org/\n", 30, 600), ("Url", "/answer", 30, 600),
        ]
    )
    func outside(parameter: String, url: String, ring: Int, talk: Int) async throws {
        try await StubProvider.run(script: { _ in Fixture.created }) { stub in
            try await Fixture.withProvider(baseURL: stub.url) { provider in
                let request = try Fixture.callRequest(
                    answerURL: url,
                    ringTimeout: .seconds(ring),
                    maximumCallDuration: .seconds(talk)
                )
                let error = await #expect(throws: TelephonyError.self) { try await provider.place(request) }
                #expect(error?.code == .misconfigured(.campaign))
                #expect(error?.message.contains("parameter \(parameter) ") == true)
                #expect(stub.requests.isEmpty)
            }
        }
    }

    @Test("unknown, repeated and missing parameters are refused")
    func shapes() {
        let operation = TwilioOperation.updateCall
        let faults: [[(name: String, value: String)]] = [
            [("Status", "completed"), ("Extra", "1")], [("Status", "completed"), ("Status", "canceled")], [],
            [("Status", "paused")],
        ]
        for form in faults {
            #expect(throws: TelephonyError.self) {
                try TwilioRequest(
                    operation,
                    accountSID: Fixture.accountSID,
                    callSID: Fixture.callSID,
                    form: form
                )
            }
        }
    }

    @Test("a call id cannot leave its place in the path", arguments: ["", "../x", "CA1", "CA?", "CAé"])
    func pathParameters(id: String) {
        #expect(throws: TelephonyError.self) {
            try TwilioRequest(.fetchCall, accountSID: Fixture.accountSID, callSID: id)
        }
    }

    @Test("the ends of the ranges are in order", arguments: [1, 600])
    func ends(ring: Int) async throws {
        try await StubProvider.run(script: { _ in Fixture.created }) { stub in
            try await Fixture.withProvider(baseURL: stub.url) { provider in
                _ = try await provider.place(Fixture.callRequest(ringTimeout: .seconds(ring)))
            }
            #expect(stub.requests.first?.values("Timeout") == [String(ring)])
        }
    }
}
