// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallStore
import Metrics
import Observability
import Telephony

/// The Dialer's figures.
struct DialerMetrics: Sendable {
    let live: Gauge
    let held: Gauge
    let limit: Gauge
    let breakerOpen: Gauge
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

    private let placements: LabeledCounters
    private let refusals = LabeledCounters(
        label: "call_scheduler_dialer_not_allowed_total",
        dimension: "reason",
        values: CallStore.reasonsNotToCall + LeavingRefusal.allCases.map(\.rawValue)
    )

    /// Why a call that the database has allowed does not leave.
    enum LeavingRefusal: String, CaseIterable {
        case outdated = "permission_outdated"
        case heldBack = "held_back"
    }

    init(trunk: String) {
        let label = [("trunk", trunk)]
        self.live = Gauge(label: "call_scheduler_dialer_live_calls", dimensions: label)
        self.held = Gauge(label: "call_scheduler_dialer_held_calls", dimensions: label)
        self.limit = Gauge(label: "call_scheduler_dialer_call_limit", dimensions: label)
        self.breakerOpen = Gauge(label: "call_scheduler_dialer_breaker_open", dimensions: label)
        self.placements = LabeledCounters(
            label: "call_scheduler_dialer_placements_total",
            dimension: "result",
            values: [Self.accepted] + TelephonyError.Code.words,
            others: label
        )
    }

    private static let accepted = "accepted"

    func accepted() { self.placements[Self.accepted].increment() }

    func failed(_ code: TelephonyError.Code) { self.placements[code.description].increment() }

    func notAllowed(_ reason: String) { self.refusals[reason].increment() }
}
