// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import CallStore
import Foundation
import NIOCore

extension DoctorCommand {
    /// Who is missing in a house where somebody works or should; in one that was never started, nobody.
    static func examine(_ sight: HouseSight) -> [Finding] {
        guard let roles = sight.roles else { return [] }
        guard sight.isAtWork else {
            return [
                Finding(
                    check: "roles",
                    ok: true,
                    finding: "none runs, and no campaign either; `status` shows them later"
                )
            ]
        }
        let house = CallStore.House(roles: roles, consumers: [:], brokerFault: nil)
        var findings: [Finding] = []
        let trunks = sight.trunks.isEmpty ? [] : sight.trunks
        for trunk in trunks where house.dialers(of: trunk).isEmpty {
            findings.append(
                Finding(
                    check: "dialers",
                    ok: false,
                    finding: house.cause(trunk: trunk) ?? "no dialer runs on trunk '\(trunk)'",
                    advice: "start `call-scheduler dialer` with DIALER_TRUNK=\(trunk)"
                )
            )
        }
        for kind in CallStore.RoleReport.Kind.allCases where kind != .dialer || trunks.isEmpty {
            if let absence = house.absence(of: kind), !absence.contains("is ready") {
                findings.append(
                    Finding(
                        check: kind == .dialer ? "dialers" : kind.rawValue,
                        ok: false,
                        finding: absence,
                        advice: "start `call-scheduler \(kind.rawValue)`"
                    )
                )
            }
        }
        for role in roles where role.presence == .running {
            guard let fault = role.report.fault else { continue }
            findings.append(
                Finding(
                    check: "\(role.report.kind.rawValue) \(role.report.id)",
                    ok: false,
                    finding: "not ready: \(fault)",
                    advice: "remove the cause; it goes on by itself (ops/RUNBOOK.md)"
                )
            )
        }
        if findings.isEmpty { findings.append(Finding(check: "roles", ok: true, finding: "all run and are ready")) }
        return findings
    }

    /// Whether somebody else has the port of the health endpoint on this host.
    static func examinePort(_ health: (host: String, port: Int)) async -> Finding? {
        guard health.port > 0 else { return nil }
        let host = health.host.contains(":") ? "[\(health.host)]" : health.host
        let client = HTTPClient()
        let request = HTTPClientRequest(url: "http://\(host):\(health.port)/health/live")
        let answer: String?
        do {
            let body = try await client.execute(request, timeout: .seconds(2)).body.collect(upTo: 1 << 16)
            answer = String(buffer: body)
        } catch is HTTPClientError {
            // It listens, and does not speak as we do.
            answer = ""
        } catch {
            answer = nil
        }
        try? await client.shutdown()
        guard let answer, answer != "live\n" else { return nil }
        return Finding(
            check: "health port",
            ok: false,
            finding: "HEALTH_PORT: port \(health.port) on \(health.host) is in use by another program",
            advice: "end it, or give another HEALTH_PORT"
        )
    }
}
