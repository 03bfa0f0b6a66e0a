// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Metrics
import Observability

/// The Dialer's figures.
struct DialerMetrics: Sendable {
    let live = Gauge(label: "call_scheduler_dialer_live_calls")
    let limit = Gauge(label: "call_scheduler_dialer_call_limit")
    let breakerOpen = Gauge(label: "call_scheduler_dialer_breaker_open")
    let claimToPlaced = Timer(label: "call_scheduler_dialer_claim_to_placed_seconds")
    let dueToPlaced = Timer(label: "call_scheduler_dialer_due_to_placed_seconds")
    let adopted = Counter(label: "call_scheduler_dialer_adopted_total")
    let stale = Counter(label: "call_scheduler_dialer_stale_total")
    let poison = Counter(label: "call_scheduler_dialer_poison_total")
    let putAside = Counter(label: "call_scheduler_dialer_put_aside_total")
    let lost = Counter(label: "call_scheduler_dialer_lost_total")
    let reportsRepeated = Counter(label: "call_scheduler_dialer_reports_repeated_total")
    let canceled = Counter(label: "call_scheduler_dialer_canceled_total")
    let placeDuration = Timer(label: "call_scheduler_dialer_place_duration_seconds")

    private let placements = LabeledCounters(label: "call_scheduler_dialer_placements_total", dimension: "result")
    private let refusals = LabeledCounters(label: "call_scheduler_dialer_not_allowed_total", dimension: "reason")

    func placement(_ result: String) { self.placements[result].increment() }

    func notAllowed(_ reason: String) { self.refusals[reason].increment() }
}
