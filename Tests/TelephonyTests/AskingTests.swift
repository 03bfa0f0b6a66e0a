// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation
import Testing

@testable import Telephony

@Suite("Asking about calls", .timeLimit(.minutes(20)))
struct AskingTests {
    @Test(
        "every status has a word of ours",
        arguments: [
            ("queued", CallStatus.queued), ("ringing", .ringing), ("in-progress", .answered),
            ("completed", .completed), ("busy", .busy), ("failed", .failed), ("no-answer", .noAnswer),
            ("canceled", .canceled),
        ]
    )
    func statuses(word: String, status: CallStatus) async throws {
        let body = Fixture.callJSON(
            status: word,
            started: "Mon, 23 Nov 2026 20:00:05 +0000",
            ended: "Mon, 23 Nov 2026 20:01:00 +0000",
            answeredBy: "machine_start"
        )
        try await StubProvider.run(script: { _ in .answer(200, body: body) }) { stub in
            let call = try await Fixture.withProvider(baseURL: stub.url) { try await $0.call(id: Fixture.callSID) }
            #expect(
                call
                    == ProviderCall(
                        providerCallID: Fixture.callSID,
                        status: status,
                        rawStatus: word,
                        createdAt: InternetDate.parse("Mon, 23 Nov 2026 20:00:00 +0000"),
                        endedAt: status.isFinal ? InternetDate.parse("Mon, 23 Nov 2026 20:01:00 +0000") : nil,
                        answeredBy: .machine
                    )
            )
            #expect(stub.requests.first?.path.hasSuffix("/Calls/\(Fixture.callSID).json") == true)
            #expect(stub.requests.first?.method == "GET")
        }
    }

    @Test(
        "a status of a server's own is no want of an answer: what has an end is over, and answered if anybody was heard",
        arguments: [
            ("", "null", nil, CallStatus.initiated), ("Mon, 23 Nov 2026 20:01:00 +0000", "null", nil, .failed),
            ("Mon, 23 Nov 2026 20:01:00 +0000", "\"0\"", nil, .failed),
            ("Mon, 23 Nov 2026 20:01:00 +0000", "\"31\"", nil, .completed),
            ("Mon, 23 Nov 2026 20:01:00 +0000", "31", nil, .completed),
            ("Mon, 23 Nov 2026 20:01:00 +0000", "null", "machine_start", .completed),
        ] as [(String, String, String?, CallStatus)]
    )
    func otherWords(ended: String, duration: String, answeredBy: String?, status: CallStatus) async throws {
        let body = Fixture.callJSON(status: "session_timeout", ended: ended, answeredBy: answeredBy)
            .replacing("\"duration\":null", with: "\"duration\":\(duration)")
        let list = "{\"calls\":[\(body)],\"next_page_uri\":null}"
        try await StubProvider.run(script: {
            $0.path.contains(Fixture.callSID) ? .answer(200, body: body) : .answer(200, body: list)
        }) { stub in
            try await Fixture.withProvider(baseURL: stub.url) { provider in
                let call = try await provider.call(id: Fixture.callSID)
                #expect(call?.status == status && call?.rawStatus == "session_timeout")
                #expect((call?.endedAt != nil) == status.isFinal)
                // One that is looked for by its number is found when its end is known.
                let query = CallQuery(
                    to: try PhoneNumber(Fixture.to),
                    from: try PhoneNumber(Fixture.from),
                    acceptedAfter: try #require(InternetDate.parse("Mon, 23 Nov 2026 19:00:00 +0000"))
                )
                #expect(try await provider.findCalls(query).map(\.status) == (status.isFinal ? [status] : []))
            }
        }
    }

    @Test("a call that the provider does not know is nil")
    func unknownCall() async throws {
        try await StubProvider.run(script: { _ in .fault(404, code: 20404) }) { stub in
            let call = try await Fixture.withProvider(baseURL: stub.url) { try await $0.call(id: Fixture.callSID) }
            #expect(call == nil)
        }
    }

    @Test(
        "a question without a usable answer is an error, and never says that a phone may ring",
        arguments: [
            (StubProvider.Reaction.answer(200, body: "garbage"), TelephonyError.Code.providerDown),
            (.answer(404, body: "<html></html>"), .misconfigured(.trunk)),
            (.answer(302, headers: [("Location", "http://127.0.0.1:1/")], body: ""), .misconfigured(.trunk)),
            (.fault(401, code: 20003), .misconfigured(.trunk)),
            (.fault(429, code: 20429, headers: [("Retry-After", "3")]), .refusedForNow(retryAfter: .seconds(3))),
            (.fault(500, code: 20500), .providerDown), (.answer(503, body: ""), .providerDown),
            (.reset, .providerDown), (.close, .providerDown), (.silence, .providerDown),
            (.headOnly(200), .providerDown),
        ]
    )
    func failures(reaction: StubProvider.Reaction, expected: TelephonyError.Code) async throws {
        try await Fixture.withFailing(reaction) { _, provider, failure in
            let byID = try await failure { _ = try await provider.call(id: Fixture.callSID) }
            #expect(byID?.code == expected)
            let credentials = try await failure { try await provider.checkCredentials() }
            if case .answer(200, _, _) = reaction {
                #expect(credentials?.code == .misconfigured(.trunk))
            } else {
                #expect(credentials?.code == expected)
            }
            let query = try Fixture.query(acceptedAfter: Date())
            let found = try await failure { _ = try await provider.findCalls(query) }
            #expect(found?.code == expected)
        }
    }

    @Test("accepted credentials are in order, and the question places nothing")
    func credentials() async throws {
        try await StubProvider.run(script: { _ in .answer(200, body: #"{"calls":[],"next_page_uri":null}"#) }) { stub in
            try await Fixture.withProvider(baseURL: stub.url) { try await $0.checkCredentials() }
            #expect(stub.requests.map(\.method) == ["GET"])
            #expect(stub.requests.first?.query == [["PageSize", "1"]])
        }
    }
}

@Suite("Finding a call", .timeLimit(.minutes(20)))
struct FindingTests {
    private static func sid(_ digit: Character) -> String { "CA" + String(repeating: digit, count: 32) }

    @Test("queued and dialed calls are merged, newest first, and older or foreign ones are left out")
    func merged() async throws {
        let queued = [
            Fixture.callJSON(sid: Self.sid("1"), created: "Mon, 23 Nov 2026 20:00:10 +0000"),
            Fixture.callJSON(sid: Self.sid("2"), created: "Mon, 23 Nov 2026 20:00:20 +0000"),
        ]
        let dated = [
            Fixture.callJSON(sid: Self.sid("2"), status: "ringing", created: "Mon, 23 Nov 2026 20:00:20 +0000"),
            Fixture.callJSON(sid: Self.sid("3"), status: "completed", created: "Mon, 23 Nov 2026 20:00:30 +0000"),
            Fixture.callJSON(sid: Self.sid("4"), status: "busy", created: "Mon, 23 Nov 2026 19:59:59 +0000"),
            Fixture.callJSON(sid: Self.sid("5"), status: "busy", created: "Mon, 23 Nov 2026 20:00:00 +0000"),
            Fixture.callJSON(sid: Self.sid("6"), created: "Mon, 23 Nov 2026 20:00:40 +0000", to: "+14155550999"),
            Fixture.callJSON(sid: Self.sid("7"), status: "new-word", created: "Mon, 23 Nov 2026 20:00:40 +0000"),
            Fixture.callJSON(sid: Self.sid("8"), created: ""),
        ]
        let script: StubProvider.Script = { request in
            let calls = request.values("Status") == ["queued"] ? queued : dated
            return .answer(200, body: #"{"calls":[\#(calls.joined(separator: ","))],"next_page_uri":null}"#)
        }
        try await StubProvider.run(script: script) { stub in
            // The provider's dates have whole seconds: a call of 20:00:00.9 says 20:00:00.
            let accepted = try #require(InternetDate.parse("Mon, 23 Nov 2026 20:00:00 +0000")).addingTimeInterval(0.9)
            let found = try await Fixture.withProvider(baseURL: stub.url) {
                try await $0.findCalls(Fixture.query(acceptedAfter: accepted))
            }
            #expect(found.map(\.providerCallID) == ["3", "2", "1", "5"].map { Self.sid($0) })
            #expect(found[1].status == .ringing, "the later answer stands")
            let numbers = [["To", Fixture.to], ["From", Fixture.from]]
            #expect(
                stub.requests.map(\.query) == [
                    numbers + [["Status", "queued"], ["PageSize", "100"]],
                    numbers + [["StartTime>", "2026-11-23"], ["PageSize", "100"]],
                ]
            )
        }
    }

    @Test("pages are followed with our own filters, whatever host the link names")
    func pages() async throws {
        let script: StubProvider.Script = { request in
            let page = request.values("Page").first ?? "0"
            let digit: Character = page == "0" ? "1" : "2"
            let call = Fixture.callJSON(sid: Self.sid(digit), created: "Mon, 23 Nov 2026 20:00:1\(page) +0000")
            let next =
                page == "0"
                ? #""https://elsewhere.example/2010-04-01/Calls.json?To=x&Page=1&PageToken=PAabc%2F1&PageSize=9""#
                : "null"
            return .answer(200, body: #"{"calls":[\#(call)],"next_page_uri":\#(next)}"#)
        }
        try await StubProvider.run(script: script) { stub in
            let accepted = try #require(InternetDate.parse("Mon, 23 Nov 2026 20:00:00 +0000"))
            let found = try await Fixture.withProvider(baseURL: stub.url) {
                try await $0.findCalls(Fixture.query(acceptedAfter: accepted))
            }
            #expect(found.map(\.providerCallID) == [Self.sid("2"), Self.sid("1")])
            #expect(stub.requests.count == 4)
            #expect(stub.requests[1].values("PageToken") == ["PAabc/1"])
            #expect(stub.requests[1].values("To") == [Fixture.to])
            #expect(stub.requests[1].values("PageSize") == ["100"])
        }
    }

    @Test("a list without end is left after a bounded number of pages")
    func endless() async throws {
        let script: StubProvider.Script = { request in
            let next = (request.values("Page").first.flatMap { Int($0) } ?? 0) + 1
            return .answer(200, body: #"{"calls":[],"next_page_uri":"/x?Page=\#(next)&PageToken=t\#(next)"}"#)
        }
        try await StubProvider.run(script: script) { stub in
            let found = try await Fixture.withProvider(baseURL: stub.url) {
                try await $0.findCalls(Fixture.query(acceptedAfter: Date()))
            }
            #expect(found.isEmpty)
            #expect(stub.requests.count == 20)
        }
    }
}

@Suite("Hanging up", .timeLimit(.minutes(20)))
struct HangingUpTests {
    private func statuses(
        onlyIfNotAnswered: Bool,
        script: @escaping StubProvider.Script
    ) async throws -> [String] {
        try await StubProvider.run(script: script) { stub in
            try await Fixture.withProvider(baseURL: stub.url) {
                try await $0.hangUp(id: Fixture.callSID, onlyIfNotAnswered: onlyIfNotAnswered)
            }
            #expect(stub.requests.allSatisfy { $0.path.hasSuffix("/Calls/\(Fixture.callSID).json") })
            return stub.requests.flatMap { $0.values("Status") }
        }
    }

    @Test("a call is ended with one request")
    func ends() async throws {
        let ok = StubProvider.Reaction.answer(200, body: Fixture.callJSON(status: "completed"))
        #expect(try await self.statuses(onlyIfNotAnswered: false) { _ in ok } == ["completed"])
    }

    @Test("a call that is not answered yet is only canceled")
    func cancels() async throws {
        let ok = StubProvider.Reaction.answer(200, body: Fixture.callJSON(status: "canceled"))
        #expect(try await self.statuses(onlyIfNotAnswered: true) { _ in ok } == ["canceled"])
    }

    @Test("cancelling a call that was answered meanwhile leaves it alone")
    func answeredMeanwhile() async throws {
        let statuses = try await self.statuses(onlyIfNotAnswered: true) { _ in .fault(400, code: 21220) }
        #expect(statuses == ["canceled"])
    }

    @Test("ending a queued call falls back to cancelling it")
    func queued() async throws {
        let statuses = try await self.statuses(onlyIfNotAnswered: false) { request in
            request.values("Status") == ["completed"]
                ? .fault(400, code: 21220) : .answer(200, body: Fixture.callJSON(status: "canceled"))
        }
        #expect(statuses == ["completed", "canceled"])
    }

    @Test("ending an ended or vanished call is no error", arguments: [(400, 21220), (404, 20404)])
    func ended(status: Int, code: Int) async throws {
        let statuses = try await self.statuses(onlyIfNotAnswered: false) { _ in .fault(status, code: code) }
        #expect(statuses.first == "completed")
    }

    @Test("a hang-up that the provider does not take is an error")
    func refused() async throws {
        await #expect(throws: TelephonyError.self) {
            _ = try await self.statuses(onlyIfNotAnswered: false) { _ in .fault(401, code: 20003) }
        }
        await #expect(throws: TelephonyError.self) {
            _ = try await self.statuses(onlyIfNotAnswered: true) { _ in .answer(500, body: "") }
        }
    }
}
