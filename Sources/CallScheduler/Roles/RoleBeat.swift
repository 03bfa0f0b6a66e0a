// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallStore
import Foundation
import Logging
import Observability
import ServiceLifecycle

/// Notes in the database every few seconds how the roles of this process are, for people to look at.
struct RoleBeat: Service {
    private struct Member {
        let checks: [HealthCheck]
        let standing: @Sendable () -> CallStore.RoleReport
    }

    private let store: CallStore
    private let logger: Logger
    private let instance = UUID()
    private let host = ProcessInfo.processInfo.hostName
    private var members: [Member] = []

    init(store: CallStore, logger: Logger) {
        self.store = store
        self.logger = logger
    }

    /// Adds a role that has no name of its own.
    /// - Parameters:
    ///   - kind: What it does.
    ///   - checks: What must work for it, but for the database: who notes something there has it.
    ///   - tell: Adds what it knows of itself.
    mutating func add(
        _ kind: CallStore.RoleReport.Kind,
        checks: [HealthCheck],
        tell: @escaping @Sendable (inout CallStore.RoleReport) -> Void = { _ in }
    ) {
        let id = "\(self.host):\(ProcessInfo.processInfo.processIdentifier)"
        self.add(checks: checks) {
            var report = CallStore.RoleReport(kind: kind, id: id)
            tell(&report)
            return report
        }
    }

    /// Adds a role.
    mutating func add(checks: [HealthCheck], standing: @escaping @Sendable () -> CallStore.RoleReport) {
        self.members.append(Member(checks: checks, standing: standing))
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var isTold = false
            while !Task.isCancelled {
                var pause = CallStore.roleReportInterval
                do {
                    // What starts, or is ill, may be well soon.
                    if try await self.note() > 0 { pause = .seconds(1) }
                    isTold = false
                } catch {
                    // Nothing depends on it but what people are told.
                    if !isTold, !Task.isCancelled {
                        self.logger.notice(
                            "How this process is cannot be noted in the database",
                            metadata: .keys([.error: "\(error)"])
                        )
                    }
                    isTold = true
                }
                // A sign of life: that time passes is what it is about.
                try? await Task.sleep(for: pause)
            }
        }
        try? await self.store.noteStop(instance: self.instance)
    }

    /// - Returns: How many are not ready.
    private func note() async throws -> Int {
        var reports: [CallStore.RoleReport] = []
        for member in self.members {
            var report = member.standing()
            let faults = await HealthCheck.faults(of: member.checks)
            report.fault = faults.isEmpty ? nil : faults.joined(separator: "; ")
            reports.append(report)
        }
        try await self.store.note(
            reports,
            instance: self.instance,
            host: self.host,
            version: CallSchedulerCommand.configuration.version
        )
        return reports.count { $0.fault != nil }
    }
}
