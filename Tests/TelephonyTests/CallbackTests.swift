// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import CallModel
import Crypto
import Foundation
import Logging
import Testing

@testable import Telephony

@Suite("Callbacks", .timeLimit(.minutes(20)))
struct CallbackTests {
    private static let callID = UUID()
    private static let target = "/v1/callbacks/twilio?call_id=\(Self.callID.lowercased)"
    private static let ringing = [
        "CallSid": Fixture.callSID, "AccountSid": Fixture.accountSID, "From": Fixture.from, "To": Fixture.to,
        "CallStatus": "ringing", "ApiVersion": "2010-04-01", "Direction": "outbound-api",
        "Timestamp": "Mon, 23 Nov 2026 20:00:05 +0000", "CallbackSource": "call-progress-events",
        "SequenceNumber": "1", "CallerName": "Zoë & Söhne",
    ]

    private func parse(
        _ fields: [String: String],
        target: String = Self.target,
        method: String = "POST",
        token: String = Fixture.token,
        signature: String? = nil,
        previousAuthToken: String? = nil
    ) async throws -> CallEvent {
        let body = Array(FormFields.encode(fields.map { (name: $0.key, value: $0.value) }).utf8)
        return try await self.parse(
            body: body,
            contentType: "application/x-www-form-urlencoded; charset=UTF-8",
            target: target,
            method: method,
            signature: signature
                ?? TwilioSignature.sign(url: "https://calls.example.org" + target, form: body, token: token),
            previousAuthToken: previousAuthToken
        )
    }

    private func parse(
        body: [UInt8],
        contentType: String?,
        target: String = Self.target,
        method: String = "POST",
        signature: String?,
        previousAuthToken: String? = nil
    ) async throws -> CallEvent {
        var headers = ["host": "10.0.0.7:8080"]
        headers["content-type"] = contentType
        headers["x-twilio-signature"] = signature
        let request = CallbackRequest(target: target, method: method, headers: headers, body: body)
        let client = HTTPClient(eventLoopGroupProvider: .singleton)
        let provider = TwilioProvider(
            configuration: try Fixture.configuration(previousAuthToken: previousAuthToken),
            httpClient: client,
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        )
        let result = Result { try provider.parseCallback(request) }
        try await client.shutdown()
        return try result.get()
    }

    @Test("a progress report is read")
    func read() async throws {
        let event = try await self.parse(Self.ringing)
        #expect(event.callID == Self.callID)
        #expect(event.providerCallID == Fixture.callSID)
        #expect(event.status == .ringing)
        #expect(event.rawStatus == "ringing")
        #expect(event.sequence == 1)
        #expect(event.occurredAt == InternetDate.parse("Mon, 23 Nov 2026 20:00:05 +0000"))
        #expect(event.answeredBy == nil)
        #expect(event.errorCode == nil)
    }

    @Test(
        "every status word has a status of ours",
        arguments: [
            ("queued", CallStatus.queued), ("initiated", .initiated), ("ringing", .ringing),
            ("in-progress", .answered), ("completed", .completed), ("busy", .busy), ("no-answer", .noAnswer),
            ("failed", .failed), ("canceled", .canceled),
        ]
    )
    func statuses(word: String, status: CallStatus) async throws {
        let event = try await self.parse(Self.ringing.merging(["CallStatus": word]) { $1 })
        #expect(event.status == status)
        #expect(event.rawStatus == word)
    }

    @Test(
        "machine detection is read",
        arguments: [
            ("human", AnsweredBy?.some(.human)), ("machine_start", .machine), ("machine_end_beep", .machine),
            ("machine_end_silence", .machine), ("machine_end_other", .machine), ("fax", .fax), ("unknown", .unknown),
            ("something_new", .unknown), ("", nil),
        ]
    )
    func answeredBy(word: String, expected: AnsweredBy?) async throws {
        let event = try await self.parse(Self.ringing.merging(["AnsweredBy": word]) { $1 })
        #expect(event.answeredBy == expected)
    }

    @Test(
        "the error code is the provider's, else the failing SIP response",
        arguments: [
            (["SipResponseCode": "486"], String?.some("sip_486")), (["SipResponseCode": "404"], "sip_404"),
            (["SipResponseCode": "487", "ErrorCode": "13224"], "13224"), (["SipResponseCode": "200"], nil),
            (["SipResponseCode": "4O4"], nil), (["ErrorCode": "", "SipResponseCode": "603"], "sip_603"), ([:], nil),
            (["ErrorCode": "'; drop"], nil),
        ]
    )
    func errorCodes(fields: [String: String], expected: String?) async throws {
        let event = try await self.parse(
            Self.ringing.merging(["CallStatus": "failed"]) { $1 }.merging(fields) { $1 }
        )
        #expect(event.errorCode == expected)
    }

