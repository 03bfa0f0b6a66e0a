// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

extension Metric {
    /// The Dialer's figures.
    static let dialer = [
        Metric(
            "dialer_live_calls",
            .gauge,
            "dialer",
            "Calls of this dialer that ring or are answered, as far as is known.",
            worry: "it is far below the cap while requests wait",
            labels: [.trunk]
        ),
        Metric(
            "dialer_held_calls",
            .gauge,
            "dialer",
            "Requests that this dialer holds: taken, being placed, live, or over and not recorded yet; each takes a slot.",
            worry: "it stays at the cap with few live calls: the provider or the recorders do not get on",
            labels: [.trunk]
        ),
        Metric(
            "dialer_call_limit",
            .gauge,
            "dialer",
            "The cap on this dialer's calls, DIALER_MAX_CONCURRENT_CALLS.",
            worry: "never; live calls are seen against it",
            labels: [.trunk]
        ),
        Metric(
            "dialer_placements_total",
            .counter,
            "dialer",
            "Requests to the provider, by what came of them.",
            worry: "another result than accepted is more than a few percent",
            labels: [
                .trunk,
                Label(
                    "result",
                    [
                        "accepted", "rejected", "refused_for_now", "provider_down", "too_late", "number_refused",
                        "country_refused", "misconfigured", "unknown",
                    ]
                ),
            ]
        ),
        Metric(
            "dialer_place_duration_seconds",
            .histogram,
            "dialer",
            "How long the provider took to accept a call.",
            worry: "it comes near TWILIO_REQUEST_TIMEOUT_SECONDS"
        ),
        Metric(
            "dialer_claim_to_placed_seconds",
            .histogram,
            "dialer",
            "From the claim to the accepted call.",
            worry: "it comes near SELECTOR_CLAIM_TTL_SECONDS: lower the queue's depth or add dialers"
        ),
        Metric(
            "dialer_due_to_placed_seconds",
            .histogram,
            "dialer",
            "From when the contact was due to the accepted call; closed windows and full queues count in.",
            worry: "it rises day by day: more is due than the lines can carry"
        ),
        Metric(
            "dialer_not_allowed_total",
            .counter,
            "dialer",
            "Requests that the second check did not allow, by reason.",
            worry: "window_closed or request_expired rises all day: the queue is too deep",
            labels: [
                Label(
                    "reason",
                    [
                        "excluded", "no_consent", "excluded_for_now", "campaign_not_running", "campaign_ended",
                        "trunk_paused", "attempts_used_up", "window_closed", "country_rests", "number_rests",
                        "not_its_day_part", "request_expired", "campaign_incomplete", "cell_quota_reached",
                        "calls_at_once", "calls_per_hour", "quota_reached", "number_busy", "permission_outdated",
                        "held_back",
                    ]
                )
            ]
        ),
        Metric(
            "dialer_adopted_total",
            .counter,
            "dialer",
            "Calls taken over from another dialer or an earlier life.",
            worry: "it rises while no dialer was stopped"
        ),
        Metric(
            "dialer_stale_total",
            .counter,
            "dialer",
            "Requests for claims that were given back before.",
            worry: "it rises steadily: claims expire in the queue"
        ),
        Metric(
            "dialer_put_aside_total",
            .counter,
            "dialer",
            "Requests whose statement fails, each alone; their contacts rest for a minute.",
            worry: "it rises: the log names the error"
        ),
        Metric(
            "dialer_lost_total",
            .counter,
            "dialer",
            "Calls whose end nobody could tell; counted as attempts.",
            worry: "it rises: callbacks do not arrive and the provider does not answer"
        ),
        Metric(
            "dialer_reports_repeated_total",
            .counter,
            "dialer",
            "Reports sent again, because the broker had confirmed them and nobody has recorded them.",
            worry: "it rises: recorders are down or behind, or the broker has lost messages"
        ),
        Metric(
            "dialer_canceled_total",
            .counter,
            "dialer",
            "Calls canceled before they were answered, by a rule.",
            worry: "never by itself"
        ),
        Metric(
            "dialer_poison_total",
            .counter,
            "dialer",
            "Messages that could not be read and went to dial.dead.",
            worry: "it rises: somebody else publishes to the exchange"
        ),
        Metric(
            "dialer_breaker_open",
            .gauge,
            "dialer",
            "1 while the provider fails too often to be asked, else 0.",
            worry: "it is 1: see the provider's status and `doctor`",
            labels: [.trunk]
        ),
    ]
}
