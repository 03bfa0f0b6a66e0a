// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation
import TestBasics
import Testing

/// Reports merge to the same whatever their order, grouping and repetition. A failure names its seed.
struct MergePropertyTests {
    private static func events(using random: inout SeededRandom) -> [CallEvent] {
        let callIDs = (0..<3).map { _ in UUID() }
        return (0..<Int.random(in: 1...12, using: &random)).map { _ in
            CallEvent(
                callID: callIDs.randomElement(using: &random) ?? callIDs[0],
                providerCallID: [nil, "CA1", "CA2"].randomElement(using: &random) ?? nil,
                status: CallStatus.allCases.randomElement(using: &random) ?? .queued,
                occurredAt: Date(timeIntervalSince1970: Double(Int.random(in: 0...100, using: &random))),
                answeredBy: (AnsweredBy.allCases.map(Optional.some) + [nil]).randomElement(using: &random) ?? nil,
                errorCode: [nil, "sip_486", "lost"].randomElement(using: &random) ?? nil,
                rawStatus: [nil, "busy", "failed"].randomElement(using: &random) ?? nil
            )
        }
    }

    @Test("order and repetition do not matter", arguments: 0..<20)
    func order(shard: Int) {
        for index in 0..<100 {
            let seed = UInt64(shard * 100 + index)
            var random = SeededRandom(seed: seed)
            let events = Self.events(using: &random)
            let expected = CallReport.merge(events)
            let repeated = (events + events.shuffled(using: &random)).shuffled(using: &random)
            #expect(CallReport.merge(repeated) == expected, "seed \(seed)")
        }
    }

    @Test("a stronger report is never undone", arguments: 0..<20)
    func monotonic(shard: Int) {
        for index in 0..<100 {
            let seed = UInt64(shard * 100 + index)
            var random = SeededRandom(seed: seed)
            let events = Self.events(using: &random)
            for count in 1..<max(2, events.count) {
                let before = CallReport.merge(events.prefix(count))
                let after = CallReport.merge(events.prefix(count + 1))
                for report in before {
                    let later = after.first { $0.callID == report.callID }
                    #expect((later?.status.rank ?? 0) >= report.status.rank, "seed \(seed)")
                }
            }
        }
    }
}