    @Test("a report that is repeated has the same event id, and another report has another")
    func eventIDs() async throws {
        let first = try await self.parse(Self.ringing).eventID
        let again = try await self.parse(Self.ringing.merging(["CallerName": "x"]) { $1 }).eventID
        #expect(first == again)
        let next = try await self.parse(Self.ringing.merging(["SequenceNumber": "2"]) { $1 }).eventID
        let ended = try await self.parse(Self.ringing.merging(["CallStatus": "busy"]) { $1 }).eventID
        let other = try await self.parse(
            Self.ringing,
            target: "/v1/callbacks/twilio?call_id=\(UUID().lowercased)"
        ).eventID
        #expect(Set([first, next, ended, other]).count == 4)
        #expect(first.uuidString[first.uuidString.index(first.uuidString.startIndex, offsetBy: 14)] == "8")
    }

    @Test("a report without a readable time happened now")
    func timestamps() async throws {
        for timestamp in ["", "yesterday"] {
            let before = Date()
            let event = try await self.parse(Self.ringing.merging(["Timestamp": timestamp]) { $1 })
            #expect(before <= event.occurredAt && event.occurredAt <= Date())
        }
    }

    @Test("a JSON report is read when its hash is signed")
    func json() async throws {
        let body = Array(
            #"{"CallSid":"\#(Fixture.callSID)","CallStatus":"completed","SequenceNumber":3,"Extra":{"a":[1]}}"#.utf8
        )
        let hash = SHA256.hash(data: body).map { String(format: "%02x", Int($0)) }.joined()
        let target = Self.target + "&bodySHA256=\(hash)"
        let signature = TwilioSignature.sign(url: "https://calls.example.org" + target, token: Fixture.token)
        let event = try await self.parse(
            body: body,
            contentType: "application/json",
            target: target,
            signature: signature
        )
        #expect(event.status == .completed)
        #expect(event.sequence == 3)
        await #expect(throws: CallbackError.forged) {
            try await self.parse(
                body: body.dropLast() + Array(" }".utf8),
                contentType: "application/json",
                target: target,
                signature: signature
            )
        }
    }

    @Test("the previous token counts while it is configured")
    func previousToken() async throws {
        _ = try await self.parse(Self.ringing, token: "old-token", previousAuthToken: "old-token")
        await #expect(throws: CallbackError.forged) { try await self.parse(Self.ringing, token: "old-token") }
    }

    @Test("a forged report is told from a malformed one, and the signature is looked at first")
    func forged() async throws {
        await #expect(throws: CallbackError.forged) { try await self.parse(Self.ringing, signature: "AAAA") }
        await #expect(throws: CallbackError.forged) { try await self.parse(Self.ringing, token: "guess") }
        await #expect(throws: CallbackError.forged) { try await self.parse(["CallSid": "x"], token: "guess") }
        await #expect(throws: CallbackError.forged) {
            try await self.parse(body: [], contentType: nil, signature: nil)
        }
        await #expect(throws: CallbackError.forged) {
            try await self.parse(body: [0xFF, 0x25], contentType: "text/plain", signature: "AAAA")
        }
    }

    @Test(
        "a signed report that cannot be read is malformed, and the reason names the field and not its value",
        arguments: [
            (["CallSid": ""], "CallSid is missing"), (["CallSid": "secret"], "CallSid is not a call's id"),
            (["CallStatus": ""], "CallStatus is missing"), (["CallStatus": "secret"], "CallStatus is not known"),
            (["SequenceNumber": "secret"], "SequenceNumber is not a whole number"),
            (["SequenceNumber": "-1"], "SequenceNumber is not a whole number"),
            (["SequenceNumber": "99999999999999999999"], "SequenceNumber is not a whole number"),
        ]
    )
    func malformed(fields: [String: String], reason: String) async throws {
        await #expect(throws: CallbackError.malformed(reason: reason)) {
            try await self.parse(Self.ringing.merging(fields) { $1 })
        }
    }

    @Test(
        "a signed report for no call of ours is malformed",
        arguments: [
            ("/v1/callbacks/twilio", "call_id is missing"), ("/v1/callbacks/twilio?", "call_id is missing"),
            ("/v1/callbacks/twilio?x=1", "call_id is missing"),
            ("/v1/callbacks/twilio?call_id=", "call_id is not a UUID"),
            ("/v1/callbacks/twilio?call_id=7", "call_id is not a UUID"),
        ]
    )
    func noCall(target: String, reason: String) async throws {
        await #expect(throws: CallbackError.malformed(reason: reason)) {
            try await self.parse(Self.ringing, target: target)
        }
    }

    @Test("a signed body that is no form, no JSON, or comes by GET is malformed")
    func bodies() async throws {
        let url = "https://calls.example.org" + Self.target
        for body in [[], [0xFF, 0xFE, 0x3D, 0x25], Array("CallSid".utf8), Array("&&&=&=".utf8)] {
            await #expect(throws: CallbackError.malformed(reason: "CallSid is missing")) {
                try await self.parse(
                    body: body,
                    contentType: "application/x-www-form-urlencoded",
                    signature: TwilioSignature.sign(url: url, form: body, token: Fixture.token)
                )
            }
        }
        let body = Array("[1]".utf8)
        let hash = SHA256.hash(data: body).map { String(format: "%02x", Int($0)) }.joined()
        let target = Self.target + "&bodySHA256=" + hash
        let signature = TwilioSignature.sign(url: "https://calls.example.org" + target, token: Fixture.token)
        await #expect(throws: CallbackError.malformed(reason: "the body is not a JSON object")) {
            try await self.parse(body: body, contentType: "application/json", target: target, signature: signature)
        }
        await #expect(throws: CallbackError.malformed(reason: "the method is not POST")) {
            try await self.parse(Self.ringing, method: "GET")
        }
    }

    @Test("form fields are decoded like a browser's")
    func form() {
        let fields = FormFields(decoding: Array("a=1+2&b=%41%zz%4&c&=d&a=3&e=%C3%A9%".utf8))
        #expect(fields.first("a") == "1 2")
        #expect(fields.first("b") == "A%zz%4")
        #expect(fields.first("c") == "")
        #expect(fields.first("") == "d")
        #expect(fields.first("e") == "é%")
        #expect(fields.first("nope") == nil)
        #expect(FormFields(decoding: Array("a=%FF".utf8)).first("a") == nil)
        let text = "ä +&=%#?/\u{0}🙂"
        #expect(FormFields(decoding: FormFields.encode([(name: text, value: text)]).utf8).first(text) == text)
    }
}

