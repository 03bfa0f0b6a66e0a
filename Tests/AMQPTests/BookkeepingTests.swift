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

    @Test("what is settled twice is left out the second time, and what is held is counted")
    func settledTwice() {
        var tags = UnackedTags()
        for tag in UInt64(1)...5 { tags.handedOut(tag) }
        #expect(tags.count == 5)
        self.expect(&tags, settling: [2, 2, 4], multipleUpTo: nil, single: [2, 4])
        self.expect(&tags, settling: [2, 1], multipleUpTo: 1, single: [])
        let again = [tags.settle(1), tags.settle(4)]
        #expect(again == [false, false])
        #expect(tags.count == 2)
        let once = tags.settle(3)
        #expect(once)
        self.expect(&tags, settling: [1, 2, 3, 4, 5], multipleUpTo: 5, single: [])
        #expect(tags.count == 0)
    }

    @Test("of messages under way when the broker refuses one, only the last surely did not arrive")
    func refusedOne() async {
        func failures(_ code: AMQPError.Code, _ count: Int) async -> [AMQPError] {
            var window = ConfirmWindow()
            let batch = Self.batch(count + 1)
            for index in 0...count { window.append(batch, index: index) }
            _ = window.confirmed(tag: 1, multiple: false, nack: false)
            window.refuseAll(AMQPError(code: code, replyCode: 404, message: "no"))
            #expect(window.count == 0)
            return await batch.wait().compactMap { outcome -> AMQPError? in
                if case .failure(let error) = outcome { error } else { nil }
            }
        }
        #expect(await failures(.notFound, 3).map(\.isOutcomeUnknown) == [true, true, false])
        #expect(await failures(.notFound, 3).map(\.code) == [.notFound, .notFound, .notFound])
        // One of them was too large, say: the others are not.
        #expect(await failures(.preconditionFailed, 2).map(\.code) == [.channelClosed, .channelClosed])
        #expect(await failures(.preconditionFailed, 1).map(\.code) == [.preconditionFailed])
    }

    @Test("a message for which nobody waits any more takes no room, and its confirm may come late")
    func released() {
        var window = ConfirmWindow()
        let gone = Self.batch(1)
        let unconfirmed = PublishBatch(gone.publications, deadline: .now + .seconds(5), isDisposable: true)
        let good = PublishBatch(gone.publications, deadline: .now + .seconds(60))
        for batch in [gone, unconfirmed, good] { window.append(batch, index: 0) }
        #expect(window.waiting == 3)
        gone.cancel()
        window.release(now: .now)
        #expect(window.waiting == 2)
        window.release(now: .now + .seconds(10))
        #expect(window.waiting == 1)
        _ = window.confirmed(tag: 3, multiple: false, nack: false)
        #expect(window.waiting == 0)
        #expect(window.count == 3)
        #expect(!window.isStuck(for: .seconds(30), now: .now))
        #expect(window.isStuck(for: .seconds(30), now: .now + .seconds(40)))
        _ = window.confirmed(tag: 2, multiple: true, nack: false)
        #expect(window.count == 0)
        #expect(window.waiting == 0)
    }

    @Test("what was never written has not arrived, whatever became of the connection")
    func unwritten() async {
        let batch = Self.batch(4)
        #expect(batch.begins(0))
        #expect(batch.begins(1))
        batch.settle(0, .success(()))
        batch.settleAll(AMQPError(code: .connectionLost, message: "gone", isOutcomeUnknown: true))
        let unknown = await batch.wait().map { outcome -> Bool? in
            if case .failure(let error) = outcome { error.isOutcomeUnknown } else { nil }
        }
        #expect(unknown == [nil, true, false, false])
        #expect(!batch.begins(2), "who was told that it did not arrive must be right")
    }

    @Test("channel numbers are taken lowest first, given back, and end")
    func channelNumbers() {
        func take(_ count: Int, _ numbers: inout ChannelNumbers) -> [UInt16?] {
            var taken: [UInt16?] = []
            for _ in 0..<count { taken.append(numbers.take()) }
            return taken
        }
        var numbers = ChannelNumbers(limit: 3)
        #expect(take(4, &numbers) == [1, 2, 3, nil])
        numbers.giveBack(2)
        numbers.giveBack(2)
        #expect(take(2, &numbers) == [2, nil])
        var all = ChannelNumbers(limit: 0)
        #expect(take(65_536, &all) == (UInt16(1)...UInt16.max).map { $0 } + [nil])
    }

    @Test("the pause grows with each failure, and with each connection that breaks soon; health forgives")
    func backoff() {
        var backoff = Backoff(nodes: 2)
        var limits: [Duration] = []
        for _ in 0..<6 {
            backoff.lost(after: .milliseconds(10))
            limits.append(backoff.limit)
        }
        #expect(limits == [100, 100, 200, 200, 400, 400].map { .milliseconds($0) })
        for _ in 0..<20 { backoff.failed() }
        #expect(backoff.limit == .seconds(10))
        backoff.lost(after: .seconds(60))
        #expect(backoff.limit == .milliseconds(100))
    }
}
