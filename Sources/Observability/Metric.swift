// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// A figure that a role exposes: what it is called, what it means and when to worry. The documentation and the test hold
/// against this list.
public struct Metric: Sendable {
    /// How its values behave.
    public enum Kind: String, Sendable {
        /// Only rises, from 0 at the start of the process.
        case counter
        /// Rises and falls.
        case gauge
        /// Counts values by size, with their sum.
        case histogram
    }

    /// Its name, by Prometheus' conventions.
    public let name: String
    /// Its kind.
    public let kind: Kind
    /// The role that exposes it; `every` when all do.
    public let role: String
    /// Its labels, apart from those that Prometheus adds.
    public let labels: [String]
    /// What it tells.
    public let meaning: String
    /// When somebody should look.
    public let worry: String

    private init(
        _ name: String,
        _ kind: Kind,
        _ role: String,
        _ meaning: String,
        worry: String,
        labels: [String] = []
    ) {
        self.name = "call_scheduler_" + name
        self.kind = kind
        self.role = role
        self.labels = labels
        self.meaning = meaning
        self.worry = worry
    }

    /// Every figure of every role.
    public static let all: [Metric] = Self.selector + Self.dialer + Self.recorder + Self.webhooks + Self.clients

    private static let selector = [
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
            labels: ["trunk"]
        ),
        Metric(
            "selector_oldest_request_seconds",
            .gauge,
            "selector",
            "Age of the oldest claim that no dialer has taken yet.",
            worry: "it comes near SELECTOR_CLAIM_TTL_SECONDS: too few dialers, or none",
            labels: ["trunk"]
        ),
        Metric(
            "selector_campaign_claimed_total",
            .counter,
            "selector",
            "Contacts claimed; the first 100 campaigns have names, all later ones are other.",
            worry: "it stands still while contacts are due: ask `campaign why`",
            labels: ["campaign"]
        ),
        Metric(
            "selector_campaign_due",
            .gauge,
            "selector",
            "Contacts whose time has come, window open or not; no more than 10,000 are counted.",
            worry: "it does not fall while the window is open",
            labels: ["campaign"]
        ),
        Metric(
            "selector_campaign_retries_due",
            .gauge,
            "selector",
            "Those among them that were called before.",
            worry: "it keeps rising: calls are repeated sooner than lines allow",
            labels: ["campaign"]
        ),
        Metric(
            "selector_campaign_under_way",
            .gauge,
            "selector",
            "Contacts that are claimed or being called.",
            worry: "it stands still: see live calls",
            labels: ["campaign"]
        ),
        Metric(
            "selector_put_aside_total",
            .counter,
            "selector",
            "Campaigns and trunks that were put aside alone because their statement or their queue fails.",
            worry: "it rises: `status` names them and the reason",
            labels: ["kind"]
        ),
        Metric(
            "selector_aside",
            .gauge,
            "selector",
            "Running campaigns, and their trunks, that are put aside now, in whole or in part.",
            worry: "it is not 0: `status` names them and the reason",
            labels: ["kind"]
        ),
        Metric(
            "selector_dead_letters_ready",
            .gauge,
            "selector",
            "Messages in dial.dead.",
            worry: "it rises: the provider refuses calls, or somebody sends what nobody can read"
        ),
    ]

    private static let dialer = [
        Metric(
            "dialer_live_calls",
            .gauge,
            "dialer",
            "Calls that this dialer holds.",
            worry: "it is far below the cap while requests wait"
        ),
        Metric(
            "dialer_call_limit",
            .gauge,
            "dialer",
            "The cap on this dialer's calls, DIALER_MAX_CONCURRENT_CALLS.",
            worry: "never; live calls are seen against it"
        ),
        Metric(
            "dialer_placements_total",
            .counter,
            "dialer",
            "Requests to the provider, by what came of them.",
            worry: "another result than accepted is more than a few percent",
            labels: ["result"]
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
            labels: ["reason"]
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
            worry: "it is 1: see the provider's status and `doctor`"
        ),
    ]

    private static let recorder = [
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
            labels: ["campaign", "outcome"]
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

    private static let webhooks = [
        Metric(
            "webhook_callbacks_total",
            .counter,
            "webhooks",
            "Requests, by what was done with them.",
            worry: "forged rises: a wrong token, a wrong WEBHOOK_PUBLIC_URL, or a forger; unconfirmed: the broker; "
                + "unrecorded: the database; unknown_call: interviews of another system",
            labels: ["result"]
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

    private static let clients = [
        Metric(
            "database_connections",
            .gauge,
            "every",
            "Connections to the database, busy or idle.",
            worry: "busy stays at DATABASE_MAX_CONNECTIONS",
            labels: ["state"]
        ),
        Metric(
            "database_waiting",
            .gauge,
            "every",
            "Callers that wait for a connection.",
            worry: "it is not 0 for long: the database is slow, or too few connections are allowed"
        ),
        Metric(
            "database_statements_total",
            .counter,
            "every",
            "Statements run.",
            worry: "it stands still"
        ),
        Metric(
            "database_reconnects_total",
            .counter,
            "every",
            "Connections made anew after one was lost.",
            worry: "it rises while nobody restarts the database"
        ),
        Metric(
            "broker_connected",
            .gauge,
            "every",
            "1 while the connection stands and the broker takes messages, else 0.",
            worry: "it is 0: see /health/ready",
            labels: ["connection"]
        ),
        Metric(
            "broker_deliveries_total",
            .counter,
            "every",
            "Messages delivered.",
            worry: "it stands still while messages are ready",
            labels: ["connection"]
        ),
        Metric(
            "broker_reconnects_total",
            .counter,
            "every",
            "Connections made anew after one was lost.",
            worry: "it rises while nobody restarts the broker",
            labels: ["connection"]
        ),
        Metric(
            "broker_consumers_lost_total",
            .counter,
            "every",
            "Consumers lost with their channel or queue, and started again.",
            worry: "it rises: somebody deletes queues, or consumer_timeout is too short",
            labels: ["connection"]
        ),
    ]
}
