// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import TestBasics
import Testing

@testable import Dialing

@Suite(.timeLimit(.minutes(20)))
struct PaceTests {
    private static let start = ContinuousClock.now

    @Test("whatever is given back, no two calls leave within the interval, and none in a pause", arguments: 0..<200)
    func property(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let rate: Double = [0.5, 1, 2.5, 7, 20].randomElement(using: &random) ?? 1
        let spacing = Duration.nanoseconds(Int64(1e9 / rate))
        var now = Self.start
        var pace = Pace(rate: rate, now: now)
        var turns: [Pace.Turn] = []
        var pausedUntil = now
        var departures: [ContinuousClock.Instant] = []
        for _ in 0..<400 {
            now += .milliseconds(Int.random(in: 0...400, using: &random))
            switch Int.random(in: 0..<8, using: &random) {
            case 0..<4:
                switch pace.take(now: now) {
                case .granted(let turn):
                    #expect(now >= pausedUntil, "seed \(seed)")
                    turns.append(turn)
                case .wait(let until): #expect(until > now, "seed \(seed)")
                }
            case 4..<6 where !turns.isEmpty:
                turns.remove(at: Int.random(in: 0..<turns.count, using: &random))
                if let moment = pace.depart(now: now, before: now + .seconds(1)) {
                    #expect(max(moment, now) < now + .seconds(1) && moment >= pausedUntil, "seed \(seed)")
                    departures.append(max(moment, now))
                }
            case 6 where !turns.isEmpty:
                pace.giveBack(turns.remove(at: Int.random(in: 0..<turns.count, using: &random)))
            case 7 where Int.random(in: 0..<10, using: &random) == 0:
                let pause = Duration.milliseconds(Int.random(in: 0...5000, using: &random))
                pace.pause(for: pause, now: now)
                pausedUntil = max(pausedUntil, now + pause)
                #expect(pace.isPaused(now: now) == (pausedUntil > now), "seed \(seed)")
            default: break
            }
        }
        #expect(departures.count > 2, "seed \(seed)")
        for (earlier, later) in zip(departures, departures.dropFirst()) {
            #expect(later - earlier >= spacing, "seed \(seed)")
        }
    }

    @Test("turns of which no calls come cost no time")
    func givenBack() {
        var pace = Pace(rate: 1, now: Self.start)
        for _ in 0..<10 {
            guard case .granted(let turn) = pace.take(now: Self.start) else {
                Issue.record("a turn that was given back is not given again")
                return
            }
            pace.giveBack(turn)
        }
        guard case .granted = pace.take(now: Self.start) else {
            Issue.record("the first call waits")
            return
        }
        #expect(pace.take(now: Self.start) == .wait(until: Self.start + .seconds(1)))
    }

    @Test("at a rate beyond what timers can tell apart, lateness is caught up, and the rate holds all the same")
    func fast() {
        var now = Self.start
        var pace = Pace(rate: 1000, now: now)
        var turns = 0
        for _ in 0..<100 {
            now += .milliseconds(20)
            while case .granted = pace.take(now: now) {
                #expect(pace.depart(now: now, before: now + .seconds(1)) != nil)
                turns += 1
            }
        }
        #expect((1950...2050).contains(turns))
    }

    @Test("ten stale requests before ten good ones, all in line: the good ones leave an interval apart")
    func staleOnes() async throws {
        let clock = DialerTestClock()
        let bucket = TokenBucket(rate: 1, clock: clock.dialerClock)
        let start = clock.now
        let departures = NIOLockedValueBox<[ContinuousClock.Instant]>([])
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<20 {
                group.addTask {
                    guard let turn = await bucket.turn() else { return }
                    if index < 10 {
                        bucket.giveBack(turn)
                    } else if await bucket.mayLeave(before: clock.now + .seconds(1)) {
                        departures.withLockedValue { $0.append(clock.now) }
                    }
                }
            }
            // The time moves only when everybody waits for it.
            try await eventually("ten calls have left") {
                if let wake = clock.nextWake { clock.advance(to: wake) }
                return departures.withLockedValue { $0.count } == 10
            }
            try await group.waitForAll()
        }
        let moments = departures.withLockedValue(\.self)
        for (index, moment) in moments.enumerated() { #expect(moment >= start + .seconds(index)) }
        for (earlier, later) in zip(moments, moments.dropFirst()) { #expect(later - earlier >= .seconds(1)) }
    }

    @Test("a pause holds those who are in line already, and what is given back in it does not shorten it")
    func pause() async throws {
        let clock = DialerTestClock()
        let bucket = TokenBucket(rate: 10, clock: clock.dialerClock)
        let start = clock.now
        let first = try #require(await bucket.turn())
        let waiting = Task {
            let turn = await bucket.turn()
            return (turn != nil, clock.now)
        }
        try await eventually("the second waits") { clock.nextWake != nil }
        bucket.pause(for: .seconds(30))
        bucket.giveBack(first)
        #expect(await !bucket.mayLeave(before: clock.now + .seconds(1)), "what has its answer is held back too")
        bucket.pause(for: .seconds(1))
        try await eventually("its turn comes") {
            if let wake = clock.nextWake { clock.advance(to: wake) }
            return clock.now >= start + .seconds(30)
        }
        let (isGranted, moment) = await waiting.value
        #expect(isGranted && moment >= start + .seconds(30))
    }

    @Test("a drain sends everybody in line away")
    func drain() async throws {
        let clock = DialerTestClock()
        let bucket = TokenBucket(rate: 1, clock: clock.dialerClock)
        #expect(await bucket.turn() != nil)
        let waiting = Task { await bucket.turn() }
        try await eventually("it waits") { clock.nextWake != nil }
        bucket.drain()
        #expect(await waiting.value == nil)
        #expect(await bucket.turn() == nil)
    }
}

@Suite(.timeLimit(.minutes(20)))
struct LatePermissionTests {
    @Test("batches become smaller while their results come too late, down to one, and large again afterwards")
    func batches() async throws {
        let clock = DialerTestClock()
        let isSlow = NIOLockedValueBox(true)
        let batcher = Batcher<Int, Int>(maximum: 64, patience: .milliseconds(500), now: { clock.now }) { inputs in
            if isSlow.withLockedValue(\.self) { clock.advance(to: clock.now + .seconds(1)) }
            return inputs
        }
        for _ in 0..<10 { _ = try await batcher.submit(1) }
        try await eventually("one at a time") { batcher.limit == 1 }
        isSlow.withLockedValue { $0 = false }
        for _ in 0..<10 {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<200 { group.addTask { _ = try await batcher.submit(index) } }
                try await group.waitForAll()
            }
        }
        try await eventually("large again") { batcher.limit == 64 }
    }

    @Test("the pause between probes grows while they fail, and begins anew after one that does not")
    func growingPause() {
        let start = ContinuousClock.now
        var breaker = CircuitBreaker(threshold: 1, pause: .seconds(1), longestPause: .seconds(60))
        var now = start
        var pauses: [Duration] = []
        breaker.failed(now: now)
        for _ in 0..<9 {
            guard case .open(let until) = breaker.state else { break }
            pauses.append(until - now)
            now = until
            #expect(breaker.ask(now: now) == .granted)
            breaker.failed(now: now)
        }
        #expect(pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60].map { Duration.seconds($0) })
        #expect(breaker.ask(now: now + .seconds(60)) == .granted)
        breaker.succeeded()
        breaker.failed(now: now)
        #expect(breaker.state == .open(until: now + .seconds(1)))
    }
}
