// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOConcurrencyHelpers

/// Places in the code at which a test may let the process die, as by `kill -9`: between any two steps of a call.
///
/// Armed by `CALL_SCHEDULER_FAIL_POINT=NAME=N`: the process ends when it comes to that place for the Nth time. Compiled
/// into debug builds only.
public enum FailPoint: String, Sendable, CaseIterable {
    /// The Selector has claimed contacts and published nothing yet.
    case selectorClaimed = "selector.claimed"
    /// The broker has confirmed the Selector's requests.
    case selectorPublished = "selector.published"
    /// The Dialer has a request, and no row yet.
    case dialerDelivered = "dialer.delivered"
    /// The attempt's row is committed, and the provider is not asked yet.
    case dialerCommitted = "dialer.committed"
    /// The provider has answered, and nothing of it is noted.
    case dialerAnswered = "dialer.answered"
    /// The provider's id is in the row.
    case dialerNoted = "dialer.noted"
    /// The provider refused, and the contact is not given back yet.
    case dialerRefused = "dialer.refused"
    /// The contact is given back, and the request is not dead-lettered yet.
    case dialerReverted = "dialer.reverted"
    /// The call is over, and the request is not acked yet.
    case dialerSettling = "dialer.settling"
    /// The Recorder has reports, and nothing of them is recorded.
    case recorderReceived = "recorder.received"
    /// The reports are recorded, and the survey events are not published.
    case recorderCommitted = "recorder.committed"
    /// The survey events are published, and the reports are not acked.
    case recorderPublished = "recorder.published"
    /// A callback is verified, and its event is not published.
    case webhooksVerified = "webhooks.verified"
    /// The broker has the event, and the provider has no answer.
    case webhooksPublished = "webhooks.published"

    /// The environment variable that arms a place.
    public static let variable = "CALL_SCHEDULER_FAIL_POINT"

    /// Dies here if this place is armed and the count is reached.
    @inline(__always)
    public func reach() {
        #if DEBUG
            Self.armed?.reach(self)
        #endif
    }

    #if DEBUG
        private static let armed = ArmedFailPoint(ProcessInfo.processInfo.environment[Self.variable])
    #endif
}

#if DEBUG
    private final class ArmedFailPoint: Sendable {
        private let point: FailPoint
        private let left: NIOLockedValueBox<Int>

        init?(_ text: String?) {
            let parts = (text ?? "").split(separator: "=")
            guard parts.count == 2, let point = FailPoint(rawValue: String(parts[0])), let count = Int(parts[1]) else {
                return nil
            }
            self.point = point
            self.left = NIOLockedValueBox(count)
        }

        func reach(_ point: FailPoint) {
            guard point == self.point else { return }
            let left = self.left.withLockedValue { left in
                left -= 1
                return left
            }
            if left <= 0 { kill(getpid(), SIGKILL) }
        }
    }
#endif
