// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import CallModel
import Foundation
import Logging
import TestSupport
import Testing

@testable import ProviderSimulator
@testable import Telephony

/// A hundred thousand pieces of malformed input: each is refused with a reason or taken for what it says; none crashes
/// or hangs. The seed is in the name of a failing case.
@Suite(.timeLimit(.minutes(20)))
struct FuzzTests {
    private static let messageCases = 40_000
    private static let webhookCases = 30_000
    private static let csvCases = 30_000

    @Test("message bodies", arguments: 0..<4)
    func messages(shard: Int) throws {
        let request = DialRequest(
            callID: CallID.make(),
            contactID: CallID.make(),
            campaignID: CallID.make(),
            attemptNumber: 2,
            claimedAt: Date(),
            expiresAt: Date().addingTimeInterval(60)
        )
        let event = CallEvent(
            callID: CallID.make(),
            providerCallID: "CA1",
            status: .answered,
            sequence: 3,
            occurredAt: Date(),
            answeredBy: .human,
            rawStatus: "in-progress"
        )
        let corpus = [
            MessageCoding.encode(request), MessageCoding.encode(event), [], Array("null".utf8),
            Array("[[[[[[[[[[[[[[[[".utf8), Array(#"{"call_id":1e999}"#.utf8), Array("\u{FEFF}{}".utf8),
            [UInt8](repeating: UInt8(ascii: "["), count: 10_000),
        ]
        var refused = 0
        var taken = 0
        for index in 0..<Self.messageCases / 4 {
            var random = SeededGenerator(seed: UInt64(index), words: ["messages", "\(shard)"])
            let body = Mutation.mutate(corpus[index % corpus.count], using: &random)
            let reason =
                shard.isMultiple(of: 2)
                ? Self.refusal(DialRequest.self, body) { $0.callID.lowercased }
                : Self.refusal(CallEvent.self, body) { $0.status.rawValue }
            guard let reason else {
                taken += 1
                continue
            }
            refused += 1
            #expect(!reason.isEmpty && reason.utf8.count < 300, "case \(shard)/\(index)")
        }
        #expect(refused > Self.messageCases / 8, "hardly anything was malformed: the generator shows nothing")
        #expect(taken > 10, "hardly anything was taken: the reader refuses everything")
    }

    /// Why a body is refused; nil when it was taken and survives another round.
    private static func refusal<Message: FlatMessage>(
        _ type: Message.Type,
        _ body: [UInt8],
        _ key: (Message) -> String
    ) -> String? {
        do {
            let decoded = try MessageCoding.decode(type, from: body, messageType: "t", expectedType: "t")
            let again = try? MessageCoding.decode(
                type,
                from: MessageCoding.encode(decoded),
                messageType: "t",
                expectedType: "t"
            )
            #expect(again.map(key) == key(decoded))
            return nil
        } catch {
            return error.reason
        }
    }

    @Test("webhook bodies, targets and headers", arguments: 0..<3)
    func webhooks(shard: Int) async throws {
        let client = HTTPClient(eventLoopGroupProvider: .singleton)
        let provider = TwilioProvider(
            configuration: try TwilioConfiguration(
                accountSID: Rehearsal.account,
                authToken: Rehearsal.token,
                callbackBaseURL: "https://calls.example.org"
            ),
            httpClient: client,
            logger: Logger(label: "fuzz", factory: { _ in SwiftLogNoOpLogHandler() })
        )
        let target = "/v1/callbacks/twilio?call_id=\(CallID.make().lowercased)"
        let form =
            "CallSid=CA\(String(repeating: "b", count: 32))&AccountSid=\(Rehearsal.account)&CallStatus=completed"
            + "&SequenceNumber=3&Timestamp=Mon%2C+23+Nov+2026+20%3A00%3A05+%2B0000&SipResponseCode=200&AnsweredBy=human"
        let corpus = [
            form, "", "&&&&", "=", "%", "%G1=%zz", "CallStatus", "CallStatus=completed&CallStatus=busy",
            String(repeating: "a=b&", count: 2000), #"{"CallStatus":"completed"}"#,
        ].map { Array($0.utf8) }
        var results: [String: Int] = [:]
        var forged = 0
        for index in 0..<Self.webhookCases / 3 {
            var random = SeededGenerator(seed: UInt64(index), words: ["webhooks", "\(shard)"])
            let body = Mutation.mutate(corpus[index % corpus.count], using: &random)
            let path =
                shard == 1
                ? String(decoding: Mutation.mutate(Array(target.utf8), using: &random), as: UTF8.self) : target
            // Every other one of each body.
            let isForged = shard == 2 && (index / corpus.count).isMultiple(of: 2)
            forged += isForged ? 1 : 0
            // Signed as the provider would: what comes after the signature is to be tried.
            let signature = TwilioSignature.sign(
                url: "https://calls.example.org" + path,
                form: body,
                token: isForged ? "guessed" : Rehearsal.token
            )
            let request = CallbackRequest(
                target: path,
                method: "POST",
                headers: ["x-twilio-signature": signature, "content-type": "application/x-www-form-urlencoded"],
                body: body
            )
            do {
                _ = try provider.parseCallback(request)
                results["taken", default: 0] += 1
                #expect(!isForged, "case \(shard)/\(index) was forged")
            } catch {
                switch error {
                case .forged: results["forged", default: 0] += 1
                case .malformed(let reason):
                    results["malformed", default: 0] += 1
                    #expect(!reason.isEmpty && reason.utf8.count < 300, "case \(shard)/\(index)")
                }
            }
        }
        try await client.shutdown()
        #expect(results["malformed", default: 0] > 1000, "\(results)")
        #expect(results["taken", default: 0] > 10, "\(results)")
        // A target that is no URL any more cannot be signed as it came.
        if shard != 1 { #expect(results["forged", default: 0] == forged, "\(results)") }
    }

    @Test("CSV files", arguments: 0..<3)
    func csv(shard: Int) throws {
        let corpus = [
            "phone_number,external_contact_id\n+4930123456,a1\n+4930123457,\"b,\"\"2\"\"\"\n",
            "\u{FEFF}phone_number;email\r\n+4930123456;x@example.org\r\n", "\"", "\"\"\"", ",,,,\n,,,,\n", "\r\r\r",
            "phone_number\n\"" + String(repeating: "x", count: 5000), "a\u{0}b,c\n", "\u{85}\u{2028}\n",
        ].map { Array($0.utf8) }
        var faults = 0
        for index in 0..<Self.csvCases / 3 {
            var random = SeededGenerator(seed: UInt64(index), words: ["csv", "\(shard)"])
            let bytes = Mutation.mutate(corpus[index % corpus.count], using: &random)
            let whole = Self.read([bytes])
            faults += whole.count { $0.fault != nil }
            #expect(whole.map(\.line) == whole.map(\.line).sorted(), "case \(shard)/\(index)")
            // Where a file is cut into pieces must not matter.
            let cut = bytes.isEmpty ? 0 : Int.random(in: 0..<bytes.count, using: &random)
            let inPieces = Self.read([Array(bytes[..<cut]), Array(bytes[cut...])])
            #expect(inPieces == whole, "case \(shard)/\(index)")
        }
        #expect(faults > 100)
    }

    private static func read(_ pieces: [[UInt8]]) -> [CSVReader.Record] {
        var reader = CSVReader()
        var records: [CSVReader.Record] = []
        for piece in pieces { records += reader.read(piece) }
        while let last = reader.finish() { records.append(last) }
        return records
    }
}
