// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import Foundation
import NIOConcurrencyHelpers

/// The calls that a dialer watches. A struct each and one loop for all: no task sleeps for a held call.
final class HeldCalls: Sendable {
    /// On the heap one by one: a table that grows doubles, and is a third empty.
    private indirect enum Entry: Sendable {
        case held(HeldCall)

        var call: HeldCall {
            switch self {
            case .held(let call): call
            }
        }
    }

    private let calls = NIOLockedValueBox<[UUID: Entry]>([:])

    var count: Int { self.calls.withLockedValue { $0.count } }

    /// How many are at the provider and not over, as far as is known.
    var liveCount: Int { self.calls.withLockedValue { $0.values.count { $0.call.isLive } } }

    var callIDs: [UUID] { self.calls.withLockedValue { Array($0.keys) } }

    func insert(_ call: HeldCall) {
        self.calls.withLockedValue { $0[call.callID] = .held(call) }
    }

    func remove(_ callID: UUID) -> HeldCall? {
        self.calls.withLockedValue { $0.removeValue(forKey: callID)?.call }
    }

    /// Removes those that are held.
    func remove(_ callIDs: [UUID]) -> [HeldCall] {
        self.calls.withLockedValue { calls in callIDs.compactMap { calls.removeValue(forKey: $0)?.call } }
    }

    func update(_ callID: UUID, _ change: (inout HeldCall) -> Void) {
        self.calls.withLockedValue { calls in
            guard var call = calls[callID]?.call else { return }
            change(&call)
            calls[callID] = .held(call)
        }
    }

    /// Gives a held call its redelivered message.
    /// - Returns: What became of it.
    func attach(_ delivery: AMQPDelivery, to callID: UUID) -> Attachment {
        self.calls.withLockedValue { calls in
            guard var call = calls[callID]?.call else { return .notHeld }
            if let present = call.delivery, present.isValid { return .duplicate }
            call.delivery = delivery.withHeadersOnly
            calls[callID] = .held(call)
            return .attached
        }
    }

    /// What became of a redelivered message.
    enum Attachment: Sendable {
        case attached
        /// The call holds a valid message already; this one is spare.
        case duplicate
        case notHeld
    }

    /// The calls about which the provider should be asked now.
    func due(now: ContinuousClock.Instant) -> [HeldCall] {
        self.calls.withLockedValue { calls in calls.values.lazy.map(\.call).filter { $0.nextCheck <= now } }
    }

    /// The calls young enough to be still queued or ringing.
    func maybeUnanswered(now: ContinuousClock.Instant) -> [UUID] {
        self.calls.withLockedValue { calls in
            calls.values.lazy.map(\.call)
                .filter { $0.startedInstant + $0.ringTimeout + .seconds(120) > now }
                .map(\.callID)
        }
    }

    /// The message of a held call, when it has come.
    func delivery(of callID: UUID) -> AMQPDelivery? {
        self.calls.withLockedValue { $0[callID]?.call.delivery }
    }

    /// Notes that a call is being canceled.
    /// - Returns: The provider's id of it; nil when that is not known yet, or a cancel was noted a moment ago.
    func beginCancel(_ callID: UUID, now: ContinuousClock.Instant, again pause: Duration) -> String? {
        self.calls.withLockedValue { calls in
            guard var call = calls[callID]?.call, case .known(let id) = call.placement,
                call.nextCancel.map({ $0 <= now }) ?? true
            else { return nil }
            call.nextCancel = now + pause
            calls[callID] = .held(call)
            return id
        }
    }
}
