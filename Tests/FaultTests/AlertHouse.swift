// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import AsyncHTTPClient
import CallModel
import CallQueues
import CallStore
import Foundation
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import Postgres
import TestBasics
import TestSupport

/// A house with servers of its own and a real Prometheus that judges it by the shipped alerts, with shortened times.
final class AlertHouse: Sendable {
    static let roles = ["selector", "dialer", "recorder", "webhooks"]
    private static let scenario = """
        {"seed": 1, "outcomes": {"completed": 1}, "ring_seconds": {"min": 0.1, "max": 0.1},
         "talk_seconds": {"min": 0.1, "max": 0.2}}
        """

    let servers: Servers
    let store: CallStore
    let client: PostgresClient
    /// Between the roles and whom they need.
    let database: TCPProxy
    let broker: TCPProxy
    let provider: TCPProxy
    let webhooks: Int
    private let rehearsal: NIOLockedValueBox<Rehearsal>
    private let running = NIOLockedValueBox<[String: RunningRole]>([:])
    private let environment: [String: String]
    private let ports: [String: Int]
    private let prometheus: Int

    /// Runs a test in a house, and takes it down whatever happens.
    static func run(_ body: (AlertHouse) async throws -> Void) async throws {
        let servers = try await Servers.start(name: TestRun.name + "-alerts")
        let outcome: Result<Void, any Error>
        do {
            let house = try await AlertHouse(servers)
            do {
                for role in Self.roles { try house.start(role) }
                try await house.withPrometheus { try await body(house) }
                outcome = .success(())
            } catch {
                for (name, role) in house.running.withLockedValue(\.self) {
                    print("--- \(name)\n\(role.log.suffix(1500))")
                }
                outcome = .failure(error)
            }
            await house.end()
        } catch {
            outcome = .failure(error)
        }
        try await servers.stop()
        try outcome.get()
    }

    private init(_ servers: Servers) async throws {
        var logger = Logger(label: "alerts")
        logger.logLevel = .error
        self.servers = servers
        self.client = PostgresClient(
            configuration: try PostgresConfiguration(uri: servers.databaseURL),
            logger: logger
        )
        self.store = CallStore(client: self.client, logger: logger)
        _ = try await self.store.migrate()
        let rehearsal = try await Rehearsal.start(scenario: Self.scenario)
        self.rehearsal = NIOLockedValueBox(rehearsal)
        self.database = try await TCPProxy(port: Ports.free(), targets: [Servers.port(of: servers.databaseURL)])
        self.broker = try await TCPProxy(port: Ports.free(), targets: [Servers.port(of: servers.brokerURL)])
        self.provider = try await TCPProxy(port: Ports.free(), targets: [Servers.port(of: rehearsal.url)])
        self.webhooks = try Ports.free()
        self.prometheus = try Ports.free()
        self.ports = try Dictionary(uniqueKeysWithValues: Self.roles.map { ($0, try Ports.free()) })
        self.environment = [
            "DATABASE_URL": Servers.url(servers.databaseURL, port: self.database.port),
            "AMQP_URL": Servers.url(servers.brokerURL, port: self.broker.port),
            "TWILIO_ACCOUNT_SID": Rehearsal.account, "TWILIO_AUTH_TOKEN": Rehearsal.token,
            "TWILIO_BASE_URL": "http://127.0.0.1:\(self.provider.port)", "TWILIO_REQUEST_TIMEOUT_SECONDS": "3",
            "WEBHOOK_PUBLIC_URL": "http://127.0.0.1:\(self.webhooks)", "WEBHOOK_PORT": "\(self.webhooks)",
            "SELECTOR_INTERVAL_SECONDS": "0.5", "SELECTOR_QUEUE_DEPTH": "20", "SELECTOR_CLAIM_TTL_SECONDS": "5",
            "DIALER_ID": "d1", "DIALER_MAX_CONCURRENT_CALLS": "10", "DIALER_CALLS_PER_SECOND": "100",
            "DIALER_CALL_MARGIN_SECONDS": "1", "DIALER_FAILURE_BACKOFF_SECONDS": "1",
            "DIALER_BREAKER_PAUSE_SECONDS": "1",
        ]
    }

    private func end() async {
        for role in self.running.withLockedValue({ $0.values }) { await role.stop() }
        await self.rehearsal.withLockedValue(\.self).role.stop()
        for wire in [self.database, self.broker, self.provider] { await wire.close() }
        await self.client.close()
    }

    func start(_ role: String) throws {
        let port = "\(self.ports[role] ?? 0)"
        let process = try RunningRole([role], self.environment.merging(["HEALTH_PORT": port]) { _, new in new })
        self.running.withLockedValue { $0[role] = process }
    }

    func stop(_ role: String) async { await self.running.withLockedValue { $0.removeValue(forKey: role) }?.stop() }

    func hold(_ gate: Rehearsal.Gate) async throws { try await self.rehearsal.withLockedValue(\.self).hold(gate) }

