// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import TestSupport
import Testing

/// What roles say of themselves, and what is concluded from it.
@Suite(.timeLimit(.minutes(5)))
struct VerdictTests {
    @Test("a role is running, silent or stopped; of several processes with one id the latest counts")
    func presence() async throws {
        try await Scratch.run { scratch in
            let store = scratch.store
            let (first, second) = (UUID(), UUID())
            var report = CallStore.RoleReport(kind: .dialer, id: "d1")
            (report.trunk, report.lines, report.live, report.breaker) = ("east", 10, 3, .closed)
            func standing() async throws -> CallStore.RoleStanding {
                let roles = try await store.roles()
                #expect(roles.count == 1)
                return try #require(roles.first)
            }
            try await store.note([report], instance: first, host: "h1", version: "1.0")
            #expect(try await standing().report == report)
            #expect(try await standing().presence == .running)
            try await scratch.execute("update roles set seen_at = now() - interval '21 seconds'")
            #expect(try await standing().presence == .silent)
            report.fault = "broker: connecting"
            report.live = 4
            try await store.note([report], instance: first, host: "h1", version: "1.0")
            #expect(try await standing().report == report)
            try await store.noteStop(instance: first)
            #expect(try await standing().presence == .stopped)
            report.fault = nil
            try await store.note([report], instance: second, host: "h2", version: "1.1")
            #expect(try await standing().host == "h2")
            #expect(try await standing().presence == .running)
            try await store.sweepRoles()
            #expect(try await scratch.value("select count(*) from roles", as: Int.self) == 2)
            try await scratch.execute("update roles set seen_at = now() - interval '25 hours' where host = 'h1'")
            try await store.sweepRoles()
            #expect(try await scratch.value("select count(*) from roles", as: Int.self) == 1)
        }
    }

    @Test("a line that is written again and again changes no index")
    func hot() async throws {
        try await Scratch.run { scratch in
            let instance = UUID()
            for number in 0..<50 {
                var report = CallStore.RoleReport(kind: .dialer, id: "d1")
                report.live = number
                try await scratch.store.note([report], instance: instance, host: "h", version: "1")
            }
            try await scratch.execute("select pg_stat_force_next_flush()")
            let (all, hot) = (
                try await scratch.value(
                    "select pg_stat_get_tuples_updated('roles'::regclass)",
                    as: Int.self
                ), try await scratch.value("select pg_stat_get_tuples_hot_updated('roles'::regclass)", as: Int.self)
            )
            #expect(all >= hot && all - hot <= 1, "\(all) updates, \(hot) of them without a new index entry")
        }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var missing: Set<CallStore.RoleReport.Kind> = []
        var faults: [CallStore.RoleReport.Kind: String] = [:]
        var breaker: CallStore.RoleReport.Breaker = .closed
        var consumers: [String: Int] = ["default": 1]
        var live = 0
        var sql = "select 1"
        let verdict: String
    }

    @Test(
        "the cause is named",
        arguments: [
            Case(
                testDescription: "all is well",
                verdict: "calls are about to be made: the selector makes a pass every"
            ),
            Case(
                testDescription: "no dialer",
                missing: [.dialer],
                consumers: ["default": 0],
                verdict: "because no dialer runs on its trunk 'default'"
            ),
            Case(
                testDescription: "a dialer of the version before",
                missing: [.dialer],
                verdict: "calls are about to be made"
            ),
            Case(
                testDescription: "a dialer that has just died",
                consumers: ["default": 0],
                verdict: "because no dialer takes the requests of its trunk 'default'; dialer on h was last heard of at"
            ),
            Case(
                testDescription: "the provider",
                faults: [.dialer: "dialer: the provider fails; the circuit breaker is open"],
                breaker: .open,
                verdict: "because the provider fails, and the circuit breaker of its trunk's dialers is open (dialer)"
            ),
            Case(
                testDescription: "a dialer's connection",
                faults: [.dialer: "dialer's connection: refused"],
                verdict: "because no dialer of its trunk is ready: dialer says: dialer's connection: refused"
            ),
            Case(
                testDescription: "the broker's alarm",
                faults: [.selector: "broker: the broker takes no messages now: low on disk"],
                verdict: "because the broker takes no messages now: low on disk"
            ),
            Case(testDescription: "no selector", missing: [.selector], verdict: "because no selector runs"),
            Case(
                testDescription: "the selector",
                faults: [.selector: "selector: a fault"],
                verdict: "because no selector is ready: selector says: selector: a fault"
            ),
            Case(
                testDescription: "no recorder",
                missing: [.recorder],
                verdict: "because no recorder runs: calls that have ended keep their lines"
            ),
            Case(
                testDescription: "no webhooks",
                missing: [.webhooks],
                verdict: ", but no webhooks process runs: how calls go is learned late"
            ),
            Case(
                testDescription: "a paused trunk, whoever works",
                missing: Set(CallStore.RoleReport.Kind.allCases),
                sql: "insert into trunks (name, paused_at, paused_reason) values ('default', now(), 'no credit')",
                verdict: "because its trunk is paused: no credit"
            ),
            Case(
                testDescription: "the window, and nobody who would call",
                missing: [.dialer],
                consumers: [:],
                sql: "update contacts set next_attempt_at = now() + interval '1 hour'",
                verdict: "; moreover, no dialer runs on its trunk 'default'"
            ),
            Case(
                testDescription: "the lines",
                live: 10,
                sql: """
                    update contacts set state = 'in_progress', prior_state = 'pending', call_id = gen_random_uuid(),
                        lease_until = now() + interval '1 hour'
                    """,
                verdict: "2 requests wait because all 10 lines of the trunk's dialers are taken"
            ),
        ]
    )
    func cause(example: Case) async throws {
        try await Scratch.run { scratch in
            _ = try await Fixtures.runningCampaign(in: scratch.store, contacts: 2)
            try await scratch.execute(example.sql)
            for kind in CallStore.RoleReport.Kind.allCases where !example.missing.contains(kind) {
                var report = CallStore.RoleReport(kind: kind, id: kind.rawValue)
                report.fault = example.faults[kind]
                if kind == .dialer {
                    (report.trunk, report.lines, report.live) = ("default", 10, example.live)
                    report.breaker = example.breaker
                }
                if kind == .selector { (report.restsSeconds, report.passedAt) = (60, Date()) }
                try await scratch.store.note([report], instance: UUID(), host: "h", version: "1")
            }
            var funnel = try await scratch.store.explainCampaign(named: "test")
            funnel.judge(
                by: CallStore.House(
                    roles: try await scratch.store.roles(),
                    consumers: example.consumers,
                    brokerFault: nil
                )
            )
            #expect(funnel.verdict?.contains(example.verdict) == true, "\(funnel.verdict ?? "")")
        }
    }
}
