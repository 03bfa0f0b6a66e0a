// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

extension Metric {
    /// The Selector's figures.
    static let selector = [
        Metric(
            "selector_passes_total",
            .counter,
            "selector",
            "Selection passes that went through.",
            worry: "it stands still for two intervals: nothing new is called"
        ),
        Metric(
            "selector_passes_failed_total",
            .counter,
            "selector",
            "Passes that failed and are repeated.",
            worry: "it rises: a server is away, see /health/ready"
        ),
        Metric(
            "selector_pass_duration_seconds",
            .histogram,
            "selector",
            "Duration of a pass.",
            worry: "it comes near the interval"
        ),
        Metric(
            "selector_claimed_total",
            .counter,
            "selector",
            "Contacts claimed.",
            worry: "it stands still while contacts are due: ask `campaign why`"
        ),
        Metric(
            "selector_published_total",
            .counter,
            "selector",
            "Requests that the broker has confirmed.",
            worry: "it falls behind the claims"
        ),
        Metric(
            "selector_publish_failed_total",
            .counter,
            "selector",
            "Claims given back because no confirm came.",
            worry: "it rises: the broker is away or full"
        ),
        Metric(
            "selector_confirm_duration_seconds",
            .histogram,
            "selector",
            "From handing a batch of requests to the broker to its last confirm.",
            worry: "it rises: look at the disks of the broker's nodes"
        ),
        Metric(
            "selector_leases_expired_total",
            .counter,
            "selector",
            "Claims whose request was not taken in time.",
            worry: "it rises: too few dialers for the queue's depth, or none"
        ),
        Metric(
            "selector_appointments_missed_total",
            .counter,
            "selector",
            "Appointments that passed without a call.",
            worry: "it rises: the window was closed, the campaign stood still, or no line was free; ask `contacts why`"
        ),
        Metric(
            "selector_policies_overdue",
            .gauge,
            "selector",
            "Policies of campaigns that are not over which were to be looked at again before today.",
            worry: "it is not 0: `policy list` and `doctor` name them"
        ),
        Metric(
            "selector_orphans_renewed_total",
            .counter,
            "selector",
            "Open calls that no dialer watched, offered again.",
            worry: "it rises while no dialer was lost"
        ),
        Metric(
            "selector_queue_ready",
            .gauge,
            "selector",
            "Requests that wait in a trunk's queue.",
            worry: "it stays at SELECTOR_QUEUE_DEPTH: more contacts are due than dialers call; at 0 with due contacts, "
                + "dialers idle",
            labels: [.trunk]
        ),
        Metric(
            "selector_oldest_request_seconds",
            .gauge,
            "selector",
            "Age of the oldest claim whose call no dialer has begun yet.",
            worry: "it comes near SELECTOR_CLAIM_TTL_SECONDS: too few dialers, or none",
            labels: [.trunk]
        ),
        Metric(
            "selector_trunk_paused",
            .gauge,
            "selector",
            "1 while a trunk is paused that running campaigns use, else 0.",
            worry: "it is 1: `doctor` tells who paused it and why",
            labels: [.trunk]
        ),
        Metric(
            "selector_trunk_without_dialers",
            .gauge,
            "selector",
            "1 while running campaigns use a trunk whose requests no dialer takes, else 0.",
            worry: "it is 1: start a dialer with this DIALER_TRUNK",
            labels: [.trunk]
        ),
        Metric(
            "selector_campaign_claimed_total",
            .counter,
            "selector",
            "Contacts claimed; the first 100 campaigns have names, all later ones are other.",
            worry: "it stands still while contacts are due: ask `campaign why`",
            labels: [.campaign]
        ),
        Metric(
            "selector_campaign_due",
            .gauge,
            "selector",
            "Contacts whose time has come, window open or not; no more than 10,000 are counted.",
            worry: "it does not fall while the window is open",
            labels: [.campaign]
        ),
        Metric(
            "selector_campaign_retries_due",
            .gauge,
            "selector",
            "Those among them that were called before.",
            worry: "it keeps rising: calls are repeated sooner than lines allow",
            labels: [.campaign]
        ),
        Metric(
            "selector_campaign_under_way",
            .gauge,
            "selector",
            "Contacts that are claimed or being called.",
            worry: "it stands still: see live calls",
            labels: [.campaign]
        ),
        Metric(
            "selector_put_aside_total",
            .counter,
            "selector",
            "Campaigns and trunks that were put aside alone because their statement or their queue fails.",
            worry: "it rises: `status` names them and the reason",
            labels: [.kind]
        ),
        Metric(
            "selector_aside",
            .gauge,
            "selector",
            "Running campaigns, and their trunks, that are put aside now, in whole or in part.",
            worry: "it is not 0: `status` names them and the reason",
            labels: [.kind]
        ),
        Metric(
            "selector_dead_letters_ready",
            .gauge,
            "selector",
            "Messages that nobody could handle (dial.dead), and requests that the provider did not take and that go by "
                + "themselves after a day (dial.unplaced).",
            worry: "that of dial.dead is not 0: `dead-letters list` tells why",
            labels: [Label("queue", ["dial.dead", "dial.unplaced"])]
        ),
    ]
}
