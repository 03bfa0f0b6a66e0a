// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Metrics

/// The Recorder's figures.
struct RecorderMetrics: Sendable {
    let reports = Counter(label: "call_scheduler_recorder_reports_total")
    let poison = Counter(label: "call_scheduler_recorder_poison_total")
    let unknownCalls = Counter(label: "call_scheduler_recorder_unknown_calls_total")
    let surveyEvents = Counter(label: "call_scheduler_recorder_survey_events_total")
    let failures = Counter(label: "call_scheduler_recorder_failures_total")
    let lag = Timer(label: "call_scheduler_recorder_report_lag_seconds")
    let batchSize = Recorder(label: "call_scheduler_recorder_batch_size", aggregate: true)
    let batchDuration = Timer(label: "call_scheduler_recorder_batch_duration_seconds")
}
