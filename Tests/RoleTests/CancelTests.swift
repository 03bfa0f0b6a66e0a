// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Dialing
import Foundation
import NIOConcurrencyHelpers
import Selection
import Telephony
import TestBasics
import TestSupport
import Testing

/// A provider that takes its time to cancel calls, and some requests for ever.
private final class SlowCanceler: TelephonyProvider {
    let name = "scripted"
    let calls = ScriptedProvider()
    private let onHangUp: @Sendable (String) async -> Void
    private let running = NIOLockedValueBox((now: 0, most: 0))

    init(onHangUp: @escaping @Sendable (String) async -> Void) { self.onHangUp = onHangUp }

    var mostAtOnce: Int { self.running.withLockedValue(\.most) }

    func place(_ request: CallRequest) async throws(TelephonyError) -> PlacedCall {
        try await self.calls.place(request)
    }
    func call(id: String) async throws(TelephonyError) -> ProviderCall? {
        ProviderCall(providerCallID: id, status: .ringing, rawStatus: "ringing")
    }
    func findCalls(_ query: CallQuery) async throws(TelephonyError) -> [ProviderCall] { [] }
    func listCalls(
        from callerID: PhoneNumber,
        acceptedAfter: Date,
        _ handle: ([ListedCall]) async throws -> Void
    ) async throws {}
    func hangUp(id: String, onlyIfNotAnswered: Bool) async throws(TelephonyError) {
        self.running.withLockedValue { running in
            running.now += 1
            running.most = max(running.most, running.now)
        }
        await self.onHangUp(id)
        self.running.withLockedValue { $0.now -= 1 }
        try await self.calls.hangUp(id: id, onlyIfNotAnswered: onlyIfNotAnswered)
    }
    func parseCallback(_ request: CallbackRequest) throws(CallbackError) -> CallEvent { throw .forged }
    func checkCredentials() async throws(TelephonyError) {}
}

@Suite(.timeLimit(.minutes(20)))
struct CancelTests {
    @Test("many calls are canceled at once but not all, and requests that hang hold up neither the others nor the ends")
    func parallel() async throws {
        try await House.run { house in
            let count = 120
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: count)
            _ = try await house.selector { $0.queueDepth = 500 }.pass()
            let hanging = NIOLockedValueBox<Set<String>>([])
            let provider = SlowCanceler { id in
                // The first twenty never come back; whoever gives one up is told.
                let hangs = hanging.withLockedValue { hanging in
                    if hanging.count < 20 { hanging.insert(id) }
                    return hanging.contains(id)
                }
                try? await Task.sleep(for: hangs ? .seconds(600) : .milliseconds(20))
            }
            try await house.withRecorder {
                try await house.withDialer(provider: provider) {
                    $0.maximumConcurrentCalls = count
                } _: { dialer in
                    try await eventually(
                        "all are placed",
                        of: { try await house.count("status = 'placed'", in: "call_attempts") },
                        { $0 == count }
                    )
                    let ringing = provider.calls.placements.map(\.callID)
                    for callID in ringing { try await house.report(.ringing, callID) }
                    try await eventually(
                        "all ring",
                        of: { try await house.count("status = 'ringing'", in: "call_attempts") },
                        { $0 == count }
                    )
                    _ = try await house.scratch.store.pauseAllCampaigns(reason: "stop", actor: "test")
                    try await eventually(
                        "all that do not hang are canceled",
                        of: { Set(provider.calls.hangUps).count },
                        { $0 >= count - 20 }
                    )
                    // Settled by the loops that a hung request does not hold up.
                    for callID in ringing { try await house.report(.canceled, callID) }
                    try await eventually("all slots are free", of: { dialer.heldCalls }, { $0 == 0 })
                }
            }
            #expect((21...100).contains(provider.mostAtOnce))
            #expect(try await house.count("state = 'pending' and attempts_count = 0") == count)
            #expect(try await house.count("counted", in: "call_attempts") == 0)
        }
    }

    @Test("within a second of its wish, whoever wishes no call rings no more", arguments: ["excluded", "paused"])
    func withinASecond(wish: String) async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1)
            _ = try await house.selector().pass()
            let provider = ScriptedProvider()
            let clock = DialerTestClock()
            try await house.withDialer(provider: provider, clock: clock) { _ in
                try await eventually("it is placed") {
                    clock.advance(by: .milliseconds(50))
                    return try await house.count("status = 'placed'", in: "call_attempts") == 1
                }
                if wish == "excluded" {
                    try await house.scratch.store.addExclusions([Fixtures.number(0)], reason: nil, source: "manual")
                } else {
                    _ = try await house.scratch.store.pauseAllCampaigns(reason: nil, actor: "test")
                }
                // A look that had begun may have seen nothing; the one after it sees it.
                for _ in 0..<2 {
                    try await eventually("the three loops that watch, and the one that drains, wait") {
                        clock.sleepers >= 4
                    }
                    clock.advance(by: .milliseconds(500))
                }
                try await eventually("it is canceled") { provider.hangUps.count == 1 }
            }
        }
    }

    @Test("a call that one dialer has canceled and another adopts is not charged either")
    func adopted() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1)
            _ = try await house.selector().pass()
            let first = ScriptedProvider()
            try await house.withDialer("d1", provider: first) { _ in
                try await eventually("it is placed") {
                    try await house.count("status = 'placed'", in: "call_attempts") == 1
                }
                _ = try await house.scratch.store.pauseAllCampaigns(reason: "stop", actor: "test")
                try await eventually("it is canceled") { !first.hangUps.isEmpty }
            }
            // Nobody was there when the provider told of it: the second dialer asks.
            let second = ScriptedProvider()
            let callID = first.placements[0].callID
            second.know(
                ProviderCall(providerCallID: "CA" + callID.lowercased, status: .canceled, rawStatus: "canceled")
            )
            let clock = DialerTestClock()
            try await house.withRecorder {
                try await house.withDialer("d2", provider: second, clock: clock) { dialer in
                    try await eventually("it is over") {
                        clock.advance(by: .milliseconds(500))
                        return try await house.count("outcome = 'failed' and not counted", in: "call_attempts") == 1
                    }
                    try await eventually("its slot is free") {
                        clock.advance(by: .milliseconds(500))
                        return dialer.heldCalls == 0
                    }
                }
            }
            #expect(second.placements.isEmpty)
            #expect(try await house.count("state = 'pending' and attempts_count = 0") == 1)
        }
    }
}
