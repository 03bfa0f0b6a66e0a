// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import DequeModule
import Foundation
import NIOConcurrencyHelpers

/// The cap on live calls: slots keyed by `call_id`, which outlive connections and subscriptions.
///
/// Prefetch alone is not the cap: after a lost connection the broker hands out a full prefetch again while calls run.
final class CallSlots: Sendable {
    /// What came of asking for a slot.
    enum Grant: Sendable, Equatable {
        /// The caller has a slot now, and must release it.
        case granted
        /// The call has a slot already.
        case alreadyHeld
        /// The process drains; nothing new is taken.
        case draining
    }

    private struct Waiter {
        let callID: UUID
        let continuation: CheckedContinuation<Grant, Never>
    }

    private struct State {
        var held: Set<UUID> = []
        var waiters: Deque<Waiter> = []
        var isDraining = false
    }

    private let capacity: Int
    private let state = NIOLockedValueBox(State())

    init(capacity: Int) {
        self.capacity = capacity
    }

    /// How many slots are taken.
    var heldCount: Int { self.state.withLockedValue { $0.held.count } }

    /// How many stand in line.
    var waitingCount: Int { self.state.withLockedValue { $0.waiters.count } }

    /// Takes a slot for a call, waiting in line while all are taken.
    func acquire(_ callID: UUID) async -> Grant {
        await withCheckedContinuation { continuation in
            let grant = self.state.withLockedValue { state -> Grant? in
                if state.held.contains(callID) { return .alreadyHeld }
                if state.isDraining { return .draining }
                guard state.held.count < self.capacity else {
                    state.waiters.append(Waiter(callID: callID, continuation: continuation))
                    return nil
                }
                state.held.insert(callID)
                return .granted
            }
            if let grant { continuation.resume(returning: grant) }
        }
    }

    /// Takes a slot for a call that is live already, even beyond the capacity: it cannot be wished away.
    func seed(_ callID: UUID) {
        self.state.withLockedValue { _ = $0.held.insert(callID) }
    }

    /// Frees a call's slot, for the first in line.
    func release(_ callID: UUID) { self.release([callID]) }

    /// Frees calls' slots, for the first in line.
    func release(_ callIDs: [UUID]) {
        let resumed = self.state.withLockedValue { state -> [(Waiter, Grant)] in
            for callID in callIDs { state.held.remove(callID) }
            var resumed: [(Waiter, Grant)] = []
            while state.held.count < self.capacity, let waiter = state.waiters.popFirst() {
                let isNew = state.held.insert(waiter.callID).inserted
                resumed.append((waiter, isNew ? .granted : .alreadyHeld))
            }
            return resumed
        }
        for (waiter, grant) in resumed { waiter.continuation.resume(returning: grant) }
    }

    /// Sends everybody in line away, now and from now on.
    func drain() {
        let waiters = self.state.withLockedValue { state in
            state.isDraining = true
            defer { state.waiters.removeAll() }
            return state.waiters
        }
        for waiter in waiters { waiter.continuation.resume(returning: .draining) }
    }
}
