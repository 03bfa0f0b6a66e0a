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

@Suite(.timeLimit(.minutes(20)))
struct MetricsTests {
    private static let document = "ops/prometheus/METRICS.md"
    private static let roles = ["selector", "dialer", "recorder", "webhooks"]

    @Test("the documented list is the list of figures, word by word")
    func documented() throws {
        let url = Shell.root.appendingPathComponent(Self.document)
        let rows = try String(contentsOf: url, encoding: .utf8).split(separator: "\n")
            .filter { $0.hasPrefix("| `call_scheduler") }.map(String.init)
        let expected = Metric.all.map { metric in
            let labels = metric.labels.isEmpty ? "–" : metric.labels.map(Self.text).joined(separator: "; ")
            return "| `\(metric.name)` | \(metric.kind.rawValue) | \(labels) | \(metric.meaning) | \(metric.worry) |"
        }
        #expect(rows == expected)
        for metric in Metric.all {
            #expect(metric.name.hasSuffix("_total") == (metric.kind == .counter), "\(metric.name)")
        }
    }

    private static func text(_ label: Metric.Label) -> String {
        label.values.isEmpty ? label.name : label.name + ": " + label.values.joined(separator: ", ")
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

    @Test("the four roles expose what is listed and nothing else, and a real Prometheus reads it during a campaign")
    func scraped() async throws {
        try await Scratch.run { scratch in
            let rehearsal = try await Rehearsal.start(
                scenario:
                    #"{"seed": 1, "outcomes": {"completed": 1}, "ring_seconds": {"min": 0.1, "max": 0.1}, "talk_seconds": {"min": 1, "max": 2}}"#
            )
            let webhooks = try Ports.free()
            let ports = try Dictionary(uniqueKeysWithValues: Self.roles.map { ($0, try Ports.free()) })
            let environment = [
                "DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL,
                "TWILIO_ACCOUNT_SID": Rehearsal.account, "TWILIO_AUTH_TOKEN": Rehearsal.token,
                "TWILIO_BASE_URL": rehearsal.url, "WEBHOOK_PUBLIC_URL": "http://127.0.0.1:\(webhooks)",
                "WEBHOOK_PORT": "\(webhooks)", "SELECTOR_INTERVAL_SECONDS": "0.5", "DIALER_CALLS_PER_SECOND": "50",
            ]
            var running: [RunningRole] = [rehearsal.role]
            let outcome: Result<Void, any Error>
            do {
                for (role, port) in ports {
                    let own = environment.merging(["HEALTH_PORT": "\(port)"]) { _, new in new }
                    running.append(try RunningRole([role], own))
                }
                try await Self.withPrometheus(ports) { prometheus in
                    try await Self.campaign(scratch, rehearsal, ports, prometheus)
                    try await Self.checkHistory(prometheus)
                }
                outcome = .success(())
            } catch {
                outcome = .failure(error)
            }
            for role in running.reversed() { await role.stop() }
            try outcome.get()
        }
    }

    private static func campaign(_ scratch: Scratch, _ rehearsal: Rehearsal, _ ports: [String: Int], _ prometheus: Int)
        async throws
    {
        for (role, port) in ports {
            for path in ["live", "ready"] {
                try await eventually("\(role) is \(path)") {
                    await Rehearsal.isReady("http://127.0.0.1:\(port)/health/\(path)")
                }
            }
        }
        try Self.checkStart(try await Self.scrape(ports))
        for gate in [Rehearsal.Gate.answer, .end] { try await rehearsal.hold(gate) }
        let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 20) {
            $0.answerURL = rehearsal.url + "/simulator/answer"
            $0.maximumCallSeconds = 3600
        }
        // Nobody answers before the ringing is recorded, and no call ends before Prometheus has seen one that lives.
        try await eventually("phones ring") {
            try await scratch.value("select count(*) from call_attempts where ringing_at is not null", as: Int.self) > 0
        }
        try await rehearsal.release(.answer)
        try await eventually("Prometheus has seen live calls") {
            try await Self.ask(prometheus, "query?query=max(call_scheduler_dialer_live_calls)>0").contains("\"]")
        }
        try await rehearsal.release(.end)
        try await eventually(
            "all contacts are completed",
            of: { try await scratch.store.report(campaign: campaign)[.completed] },
            { $0 == 20 }
        )
        // The last batch is counted right after it is committed, the last call's slot is given back after the hint.
        try await eventually("the outcomes are counted") {
            let lines = try await Self.scrape(ports)
            return lines.contains("call_scheduler_recorder_outcomes_total{campaign=\"test\",outcome=\"completed\"} 20")
                && lines.contains("call_scheduler_dialer_held_calls{trunk=\"default\"} 0")
        }
        try Self.check(try await Self.scrape(ports))
    }

