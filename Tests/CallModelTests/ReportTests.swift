// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation
import Testing

@Suite(.timeLimit(.minutes(20)))
struct ReportTests {
    @Test("the order and the repetition of a call's events do not matter", arguments: 0..<50)
    func merge(seed: UInt64) {
        var random = Random(state: seed)
        let callID = UUID()
        func event(_ status: CallStatus, _ seconds: Double, _ answeredBy: AnsweredBy? = nil, _ code: String? = nil)
            -> CallEvent
        {
            CallEvent(
                callID: callID,
                providerCallID: "CA1",
                status: status,
                occurredAt: Date(timeIntervalSince1970: seconds),
                answeredBy: answeredBy,
                errorCode: code,
                rawStatus: status.rawValue
            )
        }
        let events = [
            event(.initiated, 1), event(.ringing, 2), event(.answered, 3, .human), event(.completed, 9, .machine),
            event(.lost, 10, nil, "lost"), event(.answered, 4),
        ]
        let expected = CallReport.merge(events)
        var shuffled = events + (0..<4).compactMap { _ in events.randomElement(using: &random) }
        shuffled.shuffle(using: &random)
        #expect(CallReport.merge(shuffled) == expected, "seed \(seed)")
        #expect(expected.count == 1)
        #expect(expected.first?.status == .completed)
        #expect(expected.first?.answeredBy == .machine)
        #expect(expected.first?.answeredAt == Date(timeIntervalSince1970: 3))
    }

    @Test("events of several calls make one report each, ordered by call")
    func several() {
        let ids = (0..<20).map { _ in UUID() }
        let events = ids.flatMap { id in
            [CallStatus.ringing, .busy].map { CallEvent(callID: id, status: $0, occurredAt: Date()) }
        }
        let reports = CallReport.merge(events.shuffled())
        #expect(reports.map(\.callID.uuidString) == ids.map(\.uuidString).sorted())
        #expect(reports.allSatisfy { $0.status == .busy })
    }

    @Test("every final status has an outcome, no other has one")
    func outcomes() {
        for status in CallStatus.allCases {
            #expect((CallOutcome(status: status, answeredBy: nil) != nil) == status.isFinal, "\(status)")
        }
        #expect(CallOutcome(status: .completed, answeredBy: .machine) == .answeringMachine)
        #expect(CallOutcome(status: .completed, answeredBy: .fax) == .answeringMachine)
        #expect(CallOutcome(status: .completed, answeredBy: .human) == .completed)
        #expect(Set(CallStatus.allCases.map(\.rank)).count == CallStatus.allCases.count)
    }

    @Test("a message survives its way; fields that nobody knows are ignored")
    func coding() throws {
        let event = CallEvent(
            callID: CallID.make(),
            providerCallID: "CA1",
            status: .noAnswer,
            sequence: 3,
            occurredAt: Date(timeIntervalSince1970: 1_800_000_000.125),
            answeredBy: .unknown,
            errorCode: "sip_487",
            rawStatus: "no-answer"
        )
        var body = MessageCoding.encode(event)
        body.removeLast()
        body += Array(#","new_field":{"a":[1]}}"#.utf8)
        let back = try MessageCoding.decode(
            CallEvent.self,
            from: body,
            messageType: CallEvent.messageType,
            expectedType: CallEvent.messageType
        )
        #expect(back == event)
    }

    @Test(
        "poison is told apart, and the fault names the field and never its value",
        arguments: [
            ("", "call-event.v1", "not JSON"), ("{", "call-event.v1", "not JSON"),
            ("[]", "call-event.v1", "wrong type"),
            ("{}", "call-event.v1", "event_id is missing"), ("{}", "call-event.v2", "message type is not"),
            (#"{"event_id":"+14155550123"}"#, "call-event.v1", "event_id has"),
            (String(repeating: " ", count: 20_000), "call-event.v1", "larger than"),
        ]
    )
    func poison(body: String, type: String, reason: String) {
        let fault = #expect(throws: MessageFault.self) {
            try MessageCoding.decode(
                CallEvent.self,
                from: Array(body.utf8),
                messageType: type,
                expectedType: CallEvent.messageType
            )
        }
        #expect(fault?.reason.contains(reason) == true, "\(fault?.reason ?? "")")
        #expect(fault?.reason.contains("4155550123") == false)
    }
}

/// A small generator whose seed is in the failure's message.
struct Random: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        self.state = self.state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return self.state ^ (self.state >> 29)
    }
}
