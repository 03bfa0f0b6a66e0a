// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallQueues
import CallStore
import Metrics
import Observability

/// The Selector's figures.
struct SelectorMetrics: Sendable {
    let claimed = Counter(label: "call_scheduler_selector_claimed_total")
    let published = Counter(label: "call_scheduler_selector_published_total")
    let publishFailed = Counter(label: "call_scheduler_selector_publish_failed_total")
    let leasesExpired = Counter(label: "call_scheduler_selector_leases_expired_total")
    let appointmentsMissed = Counter(label: "call_scheduler_selector_appointments_missed_total")
    let overduePolicies = Gauge(label: "call_scheduler_selector_policies_overdue")
    let orphansRenewed = Counter(label: "call_scheduler_selector_orphans_renewed_total")
    let passes = Counter(label: "call_scheduler_selector_passes_total")
    let passesFailed = Counter(label: "call_scheduler_selector_passes_failed_total")
    let confirmDuration = Timer(label: "call_scheduler_selector_confirm_duration_seconds")
    private let aside = LabeledCounters(
        label: "call_scheduler_selector_put_aside_total",
        dimension: "kind",
        values: CallStore.Fault.Kind.allCases.map(\.rawValue)
    )
    private let campaigns = BoundedLabels()
    let passDuration = Timer(label: "call_scheduler_selector_pass_duration_seconds")

    init() {
        self.aside([])
        for queue in CallTopology.deadLetterQueues { self.deadLetters(0, queue: queue) }
    }

    func deadLetters(_ messages: Int, queue: String) {
        Gauge(label: "call_scheduler_selector_dead_letters_ready", dimensions: [("queue", queue)]).record(messages)
    }

    /// - Parameters:
    ///   - trunk: A trunk.
    ///   - queue: Its queue; nil when it cannot be used.
    func standing(_ trunk: CallStore.TrunkFigures, _ queue: (messagesReady: Int, consumers: Int)?) {
        let label = [("trunk", trunk.name)]
        Gauge(label: "call_scheduler_selector_oldest_request_seconds", dimensions: label)
            .record(trunk.oldestClaimSeconds)
        let isPaused = trunk.isInUse && trunk.isPaused
        Gauge(label: "call_scheduler_selector_trunk_paused", dimensions: label).record(isPaused ? 1 : 0)
        guard let queue else { return }
        self.queueReady(queue.messagesReady, trunk: trunk.name)
        let isUnserved = trunk.isInUse && !trunk.isPaused && queue.consumers == 0
        Gauge(label: "call_scheduler_selector_trunk_without_dialers", dimensions: label).record(isUnserved ? 1 : 0)
    }

    func queueReady(_ messages: Int, trunk: String) {
        Gauge(label: "call_scheduler_selector_queue_ready", dimensions: [("trunk", trunk)]).record(messages)
    }

    func putAside(_ kind: CallStore.Fault.Kind) { self.aside[kind.rawValue].increment() }

    /// What gets no calls now, or not all, because something is wrong with it alone.
    func aside(_ faults: [CallStore.Fault]) {
        for kind in CallStore.Fault.Kind.allCases {
            Gauge(label: "call_scheduler_selector_aside", dimensions: [("kind", kind.rawValue)])
                .record(faults.count { $0.kind == kind })
        }
    }

    func claimed(_ contacts: Int, campaign: String) {
        self.claimed.increment(by: contacts)
        Counter(
            label: "call_scheduler_selector_campaign_claimed_total",
            dimensions: [("campaign", self.campaigns.value(campaign))]
        ).increment(by: contacts)
    }

    /// Campaigns that run no more have nothing due: a figure that stood still would say otherwise.
    func standing(_ figures: [CallStore.CampaignFigures]) {
        var values: [String: (due: Int, retries: Int, underWay: Int)] = [:]
        for name in self.campaigns.names { values[name] = (0, 0, 0) }
        for figure in figures {
            let held = values[self.campaigns.value(figure.name)] ?? (0, 0, 0)
            values[self.campaigns.value(figure.name)] = (
                held.due + figure.due, held.retries + figure.retriesDue, held.underWay + figure.underWay
            )
        }
        for (campaign, value) in values {
            let label = [("campaign", campaign)]
            Gauge(label: "call_scheduler_selector_campaign_due", dimensions: label).record(value.due)
            Gauge(label: "call_scheduler_selector_campaign_retries_due", dimensions: label).record(value.retries)
            Gauge(label: "call_scheduler_selector_campaign_under_way", dimensions: label).record(value.underWay)
        }
    }
}
