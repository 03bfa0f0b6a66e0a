// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Metrics
import Observability

/// The webhooks' figures.
struct WebhookMetrics: Sendable {
    /// What was done with a request.
    enum Result: String, CaseIterable {
        case accepted
        case unconfirmed
        case unrecorded
        case forged
        case malformed
        case unknownStatus = "unknown_status"
        case unauthorized
        case unknownCall = "unknown_call"
        case tooSlow = "too_slow"
        case tooLarge = "too_large"
        case limited
        case overloaded
    }

    let unexpectedForwarding = Counter(label: "call_scheduler_webhook_unexpected_forwarding_total")
    let lag = Timer(label: "call_scheduler_webhook_callback_lag_seconds")
    private let callbacks = LabeledCounters(
        label: "call_scheduler_webhook_callbacks_total",
        dimension: "result",
        values: Result.allCases.map(\.rawValue)
    )

    func count(_ result: Result) { self.callbacks[result.rawValue].increment() }
}
