// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallQueues
import CallStore

extension DoctorCommand {
    /// Whether the broker answers, has what these settings need, and takes messages.
    static func examine(
        _ configuration: AMQPConfiguration,
        _ topology: AMQPTopology,
        _ house: HouseSight
    ) async -> [Finding] {
        let connection = AMQPConnection(configuration: configuration, logger: Self.quiet)
        var findings: [Finding] = []
        do {
            try await connection.waitUntilReady(timeout: .seconds(5))
            findings.append(Finding(check: "broker", ok: true, finding: configuration.redactedDescription))
            findings += try await Self.look(connection, topology, configuration.virtualHost, house)
            if let reason = await connection.alarm(within: .seconds(1)) {
                findings.append(
                    Finding(
                        check: "broker's alarm",
                        ok: false,
                        finding: "the broker takes no messages: \(reason)",
                        advice: "free its disk or memory; roles go on by themselves (ops/RUNBOOK.md)"
                    )
                )
            }
        } catch {
            findings.append(
                Finding(
                    check: "broker",
                    ok: false,
                    finding: Self.words(error),
                    advice: "is RabbitMQ running, and AMQP_URL right? (\(configuration.redactedDescription))"
                )
            )
        }
        await connection.close()
        return findings
    }

    private static func look(
        _ connection: AMQPConnection,
        _ topology: AMQPTopology,
        _ virtualHost: String,
        _ house: HouseSight
    ) async throws -> [Finding] {
        let sight = try await connection.look(at: topology)
        var findings = sight.different.map {
            Finding(
                check: "topology",
                ok: false,
                finding: $0.message,
                advice:
                    "it was declared by another program or version: delete it once it is empty, roles declare it again"
            )
        }
        if !sight.missing.isEmpty {
            let missing = sight.missing.joined(separator: ", ")
            let isNew = sight.missing.count == sight.count
            findings.append(
                Finding(
                    check: "topology",
                    ok: !house.isAtWork,
                    finding: isNew
                        ? "virtual host '\(virtualHost)' has none of our queues"
                        : "missing in virtual host '\(virtualHost)': \(missing)",
                    advice: house.isAtWork
                        ? "is this the virtual host that the roles use? It is the end of AMQP_URL, / unless told"
                        : "roles declare them when they start"
                )
            )
        }
        if findings.isEmpty { findings.append(Finding(check: "topology", ok: true, finding: "as declared")) }
        for queue in [CallTopology.dead, CallTopology.unplaced] {
            guard let letters = try? await connection.queueStatus(queue).messagesReady, letters > 0 else { continue }
            findings.append(
                Finding(
                    check: "dead letters",
                    ok: true,
                    finding: "\(letters) message(s) in \(queue)",
                    advice: "`call-scheduler dead-letters list` tells why"
                )
            )
        }
        return findings
    }

    /// What only the management API tells.
    static func examine(
        _ management: BrokerManagement?,
        virtualHost: String,
        _ house: HouseSight
    ) async -> [Finding] {
        guard let management else { return [] }
        do {
            let limits = try await management.limits(virtualHost: virtualHost)
            var findings = limits.alarms.map {
                Finding(check: "broker's alarm", ok: false, finding: $0, advice: "free its disk or memory")
            }
            for (queue, limit) in limits.deliveryLimits.sorted(by: { $0.key < $1.key }) where limit < 1000 {
                findings.append(
                    Finding(
                        check: "delivery limit",
                        ok: false,
                        finding:
                            "\(queue) gives a message up after \(limit) deliveries; live calls are delivered again with "
                            + "every hand-over",
                        advice: "apply ops/rabbitmq/policies.json with ops/rabbitmq/apply-policies"
                    )
                )
            }
            let needed = house.longestCall * 2 + .seconds(120)
            for (place, timeout) in limits.consumerTimeouts where timeout < needed {
                findings.append(
                    Finding(
                        check: "consumer_timeout",
                        ok: false,
                        finding: "\(place): \(Self.milliseconds(timeout)) ms; the longest call and its margins take "
                            + "\(Self.milliseconds(needed)) ms, and a request is held for as long",
                        advice: "set consumer_timeout = 7200000 in /etc/rabbitmq/conf.d (ops/rabbitmq/rabbitmq.conf)"
                    )
                )
            }
            if limits.consumerTimeouts.isEmpty {
                findings.append(
                    Finding(
                        check: "consumer_timeout",
                        ok: true,
                        finding: "cannot be seen from this host",
                        advice: "`rabbitmq-diagnostics environment` on the broker's must show at least "
                            + "\(Self.milliseconds(needed))"
                    )
                )
            }
            if findings.isEmpty {
                findings.append(Finding(check: "broker's limits", ok: true, finding: "as they must be"))
            }
            return findings
        } catch {
            return [
                Finding(
                    check: "management",
                    ok: false,
                    finding: "\(error)",
                    advice: "is --management right (\(management.place)), and has its user the tag `monitoring`?"
                )
            ]
        }
    }

    private static func milliseconds(_ duration: Duration) -> Int { Int(duration / .milliseconds(1)) }
}