    /// Every series whose labels are known is there before anything has happened, and no other of that name.
    private static func checkStart(_ lines: [String]) throws {
        for metric in Metric.all where metric.labels.allSatisfy({ !$0.values.isEmpty || $0.isOfThisDialer(metric) }) {
            var expected = [""]
            for label in metric.labels {
                let values = label.values.isEmpty ? ["default"] : label.values
                expected = expected.flatMap { before in
                    values.map { (before.isEmpty ? "" : before + ",") + "\(label.name)=\"\($0)\"" }
                }
            }
            let name = metric.name + (metric.kind == .histogram ? "_count" : "")
            let series = lines.filter { $0.hasPrefix(name + " ") || $0.hasPrefix(name + "{") }
            let given = Set(series.compactMap { $0.split(separator: " ").first.map(String.init) })
            #expect(given == Set(expected.map { $0.isEmpty ? name : "\(name){\($0)}" }))
            // What the clients do is counted from their first connection on.
            guard metric.kind == .counter, metric.role != "every", !metric.name.contains("passes_total") else {
                continue
            }
            #expect(series.allSatisfy { $0.hasSuffix(" 0") }, "\(series)")
        }
    }

    /// Runs a real Prometheus with the shipped configuration and alerts, on the ports of this test's roles.
    private static func withPrometheus(_ ports: [String: Int], _ body: (Int) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.path + "/prometheus-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let port = try Ports.free()
        // The broker's exporter is named in it too, and not there.
        let addresses = ports.map { "s/\"\($0)-1\\.example\\.org:9464\"[^]]*/\"127.0.0.1:\($1)\"/" }
        let changes = addresses + ["s/interval: 15s/interval: 1s/"]
        try await Shell.run(
            """
            mkdir '\(folder)' && cd '\(folder)' && cp '\(Shell.root.path)'/ops/prometheus/*.yml . && \
            promtool check rules alerts.yml && sed -i '\(changes.joined(separator: ";"))' prometheus.yml && \
            promtool check config prometheus.yml
            """
        )
        let prometheus = try RunningRole(
            [
                "--config.file=\(folder)/prometheus.yml", "--storage.tsdb.path=\(folder)/data",
                "--web.listen-address=127.0.0.1:\(port)",
            ],
            [:],
            program: "/usr/bin/prometheus"
        )
        let outcome: Result<Void, any Error>
        do {
            try await eventually("Prometheus has asked all roles") {
                let answer = try await Self.ask(port, "query?query=count(up{job='call-scheduler'}==1)")
                return answer.contains("\"\(ports.count)\"]")
            }
            for metrics in ports.values {
                let text = "curl -sSf http://127.0.0.1:\(metrics)/metrics"
                try await Shell.run("set -o pipefail; \(text) | promtool check metrics")
            }
            outcome = .success(try await body(port))
        } catch {
            outcome = .failure(error)
        }
        await prometheus.stop()
        try outcome.get()
    }

    /// What Prometheus remembers of the campaign, and that it could judge every alert by it.
    private static func checkHistory(_ prometheus: Int) async throws {
        for (query, value) in [
            ("sum(call_scheduler_dialer_placements_total{result='accepted'})", "20"),
            ("sum(call_scheduler_recorder_outcomes_total{outcome='completed'})", "20"),
            ("max(max_over_time(call_scheduler_dialer_live_calls[5m]))>0", ""),
            ("histogram_quantile(0.5,sum by (le) (call_scheduler_dialer_due_to_placed_seconds_bucket))>0", ""),
        ] {
            try await eventually("Prometheus knows \(query)") {
                try await Self.ask(prometheus, "query?query=\(query)").contains(value + "\"]")
            }
        }
        let alerts = try String(
            contentsOf: Shell.root.appendingPathComponent("ops/prometheus/alerts.yml"),
            encoding: .utf8
        ).matches(of: /- alert:/).count
        try await eventually("every alert is judged") {
            let rules = try await Self.ask(prometheus, "rules")
            return rules.matches(of: /"health":"ok"/).count == alerts
        }
    }

