// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Metrics
import NIOConcurrencyHelpers
import Observability

/// The Recorder's figures.
struct RecorderMetrics: Sendable {
    let reports = Counter(label: "call_scheduler_recorder_reports_total")
    let poison = Counter(label: "call_scheduler_recorder_poison_total")
    let unknownCalls = Counter(label: "call_scheduler_recorder_unknown_calls_total")
    let surveyEvents = Counter(label: "call_scheduler_recorder_survey_events_total")
    let failures = Counter(label: "call_scheduler_recorder_failures_total")
    let setAside = Gauge(label: "call_scheduler_recorder_set_aside")
    let lag = Timer(label: "call_scheduler_recorder_report_lag_seconds")
    private let ringToAnswer = Timer(label: "call_scheduler_recorder_ring_to_answer_seconds")
    private let campaigns = BoundedLabels()
    let batchSize = Recorder(label: "call_scheduler_recorder_batch_size", aggregate: true)
    let batchDuration = Timer(label: "call_scheduler_recorder_batch_duration_seconds")

    private let outcomes = NIOLockedValueBox<[String: LabeledCounters]>([:])

    private func counters(campaign: String) -> LabeledCounters {
        self.outcomes.withLockedValue { outcomes in
            if let counters = outcomes[campaign] { return counters }
            let counters = LabeledCounters(
                label: "call_scheduler_recorder_outcomes_total",
                dimension: "outcome",
                values: CallOutcome.allCases.map(\.rawValue),
                others: [("campaign", campaign)]
            )
            outcomes[campaign] = counters
            return counters
        }
    }

    func outcomes(_ outcomes: [CallStore.RecordedOutcome]) {
        for (kind, same) in Dictionary(grouping: outcomes, by: { [$0.campaign, $0.outcome.rawValue] }) {
            self.counters(campaign: self.campaigns.value(kind[0]))[kind[1]].increment(by: same.count)
        }
        for outcome in outcomes {
            if let duration = outcome.ringToAnswer { self.ringToAnswer.record(duration: duration) }
        }
    }
}
