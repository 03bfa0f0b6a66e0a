// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

extension Metric {
    /// The Recorder's figures.
    static let recorder = [
        Metric(
            "recorder_reports_total",
            .counter,
            "recorder",
            "Reports recorded.",
            worry: "it stands still while calls are live"
        ),
        Metric(
            "recorder_outcomes_total",
            .counter,
            "recorder",
            "Calls that ended, by outcome; the first 100 campaigns have names.",
            worry: "failed is more than a few percent",
            labels: [
                .campaign,
                Label(
                    "outcome",
                    ["completed", "refused", "no_answer", "busy", "failed", "answering_machine", "rejected"]
                ),
            ]
        ),
        Metric(
            "recorder_ring_to_answer_seconds",
            .histogram,
            "recorder",
            "How long phones rang before they were answered.",
            worry: "most lie at the ring timeout: it may be too short"
        ),
        Metric(
            "recorder_report_lag_seconds",
            .histogram,
            "recorder",
            "From what happened to its record.",
            worry: "it rises: callbacks are late, or the recorder is behind"
        ),
        Metric(
            "recorder_batch_size",
            .histogram,
            "recorder",
            "Reports in one transaction.",
            worry: "it stays at RECORDER_BATCH_SIZE: add a recorder"
        ),
        Metric(
            "recorder_batch_duration_seconds",
            .histogram,
            "recorder",
            "Duration of one transaction.",
            worry: "it rises: look at the database"
        ),
        Metric(
            "recorder_failures_total",
            .counter,
            "recorder",
            "Batches that failed and are repeated.",
            worry: "it rises: the database is away"
        ),
        Metric(
            "recorder_survey_events_total",
            .counter,
            "recorder",
            "Survey events that the broker has confirmed.",
            worry: "it stands still while contacts are completed"
        ),
        Metric(
            "recorder_unknown_calls_total",
            .counter,
            "recorder",
            "Reports about calls that are not ours.",
            worry: "it rises: another system shares the callback URL"
        ),
        Metric(
            "recorder_poison_total",
            .counter,
            "recorder",
            "Reports that nobody can read or whose values the database refuses; they went to dial.dead.",
            worry: "it rises: somebody else publishes to the exchange; see `dead-letters list`"
        ),
        Metric(
            "recorder_set_aside",
            .gauge,
            "recorder",
            "Reports that the database does not take now while it takes others; tried again until it does.",
            worry: "it is not 0 for long: /health/ready and the log tell why, often a lock that somebody holds"
        ),
    ]
}
