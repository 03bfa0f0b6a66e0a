// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

extension Metric {
    /// The webhooks' figures.
    static let webhooks = [
        Metric(
            "webhook_callbacks_total",
            .counter,
            "webhooks",
            "Requests, by what was done with them.",
            worry: "forged rises: a wrong token, a wrong WEBHOOK_PUBLIC_URL, or a forger; unconfirmed: the broker; "
                + "unrecorded: the database; unknown_call: interviews of another system",
            labels: [
                Label(
                    "result",
                    [
                        "accepted", "unconfirmed", "unrecorded", "forged", "malformed", "unknown_status",
                        "unauthorized", "unknown_call", "too_slow", "too_large", "limited", "overloaded",
                    ]
                )
            ]
        ),
        Metric(
            "webhook_unexpected_forwarding_total",
            .counter,
            "webhooks",
            "Requests with X-Forwarded-For while WEBHOOK_PROXIES is 0.",
            worry: "it is not 0: set WEBHOOK_PROXIES, or whoever is refused is refused for all behind the proxy"
        ),
        Metric(
            "webhook_callback_lag_seconds",
            .histogram,
            "webhooks",
            "From what happened, by the provider's clock, to its callback.",
            worry: "it rises: the provider is slow, or a clock is wrong"
        ),
    ]
}