    func release(_ gate: Rehearsal.Gate) async throws { try await self.rehearsal.withLockedValue(\.self).release(gate) }

    /// Puts another provider in the place of the present one, which knows nothing of its calls.
    func replaceProvider() async throws {
        let other = try await Rehearsal.start(scenario: Self.scenario)
        self.provider.point(at: [Servers.port(of: other.url)])
        let former = self.rehearsal.withLockedValue { rehearsal in
            defer { rehearsal = other }
            return rehearsal
        }
        await former.role.stop()
    }

    func campaign(_ name: String, contacts: Int) async throws {
        let first = try await self.count("contacts")
        _ = try await Fixtures.runningCampaign(in: self.store, name: name, contacts: contacts, first: first) {
            $0.maximumCallSeconds = 3600
            $0.maximumAttempts = 15
            $0.retryIntervalMinutes = 0
            $0.answerURL = "http://127.0.0.1:\(self.provider.port)/simulator/answer"
        }
    }

    /// Ends what is under way, as well as it can be ended.
    func calm() async throws {
        for gate in [Rehearsal.Gate.answer, .end] { try await self.release(gate) }
        try await eventually("all contacts are final", of: { try await self.count(Self.open) }) { $0 == 0 }
    }

    private static let open = """
        contacts c where state in ('pending', 'in_progress') or state = 'not_reached' and next_attempt_at is not null
        """

    func count(_ what: String) async throws -> Int {
        let result = try await self.execute("select count(*) from " + what)
        return try result.first?.decode(Int.self, at: 0) ?? 0
    }

    @discardableResult
    func execute(_ sql: String) async throws -> PostgresResult {
        try await self.client.execute(PostgresStatement(sql, prepared: false))
    }

    func command(_ arguments: [String]) async throws {
        let ended = try await Product.run(
            arguments,
            ["DATABASE_URL": self.servers.databaseURL, "AMQP_URL": self.servers.brokerURL]
        )
        guard ended.exitCode == 0 else { throw Shell.CommandFailed(description: ended.output + ended.errors) }
    }

    func post(_ url: String, headers: HTTPHeaders) async throws {
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers = headers
        _ = try await HTTPClient.patient.execute(request, timeout: .seconds(600))
    }

    private func ask(_ question: String) async throws -> String {
        let request = HTTPClientRequest(url: "http://127.0.0.1:\(self.prometheus)/api/v1/\(question)")
        let response = try await HTTPClient.patient.execute(request, timeout: .seconds(600))
        return String(buffer: try await response.body.collect(upTo: 1 << 22))
    }

    /// The alerts that fire now.
    func firing() async throws -> Set<String> {
        struct Answer: Decodable {
            struct Alert: Decodable {
                let labels: [String: String]
                let state: String
            }
            struct Content: Decodable { let alerts: [Alert] }
            let data: Content
        }
        let alerts = try JSONDecoder().decode(Answer.self, from: Data(try await self.ask("alerts").utf8)).data.alerts
        return Set(alerts.filter { $0.state == "firing" }.compactMap { $0.labels["alertname"] })
    }

    /// Prometheus with the shipped files; only their times are shorter, and the addresses are those of this house.
    private func withPrometheus(_ body: () async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.path + "/prometheus-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let addresses = self.ports.map { "s/\"\($0)-1\\.example\\.org:9464\"[^]]*/\"127.0.0.1:\($1)\"/" }
        let often = ["s/^( *)scrape_interval: .*/\\1scrape_interval: 1s\\n\\1evaluation_interval: 1s/"]
        let rules = ["s/\\[[0-9]+[mh]\\]/[15s]/", "s/for: [0-9]+m/for: 1s/", "s/ > 30$/ > 2/"]
        try await Shell.run(
            """
            mkdir '\(folder)' && cd '\(folder)' && cp '\(Shell.root.path)'/ops/prometheus/{alerts,prometheus}.yml . && \
            sed -Ei '\((addresses + often).joined(separator: ";"))' prometheus.yml && \
            sed -Ei '\(rules.joined(separator: ";"))' alerts.yml && promtool check config prometheus.yml
            """
        )
        let server = try RunningRole(
            [
                "--config.file=\(folder)/prometheus.yml", "--storage.tsdb.path=\(folder)/data",
                "--web.listen-address=127.0.0.1:\(self.prometheus)",
            ],
            [:],
            program: "/usr/bin/prometheus"
        )
        let outcome: Result<Void, any Error>
        do {
            // What happens before the first look at a role is what it began with.
            try await eventually("Prometheus has asked every role") {
                (try? await self.ask("query?query=count(up%7Bjob='call-scheduler'%7D==1)"))?
                    .contains("\"\(Self.roles.count)\"]") == true
            }
            outcome = .success(try await body())
        } catch {
            outcome = .failure(error)
        }
        await server.stop()
        try outcome.get()
    }
}
