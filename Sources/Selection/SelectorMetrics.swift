// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Metrics

/// The Selector's figures.
struct SelectorMetrics: Sendable {
    let claimed = Counter(label: "call_scheduler_selector_claimed_total")
    let published = Counter(label: "call_scheduler_selector_published_total")
    let publishFailed = Counter(label: "call_scheduler_selector_publish_failed_total")
    let leasesExpired = Counter(label: "call_scheduler_selector_leases_expired_total")
    let orphansRenewed = Counter(label: "call_scheduler_selector_orphans_renewed_total")
    let passes = Counter(label: "call_scheduler_selector_passes_total")
    let passesFailed = Counter(label: "call_scheduler_selector_passes_failed_total")
    let deadLetters = Gauge(label: "call_scheduler_selector_dead_letters_ready")
    let passDuration = Timer(label: "call_scheduler_selector_pass_duration_seconds")

    func queueReady(_ messages: Int, trunk: String) {
        Gauge(label: "call_scheduler_selector_queue_ready", dimensions: [("trunk", trunk)]).record(messages)
    }
}