    private static func ask(_ prometheus: Int, _ question: String) async throws -> String {
        let allowed = CharacterSet(charactersIn: "%\"<>[]{} ").inverted
        let path = question.addingPercentEncoding(withAllowedCharacters: allowed) ?? ""
        let request = HTTPClientRequest(url: "http://127.0.0.1:\(prometheus)/api/v1/\(path)")
        guard let response = try? await HTTPClient.shared.execute(request, timeout: .seconds(600)) else { return "" }
        return String(buffer: try await response.body.collect(upTo: 1 << 20))
    }

    /// The figures of all roles.
    private static func scrape(_ ports: [String: Int]) async throws -> [String] {
        var lines: [String] = []
        for port in ports.values { lines += try await Self.scrape(port) }
        return lines
    }

    private static func scrape(_ port: Int) async throws -> [String] {
        let response = try await HTTPClient.patient.execute(
            HTTPClientRequest(url: "http://127.0.0.1:\(port)/metrics"),
            timeout: .seconds(600)
        )
        #expect(response.headers.first(name: "content-type")?.hasPrefix("text/plain; version=0.0.4") == true)
        return String(buffer: try await response.body.collect(upTo: 1 << 22)).split(separator: "\n").map(String.init)
    }

    private static func check(_ lines: [String]) throws {
        let types = lines.filter { $0.hasPrefix("# TYPE ") }.map { $0.split(separator: " ").suffix(2).map(String.init) }
        let listed = Dictionary(uniqueKeysWithValues: Metric.all.map { ($0.name, $0) })
        for type in types {
            let metric = try #require(listed[type[0]], "\(type[0]) is exposed and not listed")
            #expect(metric.kind.rawValue == type[1], "\(type[0])")
        }
        let exposed = Set(types.map { $0[0] })
        for metric in Metric.all {
            #expect(exposed.contains(metric.name), "\(metric.name) is listed and not exposed")
        }
        // Phones rang until that was recorded.
        #expect(!lines.contains("call_scheduler_recorder_ring_to_answer_seconds_count 0"))
        // On a slow machine a claim is given back, its permission outdated, and the contact is claimed again.
        var claims: [Int] = []
        for name in ["claimed_total", "published_total", "campaign_claimed_total{campaign=\"test\"}"] {
            let line = lines.first { $0.hasPrefix("call_scheduler_selector_" + name + " ") }
            let value: Substring? = line?.split(separator: " ").last
            if let number = value.flatMap({ Int($0) }) { claims.append(number) }
        }
        #expect(claims.count == 3 && Set(claims).count == 1 && claims[0] >= 20, "\(claims)")
        for line in [
            "call_scheduler_dialer_placements_total{trunk=\"default\",result=\"accepted\"} 20",
            "call_scheduler_dialer_live_calls{trunk=\"default\"} 0",
            "call_scheduler_dialer_held_calls{trunk=\"default\"} 0",
            "call_scheduler_dialer_call_limit{trunk=\"default\"} 10",
            "call_scheduler_dialer_breaker_open{trunk=\"default\"} 0",
            "call_scheduler_dialer_claim_to_placed_seconds_count 20",
            "call_scheduler_selector_queue_ready{trunk=\"default\"} 0",
            "call_scheduler_dialer_due_to_placed_seconds_count 20",
            "call_scheduler_webhook_callback_lag_seconds_count 60", "call_scheduler_database_waiting 0",
            "call_scheduler_broker_connected{connection=\"dialer\"} 1",
            "call_scheduler_broker_deliveries_total{connection=\"recorder\"} 60",
        ] {
            #expect(
                lines.contains(line),
                "\(line) in \(lines.filter { !$0.contains("_bucket") }.joined(separator: "\n"))"
            )
        }
    }
}

extension Metric.Label {
    /// Its one value is among the dialer's settings.
    fileprivate func isOfThisDialer(_ metric: Metric) -> Bool { metric.role == "dialer" && self.name == "trunk" }
}
