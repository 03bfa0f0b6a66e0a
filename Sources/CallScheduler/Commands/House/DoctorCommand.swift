// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import ArgumentParser
import AsyncHTTPClient
import CallQueues
import CallStore
import Dialing
import Foundation
import Logging
import Postgres
import Telephony

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract:
            "Check configuration, database, schema, broker, topology, roles and provider; say what to do about faults.",
        discussion: """
            It only looks: nothing is made or changed. With the settings of a role, --role leaves out what is not that \
            role's to see. RabbitMQ's alarms, limits and consumer_timeout are seen with --management, whose user needs the \
            tag `monitoring`.
            """
    )
    @OptionGroup var common: CommonOptions
    @OptionGroup var output: OutputOptions
    @Option(help: "Check as this role, whose settings are given: selector, dialer, recorder or webhooks.")
    var role: RoleProcess.Role?
    @Option(
        help: ArgumentHelp("RabbitMQ's management URL, or @FILE, a file that holds it.", valueName: "URL"),
        completion: .file()
    )
    var management: String?

    /// One finding.
    struct Finding: Encodable, Sendable {
        let check: String
        let ok: Bool
        let finding: String
        var advice: String?
    }

    func run() async throws {
        var settings = try self.common.settings()
        let database = settings.database(applicationName: "call-scheduler/doctor")
        let broker = settings.broker()
        let needsProvider = self.role?.needsProvider ?? true
        let provider = needsProvider ? settings.provider() : nil
        let (webhooks, health, dialer) = (settings.webhooks(), settings.health(), settings.dialer())
        _ = (settings.logging(), settings.selector(), settings.recorder())
        let management = try self.management.map(BrokerManagement.init)
        var findings = settings.faults.map {
            Finding(
                check: "configuration",
                ok: false,
                finding: $0,
                advice: "correct the setting; --help lists them all"
            )
        }
        if settings.faults.isEmpty {
            findings.append(Finding(check: "configuration", ok: true, finding: "complete"))
        }
        var house = HouseSight()
        if let database { findings += await Self.examine(database, &house) }
        if let broker {
            findings += await Self.examine(broker, self.topology(trunk: dialer.trunk, house), house)
            findings += await Self.examine(management, virtualHost: broker.virtualHost, house)
        }
        findings += Self.examine(house)
        if let provider { findings.append(await Self.examine(provider)) }
        if self.role.map({ $0 == .webhooks }) ?? true,
            let finding = await Self.examineProxies(webhooks, provider: provider, health: health)
        {
            findings.append(finding)
        }
        if let finding = await Self.examinePort(health) { findings.append(finding) }
        try self.print(findings)
        let faults = findings.count { !$0.ok }
        guard faults == 0 else { throw CheckFailed(message: "\(faults) of \(findings.count) checks failed") }
    }

    /// What the role whose settings these are declares; all, when nobody says which it is.
    private func topology(trunk: String, _ house: HouseSight) -> AMQPTopology {
        let trunks = self.role == .dialer ? [trunk] : house.trunks.isEmpty ? [trunk] : house.trunks
        let requests = trunks.reduce(into: AMQPTopology()) { $0.formUnion(CallTopology.dialRequests(trunk: $1)) }
        return switch self.role {
        case nil: requests.union(CallTopology.reports()).union(CallTopology.surveys()).union(CallTopology.hints())
        case .selector: requests
        case .dialer: requests.union(CallTopology.reports()).union(CallTopology.hints())
        case .recorder: CallTopology.reports().union(CallTopology.surveys()).union(CallTopology.hints())
        case .webhooks: CallTopology.reports()
        }
    }

    private func print(_ findings: [Finding]) throws {
        if self.output.json {
            try Console.json(findings)
            return
        }
        for finding in findings {
            Console.line("\(finding.ok ? "ok   " : "FAULT")  \(finding.check): \(finding.finding)")
            if let advice = finding.advice { Console.line("       → \(advice)") }
        }
    }

    /// What doctor has learned from the database.
    struct HouseSight {
        /// nil when these credentials may not see it.
        var roles: [CallStore.RoleStanding]?
        var trunks: [String] = []
        var runningCampaigns = 0
        var longestCall = Duration.zero

        /// Whether somebody works, or should.
        var isAtWork: Bool { self.runningCampaigns > 0 || self.roles?.contains { $0.presence == .running } == true }
    }

    private static func examine(
        _ configuration: PostgresConfiguration,
        _ house: inout HouseSight
    ) async -> [Finding] {
        var configuration = configuration
        configuration.acquireTimeout = .seconds(5)
        let client = PostgresClient(configuration: configuration, logger: Self.quiet)
        let store = CallStore(client: client, logger: Self.quiet)
        var findings: [Finding] = []
        do {
            try await store.ping()
            findings.append(Finding(check: "database", ok: true, finding: configuration.redactedDescription))
            let schema = try await store.schemaState()
            findings.append(Self.finding(schema))
            if case .current = schema {
                findings += ((try? await store.databaseLacks())?.words ?? []).map { words in
                    let parts = words.split(separator: ": ", maxSplits: 1).map(String.init)
                    return Finding(check: "database", ok: false, finding: parts[0], advice: parts.last)
                }
            }
            // A role's own credentials may not see everything, which is right so.
            house.roles = try? await store.roles()
            house.trunks = (try? await store.trunksInUse()) ?? []
            if let work = try? await store.campaignsAtWork() {
                (house.runningCampaigns, house.longestCall) = work
            }
            for (trunk, reason) in (try? await store.pausedTrunks()) ?? [] {
                findings.append(
                    Finding(
                        check: "trunk \(trunk)",
                        ok: false,
                        finding: "paused: \(reason)",
                        advice: "remove the cause, then `call-scheduler trunk resume \(trunk)`"
                    )
                )
            }
            for overdue in (try? await store.overduePolicies()) ?? [] {
                findings.append(
                    Finding(
                        check: "policy \(overdue.policy)",
                        ok: false,
                        finding: "was to be looked at again by \(overdue.reviewBy); under it: "
                            + overdue.campaigns.joined(separator: ", "),
                        advice: "see whether its rules still hold, and put its campaigns under a newer version "
                            + "(`policy list`, `campaign policy`)"
                    )
                )
            }
            for fault in (try? await store.faults()) ?? [] {
                findings.append(
                    Finding(
                        check: "\(fault.kind.rawValue) \(fault.name)",
                        ok: false,
                        finding: "put aside: \(fault.reason)",
                        advice: "remove the cause; it is tried again by itself (ops/RUNBOOK.md, something is put aside)"
                    )
                )
            }
        } catch {
            findings.append(
                Finding(
                    check: "database",
                    ok: false,
                    finding: Self.words(error),
                    advice: "is PostgreSQL running, and DATABASE_URL right? (\(configuration.redactedDescription))"
                )
            )
        }
        await client.close()
        return findings
    }

    /// Whoever said it, in its own words.
    static func words(_ error: any Error) -> String {
        switch error {
        case let error as PostgresError: error.message
        case let error as AMQPError: error.message
        case let error as TelephonyError: error.message
        default: "\(error)"
        }
    }

    private static func finding(_ state: CallStore.SchemaState) -> Finding {
        switch state {
        case .current(let version): Finding(check: "schema", ok: true, finding: "version \(version)")
        case .behind(let version, let missing):
            Finding(
                check: "schema",
                ok: false,
                finding: "version \(version), \(missing.count) migration(s) missing",
                advice: "run `call-scheduler migrate`"
            )
        case .ahead(let version):
            Finding(
                check: "schema",
                ok: false,
                finding: "version \(version) is newer than this program",
                advice: "use the newer program"
            )
        case .edited(let difference):
            Finding(
                check: "schema",
                ok: false,
                finding: "a migration was edited: \(difference)",
                advice: "restore the original script"
            )
        }
    }

    private static func examine(_ configuration: TwilioConfiguration) async -> Finding {
        let client = HTTPClient(configuration: TwilioProvider.makeHTTPClientConfiguration())
        let provider = TwilioProvider(configuration: configuration, httpClient: client, logger: Self.quiet)
        let finding: Finding
        do {
            try await provider.checkCredentials()
            finding = Finding(check: "provider", ok: true, finding: "takes the account's credentials")
        } catch {
            finding = Finding(
                check: "provider",
                ok: false,
                finding: Self.words(error),
                advice: "check TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_BASE_URL"
            )
        }
        try? await client.shutdown()
        return finding
    }

    static var quiet: Logger {
        var logger = Logger(label: "call-scheduler")
        logger.logLevel = .critical
        return logger
    }
}
