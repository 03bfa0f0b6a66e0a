// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// One setting: where it may come from and what it means. The list is what `--help` and the article on settings show.
struct Setting: Sendable {
    /// The environment variable; the flag is the same in lower case with dashes.
    let name: String
    /// Shown as the default; empty when there is none.
    let defaultText: String
    /// Meaning, unit and range.
    let help: String
    /// Whether its value must never be shown, and may come from the file that `NAME_FILE` names.
    var isSecret = false

    var flag: String {
        "--" + self.name.lowercased().replacing("_", with: "-")
    }

    static let all: [Setting] = [
        Setting(
            name: "DATABASE_URL",
            defaultText: "postgresql://localhost/call_scheduler",
            help:
                "PostgreSQL, a libpq URI, with commas between several hosts, of which the one that takes writes is used; "
                + "TLS by its sslmode and sslrootcert",
            isSecret: true
        ),
        Setting(
            name: "DATABASE_MAX_CONNECTIONS",
            defaultText: "8",
            help: "connections to PostgreSQL per process, 1…100"
        ),
        Setting(
            name: "DATABASE_STATEMENT_TIMEOUT_SECONDS",
            defaultText: "60",
            help: "how long a statement may take before the server ends it and it is tried again, 1…3600"
        ),
        Setting(
            name: "AMQP_URL",
            defaultText: "amqp://guest:guest@localhost:5672/",
            help: "RabbitMQ, with commas between a cluster's nodes; amqps:// for TLS, always verified, "
                + "?cacertfile= for a private authority",
            isSecret: true
        ),
        Setting(
            name: "SUPPRESSION_KEY",
            defaultText: "",
            help:
                "the key under which erased numbers are recognised by imports; keep it for ever, outside the database",
            isSecret: true
        ),
        Setting(name: "LOG_LEVEL", defaultText: "info", help: "trace, debug, info, notice, warning or error"),
        Setting(name: "LOG_FORMAT", defaultText: "text", help: "text or json"),
        Setting(name: "HEALTH_HOST", defaultText: "127.0.0.1", help: "address of /health/live and /health/ready"),
        Setting(name: "HEALTH_PORT", defaultText: "0", help: "port of the health endpoint, 0 for none"),
        Setting(
            name: "SELECTOR_INTERVAL_SECONDS",
            defaultText: "60",
            help: "time between selection passes, seconds, 0.1…86400"
        ),
        Setting(
            name: "SELECTOR_BATCH_SIZE",
            defaultText: "50",
            help: "contacts claimed per campaign in one round of a pass, 1…5000"
        ),
        Setting(
            name: "SELECTOR_QUEUE_DEPTH",
            defaultText: "100",
            help: "requests kept waiting per trunk, 1…100000"
        ),
        Setting(
            name: "SELECTOR_CLAIM_TTL_SECONDS",
            defaultText: "300",
            help: "how long a claim may wait in the queue, seconds, 5…86400"
        ),
        Setting(
            name: "DIALER_ID",
            defaultText: "host name and a random word",
            help: "who this dialer is; keep it over restarts, never use it twice at once"
        ),
        Setting(name: "DIALER_TRUNK", defaultText: "default", help: "which trunk's queue it consumes"),
        Setting(
            name: "DIALER_MAX_CONCURRENT_CALLS",
            defaultText: "10",
            help: "this dialer's live calls, never more, 1…20000"
        ),
        Setting(
            name: "DIALER_CALLS_PER_SECOND",
            defaultText: "1",
            help: "calls placed per second, the provider's limit, 0.01…10000"
        ),
        Setting(
            name: "DIALER_CALL_MARGIN_SECONDS",
            defaultText: "60",
            help: "patience beyond ring timeout and call length before the provider is asked, seconds, 1…3600"
        ),
        Setting(
            name: "DIALER_FAILURE_BACKOFF_SECONDS",
            defaultText: "60",
            help: "how long a contact rests after a failure of the provider, seconds, 0…86400"
        ),
        Setting(
            name: "DIALER_BREAKER_FAILURES",
            defaultText: "5",
            help: "failures of the provider that open the circuit breaker if half of the last 20 answers failed, 1…20"
        ),
        Setting(
            name: "DIALER_BREAKER_PAUSE_SECONDS",
            defaultText: "15",
            help: "how long the open breaker waits before it tries one call, seconds, 0.1…3600"
        ),
        Setting(
            name: "RECORDER_BATCH_SIZE",
            defaultText: "500",
            help: "reports recorded in one transaction at most, 1…1000"
        ),
        Setting(name: "WEBHOOK_HOST", defaultText: "127.0.0.1", help: "address that callbacks are taken on"),
        Setting(name: "WEBHOOK_PORT", defaultText: "8080", help: "port that callbacks are taken on, 0…65535"),
        Setting(
            name: "WEBHOOK_PUBLIC_URL",
            defaultText: "",
            help: "the URL under which the provider reaches the webhooks, without a path"
        ),
        Setting(
            name: "WEBHOOK_OUTCOME_TOKEN",
            defaultText: "",
            help: "the bearer token with which interviews' outcomes are reported; without it they cannot be",
            isSecret: true
        ),
        Setting(
            name: "WEBHOOK_PREVIOUS_OUTCOME_TOKEN",
            defaultText: "",
            help: "this token is accepted as well, while tokens are rotated",
            isSecret: true
        ),
        Setting(
            name: "WEBHOOK_REQUESTS_AT_ONCE",
            defaultText: "500",
            help: "requests handled at once, 1…10000; others get 503 and come again"
        ),
        Setting(
            name: "WEBHOOK_REFUSALS_PER_MINUTE",
            defaultText: "60",
            help:
                "refused requests per address (IPv6: /64) and minute, 0…10000, beyond which others than genuine ones get 429; 0 for no limit"
        ),
        Setting(
            name: "WEBHOOK_PROXIES",
            defaultText: "0",
            help: "reverse proxies in front, 0…5, whose X-Forwarded-For tells the address"
        ),
        Setting(name: "PROVIDER", defaultText: "twilio", help: "telephony adapter: twilio (any compatible API)"),
        Setting(name: "TWILIO_ACCOUNT_SID", defaultText: "", help: "the account, AC and 32 hex digits"),
        Setting(
            name: "TWILIO_AUTH_TOKEN",
            defaultText: "",
            help: "the account's auth token, which also signs callbacks",
            isSecret: true
        ),
        Setting(
            name: "TWILIO_PREVIOUS_AUTH_TOKEN",
            defaultText: "",
            help: "callbacks signed with this token are accepted as well, while tokens are rotated",
            isSecret: true
        ),
        Setting(name: "TWILIO_API_KEY_SID", defaultText: "", help: "an API key for requests, instead of the token"),
        Setting(name: "TWILIO_API_KEY_SECRET", defaultText: "", help: "the API key's secret", isSecret: true),
        Setting(
            name: "TWILIO_BASE_URL",
            defaultText: "https://api.twilio.com",
            help: "the API; change it for a compatible provider or the simulator"
        ),
        Setting(
            name: "TWILIO_REQUEST_TIMEOUT_SECONDS",
            defaultText: "30",
            help: "how long one request to the provider may take, seconds, 0.1…120; less than 26 can lose slow answers"
        ),
    ]

    /// The list for `--help`.
    static var discussion: String {
        let lines = Self.all.map { setting in
            let value = setting.defaultText.isEmpty ? "" : " [\(setting.defaultText)]"
            let file = setting.isSecret ? " (or the file named by \(setting.name)_FILE)" : ""
            return "  \(setting.name)\(value)\n      \(setting.help)\(file)"
        }
        return "Settings come from --set NAME=VALUE, the environment, or a --config file of NAME=VALUE lines, in this"
            + " order of precedence; --show-settings tells where each came from:\n\n" + lines.joined(separator: "\n")
    }
}
