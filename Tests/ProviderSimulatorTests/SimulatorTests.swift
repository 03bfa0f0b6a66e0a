// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import Foundation
import Logging
import NIOCore
import NIOHTTP1
import ProviderSimulator
import TestBasics
import Testing

@Suite(.timeLimit(.minutes(20)))
struct SimulatorTests {
    private static let account = "AC" + String(repeating: "0", count: 32)

    /// A simulator on a port of its own while the body runs.
    private static func run(
        _ configuration: SimulatorConfiguration,
        _ body: @escaping @Sendable (String) async throws -> Void
    ) async throws {
        var logger = Logger(label: "simulator-tests")
        logger.logLevel = .critical
        let (ports, port) = AsyncStream.makeStream(of: Int.self)
        let simulator = ProviderSimulator(configuration: configuration, logger: logger) { port.yield($0) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try? await simulator.run() }
            var iterator = ports.makeAsyncIterator()
            let number = await iterator.next() ?? 0
            defer { group.cancelAll() }
            try await body("http://127.0.0.1:\(number)")
        }
    }

    private static func request(
        _ method: HTTPMethod,
        _ url: String,
        form: [(String, String)] = [],
        token: String = "simulator-token"
    ) async throws -> (status: Int, body: Data) {
        var request = HTTPClientRequest(url: url)
        request.method = method
        let credentials = Data("\(Self.account):\(token)".utf8).base64EncodedString()
        request.headers.add(name: "Authorization", value: "Basic " + credentials)
        if !form.isEmpty {
            request.headers.add(name: "Content-Type", value: "application/x-www-form-urlencoded")
            let text = form.map { name, value in
                name + "=" + (value.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? "")
            }
            request.body = .bytes(ByteBuffer(string: text.joined(separator: "&")))
        }
        let response = try await HTTPClient.patient.execute(request, timeout: .seconds(600))
        let body = try await response.body.collect(upTo: 1 << 28)
        return (Int(response.status.code), Data(body.readableBytesView))
    }

    private static func place(_ base: String, to number: String, _ extra: [(String, String)] = []) async throws
        -> (status: Int, body: Data)
    {
        try await Self.request(
            .POST,
            "\(base)/2010-04-01/Accounts/\(Self.account)/Calls.json",
            form: [("To", number), ("From", "+15005550006"), ("Url", base + "/simulator/answer")] + extra
        )
    }

    private static func ledger(_ base: String) async throws -> Ledger {
        try Ledger.decode(try await Self.request(.GET, base + "/simulator/ledger").body)
    }

    private static func quick() -> SimulatorConfiguration {
        var configuration = SimulatorConfiguration()
        configuration.outcomes = ["completed": 1]
        configuration.ringSeconds = .init(min: 0.02, max: 0.05)
        configuration.talkSeconds = .init(min: 0.02, max: 0.05)
        return configuration
    }

    @Test("a call is placed, lives and ends, and the ledger has seen it")
    func life() async throws {
        try await Self.run(Self.quick()) { base in
            let placed = try await Self.place(base, to: "+14155550101")
            #expect(placed.status == 201)
            let object = try JSONSerialization.jsonObject(with: placed.body) as? [String: Any]
            let sid = try #require(object?["sid"] as? String)
            #expect(sid.wholeMatch(of: /CA[0-9a-f]{32}/) != nil)
            try await eventually("the call ends") {
                try await Self.ledger(base).calls.first?.endedAt != nil
            }
            let call = try #require(try await Self.ledger(base).calls.first)
            #expect(call.status == "completed")
            #expect(call.sid == sid)
            let fetched = try await Self.request(.GET, "\(base)/2010-04-01/Accounts/\(Self.account)/Calls/\(sid).json")
            #expect(fetched.status == 200)
        }
    }

    @Test("bad requests get the provider's own errors, and nothing is placed")
    func refusals() async throws {
        try await Self.run(Self.quick()) { base in
            let calls = "\(base)/2010-04-01/Accounts/\(Self.account)/Calls"
            #expect(try await Self.place(base, to: "12").status == 400)
            let event = ("StatusCallbackEvent", "sneezed")
            #expect(try await Self.place(base, to: "+14155550101", [event]).status == 400)
            #expect(try await Self.request(.GET, calls + ".json", token: "wrong").status == 401)
            #expect(try await Self.request(.GET, calls + "/CAnone.json").status == 404)
            let ledger = try await Self.ledger(base)
            #expect(ledger.summary.placed == 0)
            #expect(!ledger.calls.isEmpty)
            #expect(ledger.calls.allSatisfy { $0.refusal != nil })
        }
    }

    @Test(
        "faults do what they say",
        arguments: [
            (SimulatorConfiguration.Fault.refuse429, 429, 0), (.refuse400, 400, 0), (.serverErrorBefore, 500, 0),
            (.serverErrorAfter, 500, 1), (.resetAfter, 0, 1), (.hangAfter, 0, 1), (.apiDown, 0, 0),
        ]
    )
    func faults(fault: SimulatorConfiguration.Fault, status: Int, placed: Int) async throws {
        var configuration = Self.quick()
        configuration.numbers = ["+14155550101": .init(faults: [fault])]
        try await Self.run(configuration) { base in
            let asking = Task { try await Self.place(base, to: "+14155550101") }
            try await eventually("the request is in the ledger") { try await !Self.ledger(base).calls.isEmpty }
            let ledger = try await Self.ledger(base)
            #expect(ledger.summary.placed == placed)
            #expect(ledger.calls.first?.fault == fault.rawValue)
            #expect(try await Self.place(base, to: "+14155550101").status == 201, "the script has one fault only")
            // Who came later has an answer.
            if fault == .hangAfter { asking.cancel() }
            switch await asking.result {
            case .success(let answer): #expect(answer.status == status)
            case .failure(let error): #expect(status == 0, "\(fault): \(error)")
            }
        }
    }

    @Test("a repeated run meets the same fates, in whatever order the numbers come")
    func determinism() async throws {
        let numbers = (0..<40).map { "+1415555\(1000 + $0)" }
        let fates = Storage()
        for order in [numbers, numbers.reversed()] {
            var configuration = Self.quick()
            configuration.seed = 42
            configuration.outcomes = ["completed": 1, "busy": 1, "no_answer": 1]
            try await Self.run(configuration) { base in
                for number in order { _ = try await Self.place(base, to: number) }
                try await eventually(
                    "all end",
                    of: { try await Self.ledger(base).calls.count { $0.endedAt == nil } },
                    { $0 == 0 }
                )
                let calls = try await Self.ledger(base).calls
                await fates.add(Dictionary(uniqueKeysWithValues: calls.map { ($0.to, $0.status) }))
            }
        }
        let runs = await fates.runs
        #expect(runs.count == 2)
        #expect(runs.first == runs.last)
        #expect(Set((runs.first ?? [:]).values).count == 3)
    }

    @Test("calls beyond the calls per second wait as queued, and can be canceled there")
    func queueing() async throws {
        var configuration = Self.quick()
        configuration.callsPerSecond = 0.001
        try await Self.run(configuration) { base in
            for index in 1...3 { _ = try await Self.place(base, to: "+1415555010\(index)") }
            let queued = try #require(try await Self.ledger(base).calls.last)
            #expect(queued.status == "queued")
            #expect(queued.startedAt == nil)
            let canceled = try await Self.request(
                .POST,
                "\(base)/2010-04-01/Accounts/\(Self.account)/Calls/\(queued.sid ?? "").json",
                form: [("Status", "canceled")]
            )
            #expect(canceled.status == 200)
            #expect(try await Self.ledger(base).calls.last?.status == "canceled")
        }
    }

    @Test("with the token, calls are held before the answer and before the end, and go on when they are told to")
    func control() async throws {
        var configuration = Self.quick()
        configuration.controlToken = "secret"
        try await Self.run(configuration) { base in
            @Sendable func tell(_ command: String, _ token: String = "secret") async throws -> (
                status: Int, waiting: [String: Int]
            ) {
                var request = HTTPClientRequest(url: base + "/simulator/control/" + command)
                request.method = .POST
                request.headers.add(name: "Authorization", value: "Bearer " + token)
                let response = try await HTTPClient.patient.execute(request, timeout: .seconds(600))
                let body = Data(try await response.body.collect(upTo: 1 << 16).readableBytesView)
                return (Int(response.status.code), (try? JSONDecoder().decode([String: Int].self, from: body)) ?? [:])
            }
            @Sendable func count(_ isThis: (LedgerCall) -> Bool) async throws -> Int {
                try await Self.ledger(base).calls.count(where: isThis)
            }
            #expect(try await tell("answer/hold", "guessed").status == 401)
            #expect(try await tell("lunch/hold").status == 404)
            #expect(try await tell("answer/pass").status == 400)
            _ = try await tell("answer/hold")
            _ = try await tell("end/hold")
            for index in 1...5 { _ = try await Self.place(base, to: "+1415555010\(index)") }
            try await eventually("all wait to be answered") { try await tell("end/hold").waiting["answer"] == 5 }
            #expect(try await count { $0.answeredAt != nil } == 0)
            #expect(try await tell("answer/pass?to=%2B14155550103").waiting["answer"] == 4)
            #expect(try await count { $0.answeredAt != nil && $0.to == "+14155550103" } == 1)
            _ = try await tell("answer/release")
            try await eventually("all wait to end") { try await tell("end/hold").waiting["end"] == 5 }
            #expect(try await count { $0.answeredAt != nil && $0.endedAt == nil } == 5)
            #expect(try await tell("end/pass?calls=3").waiting["end"] == 2)
            #expect(try await count { $0.endedAt != nil } == 3)
            // Two that wait, and the next one to come.
            #expect(try await tell("end/pass?calls=3").waiting["end"] == 0)
            for index in 6...7 { _ = try await Self.place(base, to: "+1415555010\(index)") }
            try await eventually("the last waits") { try await tell("end/hold").waiting["end"] == 1 }
            #expect(try await count { $0.endedAt != nil } == 6)
            let last = try #require(try await Self.ledger(base).calls.first { $0.endedAt == nil }?.sid)
            let path = "/2010-04-01/Accounts/\(Self.account)/Calls/\(last).json"
            _ = try await Self.request(.POST, base + path, form: [("Status", "completed")])
            #expect(try await tell("end/hold").waiting["end"] == 0, "one that was hung up waits for nothing")
        }
    }

    @Test("without a token for it, nobody can hold calls")
    func noControl() async throws {
        try await Self.run(Self.quick()) { base in
            let answer = try await Self.request(.POST, base + "/simulator/control/end/hold")
            #expect(answer.status == 404)
        }
    }

    @Test("a scenario names every key that is wrong")
    func badScenario() {
        let json =
            #"{"sed": 1, "faults": {"callback_lost": 2, "gremlins": 1}, "port": -1, "ring_seconds": {"min": 9, "max": 1}}"#
        let error = #expect(throws: ScenarioError.self) { try SimulatorConfiguration.scenario(json: Array(json.utf8)) }
        let text = error?.description ?? ""
        for key in ["sed:", "faults.callback_lost", "faults.gremlins", "port", "ring_seconds"] {
            #expect(text.contains(key), "\(key) in: \(text)")
        }
    }

    @Test("ten thousand calls are live at once")
    func tenThousand() async throws {
        var configuration = Self.quick()
        configuration.talkSeconds = .init(min: 86_400, max: 86_400)
        try await Self.run(configuration) { base in
            await withTaskGroup(of: Void.self) { group in
                for worker in 0..<16 {
                    group.addTask {
                        for index in stride(from: worker, to: 10_000, by: 16) {
                            _ = try? await Self.place(base, to: "+1415\(5_000_000 + index)")
                        }
                    }
                }
            }
            func live() async throws -> Int {
                let data = try await Self.request(.GET, base + "/simulator/ledger/summary").body
                return try JSONDecoder().decode(LedgerSummary.self, from: data).live
            }
            try await eventually("all are live", of: live) { $0 == 10_000 }
        }
    }
}

/// What several runs brought.
private actor Storage {
    private(set) var runs: [[String: String]] = []

    func add(_ run: [String: String]) {
        self.runs.append(run)
    }
}
