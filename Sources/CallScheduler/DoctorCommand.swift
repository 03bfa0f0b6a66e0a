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
        abstract: "Check configuration, database, schema, broker, topology and provider; say what to do about faults."
    )
    @OptionGroup var common: CommonOptions
    @OptionGroup var output: OutputOptions

    /// One finding.
    struct Finding: Encodable, Sendable {
        let check: String
        let ok: Bool
        let finding: String
        var advice: String?
    }

    func run() async throws {
        var findings: [Finding] = []
        var settings = try self.common.settings()
        let database = settings.database(applicationName: "call-scheduler/doctor")
        let broker = settings.broker()
        let provider = settings.provider()
        let (webhooks, health) = (settings.webhooks(), settings.health())
        _ = (settings.logging(), settings.selector(), settings.dialer(), settings.recorder())
        findings += settings.faults.map {
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
        if let database { findings += await Self.examine(database) }
        if let broker { findings += await Self.examine(broker, trunk: settings.dialer().trunk) }
        if let provider { findings.append(await Self.examine(provider)) }
        if let finding = await Self.examineProxies(webhooks, provider: provider, health: health) {
            findings.append(finding)
        }
        try self.print(findings)
        let faults = findings.count { !$0.ok }
        guard faults == 0 else { throw CheckFailed(message: "\(faults) of \(findings.count) checks failed") }
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

    private static func examine(_ configuration: PostgresConfiguration) async -> [Finding] {
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
                    finding: "\(error)",
                    advice: "is PostgreSQL running, and DATABASE_URL right? (\(configuration.redactedDescription))"
                )
            )
        }
        await client.close()
        return findings
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

    private static func examine(_ configuration: AMQPConfiguration, trunk: String) async -> [Finding] {
        let topology = CallTopology.dialRequests(trunk: trunk).union(CallTopology.reports())
            .union(CallTopology.surveys()).union(CallTopology.hints())
        let connection = AMQPConnection(configuration: configuration, logger: Self.quiet)
        var findings: [Finding] = []
        do {
            try await connection.waitUntilReady(timeout: .seconds(5))
            findings.append(Finding(check: "broker", ok: true, finding: configuration.redactedDescription))
            do {
                try await connection.declare(topology)
                findings.append(Finding(check: "topology", ok: true, finding: "as declared"))
                let dead = try await connection.queueStatus(CallTopology.dead).messagesReady
                if dead > 0 {
                    findings.append(
                        Finding(
                            check: "dead letters",
                            ok: true,
                            finding: "\(dead) message(s) in \(CallTopology.dead)",
                            advice: "`call-scheduler dead-letters list` tells why"
                        )
                    )
                }
            } catch {
                findings.append(
                    Finding(
                        check: "topology",
                        ok: false,
                        finding: "\(error)",
                        advice: "delete what is declared otherwise once it is empty"
                    )
                )
            }
        } catch {
            findings.append(
                Finding(
                    check: "broker",
                    ok: false,
                    finding: "\(error)",
                    advice: "is RabbitMQ running, and AMQP_URL right? (\(configuration.redactedDescription))"
                )
            )
        }
        await connection.close()
        return findings
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
                finding: "\(error)",
                advice: "check TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_BASE_URL"
            )
        }
        try? await client.shutdown()
        return finding
    }

    private static var quiet: Logger {
        var logger = Logger(label: "call-scheduler")
        logger.logLevel = .critical
        return logger
    }
}
