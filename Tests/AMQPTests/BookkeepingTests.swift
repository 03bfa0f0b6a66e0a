// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import AMQP

@Suite(.timeLimit(.minutes(20)))
struct BookkeepingTests {
    private static func batch(_ count: Int, key: String = "q") -> PublishBatch {
        PublishBatch(
            (0..<count).map { _ in AMQPPublication(message: AMQPMessage(body: []), exchange: "", routingKey: key) },
            deadline: .now
        )
    }

    private static func codes(_ batch: PublishBatch) async -> [String] {
        await batch.wait().map { outcome in
            switch outcome {
            case .success: "ok"
            case .failure(let error): error.code.description
            }
        }
    }

    @Test("confirms may come in any order and for ranges")
    func confirms() async {
        var window = ConfirmWindow()
        let batch = Self.batch(6)
        for index in 0..<6 { window.append(batch, index: index) }
        let answer1 = window.confirmed(tag: 3, multiple: false, nack: false)
        #expect(answer1)
        let answer2 = window.confirmed(tag: 5, multiple: false, nack: true)
        #expect(answer2)
        #expect(window.count == 6)
        let answer3 = window.confirmed(tag: 4, multiple: true, nack: false)
        #expect(answer3)
        #expect(window.count == 1)
        let answer4 = window.confirmed(tag: 2, multiple: false, nack: true)
        #expect(answer4, "a repeated confirm changes nothing")
        let answer5 = window.confirmed(tag: 7, multiple: false, nack: false)
        #expect(!answer5, "a tag that was never handed out")
        window.failAll(AMQPError(code: .connectionLost, message: "gone"))
        #expect(await Self.codes(batch) == ["ok", "ok", "ok", "ok", "nacked", "connection_lost"])
    }

    @Test("a place is refused while it takes nothing, whatever others take")
    func refusals() {
        var window = ConfirmWindow()
        let (deaf, good) = (Self.batch(2, key: "deaf"), Self.batch(1))
        window.append(deaf, index: 0)
        window.append(good, index: 0)
        window.append(deaf, index: 1)
        _ = window.confirmed(tag: 1, multiple: false, nack: true)
        _ = window.confirmed(tag: 2, multiple: false, nack: false)
        #expect(window.isRefused(for: .seconds(1), now: .now + .seconds(2)))
        #expect(!window.isRefused(for: .seconds(1)))
        _ = window.confirmed(tag: 3, multiple: false, nack: false)
        #expect(!window.isRefused(for: .seconds(1), now: .now + .seconds(2)))
    }

    @Test("a return fails its own message although the broker acks it")
    func returns() async {
        var window = ConfirmWindow()
        let good = Self.batch(1)
        let bad = Self.batch(2, key: "none")
        window.append(bad, index: 0)
        window.append(good, index: 0)
        window.append(bad, index: 1)
        for _ in 0..<2 {
            window.returned(
                exchange: "",
                routingKey: "none",
                messageID: nil,
                error: AMQPError(code: .returned, message: "no route")
            )
        }
        let answer6 = window.confirmed(tag: 3, multiple: true, nack: false)
        #expect(answer6)
        #expect(await Self.codes(good) == ["ok"])
        #expect(await Self.codes(bad) == ["returned", "returned"])
    }

    @Test("a whole prefix of unacked deliveries is acked at once, the others one by one")
    func acks() {
        var tags = UnackedTags()
        self.expect(&tags, settling: [1, 2, 3], multipleUpTo: 3, single: [])
        self.expect(&tags, settling: [5, 7], multipleUpTo: nil, single: [5, 7])
        self.expect(&tags, settling: [4, 6, 9], multipleUpTo: 6, single: [9])
        self.expect(&tags, settling: [8], multipleUpTo: 8, single: [])
        self.expect(&tags, settling: [10, 11], multipleUpTo: 11, single: [])
    }

    private func expect(_ tags: inout UnackedTags, settling batch: [UInt64], multipleUpTo: UInt64?, single: [UInt64]) {
        let answer = tags.settle(batch)
        #expect(answer.multipleUpTo == multipleUpTo)
        #expect(answer.single == single)
    }
}
