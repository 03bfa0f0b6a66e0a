// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallStore
import Foundation
import Postgres
import TestSupport
import Testing

/// Roles plan their statements once, on whatever the tables hold then, and keep the plans while the tables grow.
@Suite(.timeLimit(.minutes(20)))
struct PlanTests {
    @Test(
        "a statement that was planned on empty tables uses their indexes",
        arguments: CallStore.statementsOfACall.keys
    )
    func onEmptyTables(name: String) async throws {
        try await Scratch.run { scratch in
            let sql = try #require(CallStore.statementsOfACall[name])
            let plan = try await Self.plan(sql, scratch, settings: CallStore.sessionSettings)
            #expect(plan.contains("Index"), "\(plan)")
            for table in ["contacts", "call_attempts", "survey_events"] {
                #expect(!plan.contains("Seq Scan on \(table)"), "\(plan)")
            }
        }
    }

    @Test("without the roles' settings it would not")
    func control() async throws {
        try await Scratch.run { scratch in
            let sql = try #require(CallStore.statementsOfACall["record_reports"])
            let plan = try await Self.plan(sql, scratch, settings: [:])
            #expect(plan.contains("Seq Scan on call_attempts"), "\(plan)")
        }
    }

    private static func plan(_ sql: String, _ scratch: Scratch, settings: [String: String]) async throws -> String {
        var configuration = try PostgresConfiguration(uri: scratch.databaseURL)
        configuration.maximumConnections = 1
        configuration.sessionSettings = settings.merging(["plan_cache_mode": "force_generic_plan"]) { first, _ in first
        }
        let client = PostgresClient(configuration: configuration, logger: scratch.logger)
        let parameters = (1...20).filter { sql.contains("$\($0)") }.map { _ in "null" }.joined(separator: ", ")
        let plan: String
        do {
            // As empty as a new installation's, of which nothing is known.
            for statement in ["analyze", "prepare s as \(sql)"] {
                try await client.execute(PostgresStatement(statement, prepared: false))
            }
            plan = try await client.execute(PostgresStatement("explain execute s(\(parameters))", prepared: false))
                .map { try $0.decode(String.self, at: 0) }
                .joined(separator: "\n")
        } catch {
            await client.close()
            throw error
        }
        await client.close()
        return plan
    }
}
