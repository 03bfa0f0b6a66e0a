// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import Logging
import Metrics
import Observability
import Telephony

/// Calls that the provider has queued or that ring, and that must not: paused, excluded, or the window has closed.
extension Dialer {
    /// So many are canceled at once.
    private static let cancelsAtOnce = 100
    /// A request that takes longer is given up and repeated: cancelling twice is harmless.
    private static let cancelLimit = Duration.seconds(5)
    /// How often calls are looked at that are old enough to have been answered long ago.
    private static let oldCallsInterval = Duration.seconds(10)

    /// A loop of its own: neither many calls to cancel nor a provider that hangs keep held calls from being settled.
    func watchForbidden() async {
        let room = CallSlots(capacity: Self.cancelsAtOnce)
        var nextLookAtOldCalls = self.clock.now()
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                let now = self.clock.now()
                var callIDs = self.held.maybeUnanswered(now: now)
                if now >= nextLookAtOldCalls {
                    // A provider's own queue may be long.
                    nextLookAtOldCalls = now + Self.oldCallsInterval
                    callIDs = self.held.callIDs
                }
                do {
                    for callID in try await self.store.callsToCancel(among: callIDs) {
                        guard let id = self.held.beginCancel(callID, now: now, again: Self.cancelLimit * 2) else {
                            continue
                        }
                        group.addTask { await self.cancel(callID, id: id, room: room) }
                    }
                } catch {
                    self.logger.warning(
                        "Calls that must not ring cannot be looked for",
                        metadata: .keys([.error: "\(error)"])
                    )
                }
                try? await self.clock.sleep(for: .milliseconds(500))
            }
            room.drain()
        }
    }

    private func cancel(_ callID: UUID, id: String, room: CallSlots) async {
        guard await room.acquire(callID) == .granted else { return }
        defer { room.release(callID) }
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await self.provider.hangUp(id: id, onlyIfNotAnswered: true) }
                group.addTask {
                    try await self.clock.sleep(for: Self.cancelLimit)
                    throw TelephonyError(code: .providerDown, message: "no answer within \(Self.cancelLimit)")
                }
                defer { group.cancelAll() }
                try await group.next()
            }
            self.metrics.canceled.increment()
            // Should the callback be lost, the provider tells.
            self.held.update(callID) { call in
                if call.report == nil { call.nextCheck = min(call.nextCheck, self.clock.now() + .seconds(5)) }
            }
        } catch {
            guard !Task.isCancelled else { return }
            self.logger.warning(
                "A call that must not ring could not be canceled and is tried again",
                metadata: .keys([.callID: callID.lowercased, .error: "\(error)"])
            )
            self.held.update(callID) { $0.nextCancel = self.clock.now() + .seconds(1) }
        }
    }
}
