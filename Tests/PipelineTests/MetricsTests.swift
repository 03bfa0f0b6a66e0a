// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import CallModel
import CallStore
import Foundation
import Metrics
import NIOCore
import NIOHTTP1
import Observability
import TestBasics
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2)))
struct MetricsTests {
    private static let document = "ops/prometheus/METRICS.md"

    @Test("the documented list is the list of figures, word by word")
    func documented() throws {
        let url = Shell.root.appendingPathComponent(Self.document)
        let rows = try String(contentsOf: url, encoding: .utf8).split(separator: "\n")
            .filter { $0.hasPrefix("| `call_scheduler") }.map(String.init)
        let expected = Metric.all.map { metric in
            let labels = metric.labels.isEmpty ? "–" : metric.labels.joined(separator: ", ")
            return "| `\(metric.name)` | \(metric.kind.rawValue) | \(labels) | \(metric.meaning) | \(metric.worry) |"
        }
        #expect(rows == expected)
        for metric in Metric.all {
            #expect(metric.name.hasSuffix("_total") == (metric.kind == .counter), "\(metric.name)")
        }
    }

    @Test("figures are written as Prometheus reads them: labels escaped, buckets that add up")
    func exposition() {
        let registry = MetricsRegistry()
        Counter(label: "a_total", dimensions: [("why", "a \"b\" \\ c\n")], factory: registry).increment(by: 3)
        let timer = Timer(label: "t_seconds", factory: registry)
        for milliseconds in [1, 20, 700_000, 9_000_000] { timer.recordMilliseconds(milliseconds) }
        Gauge(label: "g", factory: registry).record(7)
        Gauge(label: "g", factory: registry).record(2)
        let lines = registry.exposition().split(separator: "\n").map(String.init)
        #expect(lines.contains(#"a_total{why="a \"b\" \\ c\n"} 3"#))
        #expect(lines.contains("g 2"))
        #expect(lines.contains(#"t_seconds_bucket{le="0.001"} 1"#))
        #expect(lines.contains(#"t_seconds_bucket{le="0.025"} 2"#))
        #expect(lines.contains(#"t_seconds_bucket{le="3600"} 3"#))
        #expect(lines.contains(#"t_seconds_bucket{le="+Inf"} 4"#))
        #expect(lines.contains("t_seconds_count 4"))
        #expect(
            lines.filter { $0.hasPrefix("# TYPE") } == [
                "# TYPE a_total counter", "# TYPE g gauge", "# TYPE t_seconds histogram",
            ]
        )
    }

    @Test("after a campaign the roles expose what is listed and nothing else, and the figures add up")
    func scraped() async throws {
        try await Scratch.run { scratch in
            let rehearsal = try await Rehearsal.start(
                scenario:
                    #"{"seed": 1, "outcomes": {"completed": 1}, "ring_seconds": {"min": 0.1, "max": 0.1}, "talk_seconds": {"min": 0.1, "max": 0.1}}"#
            )
            let (webhooks, health) = (try Rehearsal.freePort(), try Rehearsal.freePort())
            let roles = try RunningRole(
                ["all"],
                [
                    "DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL,
                    "TWILIO_ACCOUNT_SID": Rehearsal.account, "TWILIO_AUTH_TOKEN": Rehearsal.token,
                    "TWILIO_BASE_URL": rehearsal.url, "WEBHOOK_PUBLIC_URL": "http://127.0.0.1:\(webhooks)",
                    "WEBHOOK_PORT": "\(webhooks)", "HEALTH_PORT": "\(health)", "SELECTOR_INTERVAL_SECONDS": "0.5",
                    "DIALER_CALLS_PER_SECOND": "50",
                ]
            )
            do {
                let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 20) {
                    $0.answerURL = rehearsal.url + "/simulator/answer"
                }
                try await eventually("all contacts are completed") {
                    try await scratch.store.report(campaign: campaign)[.completed] == 20
                }
                // The last batch is counted right after it is committed.
                try await eventually("the outcomes are counted") {
                    try await Self.scrape(health).contains(
                        "call_scheduler_recorder_outcomes_total{campaign=\"test\",outcome=\"completed\"} 20"
                    )
                }
                try await Self.check(try await Self.scrape(health))
                try await Self.readByPrometheus(health)
            } catch {
                await roles.stop()
                await rehearsal.role.stop()
                throw error
            }
            await roles.stop()
            await rehearsal.role.stop()
        }
    }

    /// By the real one, which also checks the alerts and the form of the figures.
    private static func readByPrometheus(_ health: Int) async throws {
        let folder = FileManager.default.temporaryDirectory.path + "/prometheus-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let port = try Rehearsal.freePort()
        try Shell.run(
            """
            mkdir '\(folder)' && cd '\(folder)' && promtool check rules '\(Shell.root.path)/ops/prometheus/alerts.yml' && \
            promtool check config '\(Shell.root.path)/ops/prometheus/prometheus.yml' && \
            curl -sS http://127.0.0.1:\(health)/metrics | promtool check metrics && \
            printf 'global: {scrape_interval: 1s}\nscrape_configs: [{job_name: t, static_configs: [{targets: ["127.0.0.1:%s"]}]}]\n' \
            \(health) >prometheus.yml && { setsid prometheus --config.file=prometheus.yml --storage.tsdb.path=data \
            --web.listen-address=127.0.0.1:\(port) & echo $! >pid; }
            """
        )
        let query = "http://127.0.0.1:\(port)/api/v1/query?query=call_scheduler_selector_claimed_total"
        do {
            try await eventually("Prometheus has read the figures") {
                let response = try? await HTTPClient.shared.execute(HTTPClientRequest(url: query), timeout: .seconds(5))
                let body = try await response?.body.collect(upTo: 1 << 20)
                return body.map { String(buffer: $0).contains("\"20\"]") } ?? false
            }
        } catch {
            try? Shell.run("kill $(cat '\(folder)/pid')")
            throw error
        }
        try Shell.run("kill $(cat '\(folder)/pid')")
    }

    private static func scrape(_ port: Int) async throws -> [String] {
        let response = try await HTTPClient.shared.execute(
            HTTPClientRequest(url: "http://127.0.0.1:\(port)/metrics"),
            timeout: .seconds(10)
        )
        #expect(response.headers.first(name: "content-type")?.hasPrefix("text/plain; version=0.0.4") == true)
        return String(buffer: try await response.body.collect(upTo: 1 << 22)).split(separator: "\n").map(String.init)
    }

    private static func check(_ lines: [String]) async throws {
        let types = lines.filter { $0.hasPrefix("# TYPE ") }.map { $0.split(separator: " ").suffix(2).map(String.init) }
        let listed = Dictionary(uniqueKeysWithValues: Metric.all.map { ($0.name, $0) })
        for type in types {
            let metric = try #require(listed[type[0]], "\(type[0]) is exposed and not listed")
            #expect(metric.kind.rawValue == type[1], "\(type[0])")
        }
        let exposed = Set(types.map { $0[0] })
        // Those with labels appear with the first value of a label, which some never have here.
        for metric in Metric.all where metric.labels.isEmpty {
            #expect(exposed.contains(metric.name), "\(metric.name) is listed and not exposed")
        }
        // A callback that says "ringing" may come after the one that says "completed", and counts no more then.
        #expect(!lines.contains("call_scheduler_recorder_ring_to_answer_seconds_count 0"))
        for line in [
            "call_scheduler_selector_claimed_total 20", "call_scheduler_selector_published_total 20",
            "call_scheduler_dialer_placements_total{result=\"accepted\"} 20", "call_scheduler_dialer_live_calls 0",
            "call_scheduler_dialer_call_limit 10", "call_scheduler_dialer_breaker_open 0",
            "call_scheduler_dialer_claim_to_placed_seconds_count 20",
            "call_scheduler_selector_queue_ready{trunk=\"default\"} 0",
            "call_scheduler_selector_campaign_claimed_total{campaign=\"test\"} 20",
            "call_scheduler_dialer_due_to_placed_seconds_count 20",
            "call_scheduler_webhook_callback_lag_seconds_count 80", "call_scheduler_database_waiting 0",
            "call_scheduler_broker_connected{connection=\"dialer\"} 1",
            "call_scheduler_broker_deliveries_total{connection=\"recorder\"} 80",
        ] {
            #expect(
                lines.contains(line),
                "\(line) in \(lines.filter { !$0.contains("_bucket") }.joined(separator: "\n"))"
            )
        }
    }
}