@Suite("Configuration", .timeLimit(.minutes(20)))
struct ConfigurationTests {
    @Test("every fault is reported at once, by the setting's name and without its value")
    func allFaults() throws {
        let error = #expect(throws: TwilioConfigurationError.self) {
            try TwilioConfiguration(
                accountSID: "AC-wrong",
                authToken: "",
                baseURL: "api.twilio.com",
                callbackBaseURL: "https://my_host.example.org/?x=1",
                apiKeySID: "wrong",
                previousAuthToken: "hidden value",
                requestTimeout: .zero
            )
        }
        #expect(
            error?.problems.map(\.setting) == [
                "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_BASE_URL", "WEBHOOK_PUBLIC_URL",
                "TWILIO_PREVIOUS_AUTH_TOKEN", "TWILIO_API_KEY_SECRET", "TWILIO_REQUEST_TIMEOUT_SECONDS",
            ]
        )
        #expect(error.map { "\($0)".contains("hidden") } == false)
    }

    @Test(
        "a URL that cannot be used is refused",
        arguments: [
            "", "calls.example.org", "ftp://calls.example.org", "https://", "https://user:pw@calls.example.org",
            "https://calls.example.org?x=1", "https://calls.example.org#f", "https://a_b.example.org",
            "https://calls.example.org/webhooks",
        ]
    )
    func urls(url: String) {
        #expect(throws: TwilioConfigurationError.self) { try Fixture.configuration(callbackBaseURL: url) }
    }

    @Test("an API key authenticates requests in place of the token, and the token still verifies callbacks")
    func apiKey() throws {
        let key = "SK" + String(repeating: "c", count: 32)
        let configuration = try TwilioConfiguration(
            accountSID: Fixture.accountSID,
            authToken: Fixture.token,
            callbackBaseURL: "https://calls.example.org/",
            apiKeySID: key,
            apiKeySecret: "key-secret"
        )
        #expect(configuration.authorization == "Basic " + Data("\(key):key-secret".utf8).base64EncodedString())
        #expect(configuration.signingTokens == [Fixture.token])
        #expect(configuration.callbackBaseURL == "https://calls.example.org")
    }
}
