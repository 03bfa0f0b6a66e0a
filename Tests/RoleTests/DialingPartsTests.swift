// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestBasics
import Testing

@testable import Dialing

struct CircuitBreakerTests {
    private static let start = ContinuousClock.now

    @Test("it opens when half of the last answers failed, probes once, and closes or opens by that one call")
    func life() {
        var breaker = CircuitBreaker(threshold: 3, pause: .seconds(10))
        for _ in 0..<2 { breaker.failed(now: Self.start) }
        #expect(breaker.ask(now: Self.start) == .granted)
        breaker.failed(now: Self.start)
        #expect(breaker.ask(now: Self.start) == .wait(until: Self.start + .seconds(10)))
        #expect(breaker.ask(now: Self.start + .seconds(10)) == .granted)
        #expect(breaker.ask(now: Self.start + .seconds(10)) == .wait(until: nil), "one probe at a time")
        breaker.failed(now: Self.start + .seconds(11))
        #expect(breaker.ask(now: Self.start + .seconds(20)) == .wait(until: Self.start + .seconds(21)))
        #expect(breaker.ask(now: Self.start + .seconds(21)) == .granted)
        breaker.unused(now: Self.start + .seconds(21))
        #expect(breaker.ask(now: Self.start + .seconds(21)) == .granted, "an unused probe is probed again")
        breaker.succeeded()
        #expect(breaker.ask(now: Self.start + .seconds(21)) == .granted)
        #expect(breaker.state == .closed)
    }

    @Test("a few failures among many successes leave it closed")
    func mix() {
        var breaker = CircuitBreaker(threshold: 3, pause: .seconds(10))
        for index in 0..<300 {
            if index.isMultiple(of: 3) { breaker.failed(now: Self.start) } else { breaker.succeeded() }
            if index > 5 { #expect(breaker.state == .closed, "after \(index)") }
        }
    }

    @Test("whatever happens, an open breaker grants one probe per pause at most", arguments: 0..<50)
    func property(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var breaker = CircuitBreaker(threshold: Int.random(in: 1...10, using: &random), pause: .seconds(5))
        var now = Self.start
        var probes = 0
        for _ in 0..<500 {
            now += .milliseconds(Int.random(in: 0...2000, using: &random))
            let before = breaker.state
            switch Int.random(in: 0..<4, using: &random) {
            case 0:
                let isGranted = breaker.ask(now: now) == .granted
                switch before {
                case .closed: #expect(isGranted, "seed \(seed)")
                case .open(let until):
                    #expect(isGranted == (now >= until), "seed \(seed)")
                    if isGranted { probes += 1 }
                case .probing: #expect(!isGranted, "seed \(seed)")
                }
            case 1: breaker.failed(now: now)
            case 2: breaker.succeeded()
            default: breaker.unused(now: now)
            }
            if case .open(let until) = breaker.state { #expect(until <= now + .seconds(5), "seed \(seed)") }
        }
        #expect(probes < 500)
    }
}

@Suite(.timeLimit(.minutes(20)))
struct CallSlotsTests {
    @Test("never more than the capacity is taken, and everybody gets a turn", arguments: 0..<20)
    func property(seed: UInt64) async throws {
        var random = SeededRandom(seed: seed)
        let capacity = Int.random(in: 1...8, using: &random)
        let slots = CallSlots(capacity: capacity)
        let calls = (0..<60).map { _ in UUID() }
        let pauses = calls.map { _ in Int.random(in: 0...3, using: &random) }
        let served = await withTaskGroup(of: Bool.self) { group in
            for (call, pause) in zip(calls, pauses) {
                group.addTask {
                    guard await slots.acquire(call) == .granted else { return false }
                    let isWithin = slots.heldCount <= capacity
                    try? await Task.sleep(for: .milliseconds(pause))
                    slots.release(call)
                    return isWithin
                }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(served == calls.count, "seed \(seed)")
        #expect(slots.heldCount == 0)
    }

    @Test("a call that holds a slot is not given another, and a drain sends everybody in line away")
    func duplicatesAndDrain() async throws {
        let slots = CallSlots(capacity: 1)
        let call = UUID()
        #expect(await slots.acquire(call) == .granted)
        #expect(await slots.acquire(call) == .alreadyHeld)
        let waiting = Task { await slots.acquire(UUID()) }
        try await eventually("another stands in line") { slots.waitingCount == 1 }
        slots.drain()
        #expect(await waiting.value == .draining)
        #expect(await slots.acquire(UUID()) == .draining)
        #expect(slots.heldCount == 1)
    }

    @Test("calls found at the start take slots beyond the capacity, and nobody new comes in until they have gone")
    func seeded() async throws {
        let slots = CallSlots(capacity: 2)
        let old = (0..<3).map { _ in UUID() }
        for call in old { slots.seed(call) }
        let waiting = Task { await slots.acquire(UUID()) }
        try await eventually("another stands in line") { slots.waitingCount == 1 }
        slots.release(old[0])
        #expect(slots.heldCount == 2 && slots.waitingCount == 1)
        slots.release(old[1])
        #expect(await waiting.value == .granted)
        #expect(slots.heldCount == 2)
    }
}
