// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallStore
import Foundation

/// A role, for people and for machines.
struct RoleView: Encodable, Sendable {
    let kind: String
    let id: String
    let host: String
    let version: String
    let trunk: String?
    let presence: String
    let since: Date
    let seenAt: Date
    let ready: Bool
    let fault: String?
    let lines: Int?
    let live: Int?
    let breaker: String?
    let lastPass: Date?

    init(_ role: CallStore.RoleStanding) {
        self.kind = role.report.kind.rawValue
        self.id = role.report.id
        self.host = role.host
        self.version = role.version
        self.trunk = role.report.trunk
        self.presence = role.presence.rawValue
        self.since = role.since
        self.seenAt = role.seenAt
        self.ready = role.presence == .running && role.report.fault == nil
        self.fault = role.report.fault
        self.lines = role.report.lines
        self.live = role.report.live
        self.breaker = role.report.breaker?.rawValue
        self.lastPass = role.report.passedAt
    }

    static func print(_ roles: [RoleView]) {
        // Those that have stopped, or died long ago, are of interest to machines and to `campaign why`.
        let shown = roles.filter { $0.presence == "running" || $0.presence == "silent" && $0.seenAt > Date() - 3600 }
        Console.table(
            ["ROLE", "ID", "HOST", "VERSION", "TRUNK", "STATE", "#LINES", "#LIVE", "BREAKER", "SINCE"],
            shown.map { role in
                [
                    role.kind, role.id, role.host, role.version, role.trunk ?? "", role.state,
                    role.lines.map(String.init) ?? "", role.live.map(String.init) ?? "", role.breaker ?? "",
                    role.since.formatted(.iso8601),
                ]
            }
        )
        for role in shown where role.presence == "running" {
            if let fault = role.fault { Console.line("\(role.kind) \(role.id) is not ready: \(fault)") }
        }
    }

    private var state: String {
        self.presence == "silent"
            ? "silent since \(self.seenAt.formatted(.iso8601))" : self.ready ? "ready" : "not ready"
    }
}
