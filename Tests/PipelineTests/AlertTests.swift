// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Observability
import TestBasics
import Testing

@Suite
struct AlertTests {
    private static func text(_ path: String) throws -> String {
        try String(contentsOf: Shell.root.appendingPathComponent(path), encoding: .utf8)
    }

    @Test("every figure that an alert asks for is exposed, and every alert has its entry in the runbook")
    func alerts() throws {
        let alerts = try Self.text("ops/prometheus/alerts.yml")
        let names = Set(Metric.all.map(\.name))
        let asked = alerts.matches(of: /call_scheduler_[a-z_]+/).map { String($0.0) }
        #expect(asked.count > 10)
        for name in asked {
            let base = name.hasSuffix("_bucket") ? String(name.dropLast("_bucket".count)) : name
            #expect(names.contains(base), "\(name)")
        }
        let entries = Set(
            try Self.text("ops/RUNBOOK.md").split(separator: "\n").filter { $0.hasPrefix("## ") }.map { line in
                line.dropFirst(3).lowercased().filter { $0.isLetter || $0 == " " }.replacing(" ", with: "-")
            }
        )
        let linked = alerts.matches(of: /runbook: ops\/RUNBOOK\.md#([a-z-]+)/).map { String($0.1) }
        #expect(linked.count == alerts.matches(of: /- alert:/).count)
        for link in linked { #expect(entries.contains(link), "\(link)") }
    }

    @Test("by given figures each alert keeps silent, fires and ceases, as promtool judges")
    func rules() async throws {
        let alerts = try Self.text("ops/prometheus/alerts.yml").matches(of: /- alert: (\w+)/).map { String($0.1) }
        let tests = try Self.text("ops/prometheus/alerts-test.yml")
        for alert in alerts {
            #expect(tests.contains("alertname: \(alert)\n        exp_alerts:\n          - "), "\(alert) never fires")
            #expect(tests.contains("alertname: \(alert) }"), "\(alert) is never silent")
        }
        try await Shell.run("promtool test rules '\(Shell.root.path)/ops/prometheus/alerts-test.yml'")
    }
}
