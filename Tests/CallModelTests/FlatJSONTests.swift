// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import CallModel

@Suite(.timeLimit(.minutes(20)))
struct FlatJSONTests {
    private static let request = DialRequest(
        callID: CallID.make(),
        contactID: CallID.make(),
        campaignID: CallID.make(),
        attemptNumber: 3,
        claimedAt: Date(timeIntervalSince1970: 1_795_637_697.25),
        expiresAt: Date(timeIntervalSince1970: 1_795_637_997.999),
        dueAt: Date(timeIntervalSince1970: 951_782_400)
    )
    private static let event = CallEvent(
        callID: CallID.make(),
        providerCallID: "CA0123456789",
        status: .noAnswer,
        sequence: 0,
        occurredAt: Date(timeIntervalSince1970: 1_800_000_000.125),
        answeredBy: .unknown,
        errorCode: "sip_487 \"\\\u{1}é",
        rawStatus: ""
    )

    private static func quickly<Message: FlatMessage>(_ type: Message.Type, _ body: [UInt8]) -> Message? {
        body.withUnsafeBytes { bytes in
            var reader = FlatJSONReader(bytes)
            guard let message = type.read(from: &reader), reader.isAtEnd else { return nil }
            return message
        }
    }

    @Test("what is written is read by both readers, to the same")
    func both() throws {
        let body = MessageCoding.encode(Self.request)
        #expect(Self.quickly(DialRequest.self, body) == Self.request)
        // Foundation's instants may differ in the last bit of a fraction of a second.
        #expect(MessageCoding.encode(try MessageCoding.decode(DialRequest.self, from: body)) == body)
        let other = MessageCoding.encode(Self.event)
        #expect(try MessageCoding.decode(CallEvent.self, from: other) == Self.event)
        #expect(Self.quickly(CallEvent.self, other) == nil, "escapes are left to JSONDecoder")
        var plain = Self.event
        plain.errorCode = "sip_487 é"
        #expect(Self.quickly(CallEvent.self, MessageCoding.encode(plain)) == plain)
    }

    @Test("a hint carries many calls, and its first alone for dialers that know no more")
    func hints() throws {
        let calls = (0..<CallEndedHint.maximumCalls).map { _ in CallID.make() }
        let hint = try #require(CallEndedHint(callIDs: calls))
        let body = MessageCoding.encode(hint)
        #expect(body.count <= MessageCoding.maximumBodySize)
        #expect(Self.quickly(CallEndedHint.self, body)?.allCalls == calls)
        #expect(try MessageCoding.decode(CallEndedHint.self, from: body).allCalls == calls)
        let former = Array(#"{"call_id":"\#(calls[0].uuidString)"}"#.utf8)
        #expect(Self.quickly(CallEndedHint.self, former)?.allCalls == [calls[0]])
        #expect(CallEndedHint(callIDs: []) == nil)
    }

    @Test("whatever the quick reader takes, JSONDecoder takes to the same", arguments: 0..<4)
    func mutated(shard: Int) throws {
        var random = Random(state: UInt64(shard + 1))
        var plain = Self.event
        plain.errorCode = "sip_487 é"
        let corpus = [
            MessageCoding.encode(Self.request), MessageCoding.encode(Self.event), MessageCoding.encode(plain),
        ]
        let pieces = [#""call_id":"#, #","x":[]"#, "]", "[", "}", "0", "00", "\"", "\\", " ", "null", "Z", "-", "é"]
        var takenRequests = 0
        var takenEvents = 0
        for index in 0..<6000 {
            var body = corpus[index % 3]
            for _ in 0..<Int.random(in: 0...2, using: &random) {
                let place = Int.random(in: 0..<body.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: body.remove(at: place)
                case 1: body[place] = UInt8.random(in: 0...127, using: &random)
                default: body.insert(contentsOf: pieces.randomElement(using: &random)?.utf8 ?? "".utf8, at: place)
                }
            }
            if let message = Self.quickly(DialRequest.self, body) {
                takenRequests += 1
                let other = try MessageCoding.decode(DialRequest.self, from: body)
                #expect(MessageCoding.encode(other) == MessageCoding.encode(message), "case \(shard)/\(index)")
            }
            if let message = Self.quickly(CallEvent.self, body) {
                takenEvents += 1
                let other = try MessageCoding.decode(CallEvent.self, from: body)
                #expect(MessageCoding.encode(other) == MessageCoding.encode(message), "case \(shard)/\(index)")
            }
        }
        #expect(takenRequests > 100)
        #expect(takenEvents > 100)
    }

    @Test("instants are written and read as Foundation does, over all years")
    func instants() throws {
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        var random = Random(state: 7)
        for _ in 0..<5000 {
            let milliseconds = Int.random(in: -62_135_596_800_000...253_402_300_799_999, using: &random)
            // Foundation cuts off what a number that is not quite whole lacks.
            let date = Date(timeIntervalSince1970: Double(milliseconds) / 1000 + 0.0002)
            var bytes: [UInt8] = []
            InternetInstant.append(date, to: &bytes)
            let text = String(decoding: bytes, as: UTF8.self)
            // Foundation has the Julian calendar before 1582, RFC 3339 has not.
            if milliseconds > -12_219_292_800_000 { #expect(text == date.formatted(style)) }
            let back = bytes.withUnsafeBytes { InternetInstant.parse($0) }
            #expect(back.map { Int(($0.timeIntervalSince1970 * 1000).rounded()) } == milliseconds, "\(text)")
        }
        for wrong in ["2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00.1Z"]
        {
            #expect(Array(wrong.utf8).withUnsafeBytes { InternetInstant.parse($0) } == nil, "\(wrong)")
        }
    }

    @Test("ids are read in either case, and nothing else is")
    func ids() {
        let id = UUID()
        for text in [id.uuidString, id.lowercased] {
            #expect(Array(text.utf8).withUnsafeBytes { UUID(hexadecimal: $0) } == id)
        }
        #expect(id.lowercased == id.uuidString.lowercased())
        for wrong in ["", String(id.lowercased.dropLast()), id.lowercased.replacing("-", with: "a")] {
            #expect(Array(wrong.utf8).withUnsafeBytes { UUID(hexadecimal: $0) } == nil)
        }
    }
}
