// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallStore
import Foundation
import NIOConcurrencyHelpers
import Observability
import ProviderSimulator
import TestBasics
import TestSupport
import Testing

/// Runs the house under random faults, lets it come to rest, and asks all witnesses.
struct FaultRun: Sendable {
    let seed: UInt64
    let duration: Duration
    let house: FaultHouse

    /// How long nothing may move before the house has come to rest: the longest call, its margin, a sweep.
    static let restLimit = Duration.seconds(150)

    static func scenario(seed: UInt64) -> String {
        """
        {"seed": \(seed),
         "outcomes": {"completed": 50, "no_answer": 20, "busy": 10, "failed": 8, "machine": 8, "invalid_number": 4},
         "ring_seconds": {"min": 0.1, "max": 1.5}, "talk_seconds": {"min": 0.1, "max": 3},
         "late_callback_seconds": 4, "slow_answer_seconds": 1,
         "faults": {"refuse_429": 0.02, "refuse_400": 0.01, "server_error_before": 0.02, "server_error_after": 0.02,
                    "hang_after": 0.02, "reset_after": 0.02, "api_down": 0.02, "slow_answer": 0.03,
                    "callback_lost": 0.08, "callback_duplicated": 0.1, "callback_reordered": 0.1,
                    "callback_late": 0.05}}
        """
    }

    /// How long a run goes on, when its time is up, without anything new of what it must have seen.
    static let patience = Duration.seconds(300)

    /// Whether the run is long enough for what takes a minute.
    private var isLong: Bool { self.duration > .seconds(240) }

    /// Whether the database's disk has to run full: wherever one can be mounted, and in any case where all must be tested.
    static func mustFillDisk(
        mayMount: Bool = Servers.mayMount,
        isCI: Bool = ProcessInfo.processInfo.environment["CI"] != nil
    ) -> Bool { mayMount || isCI }

    func run() async throws {
        self.house.log.note("seed \(self.seed), \(self.duration)")
        if self.house.servers.disk == nil {
            print("FAULTS not done: a full disk of the database, which takes root to mount one")
        }
        let outside = try await OutsideFaults(house: self.house, seed: self.seed, duration: self.duration)
        let interviews = Interviews(house: self.house, seed: self.seed)
        let isOver = NIOLockedValueBox(false)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.supervise { isOver.withLockedValue(\.self) } }
            group.addTask { await self.breakProcesses { isOver.withLockedValue(\.self) } }
            group.addTask { await self.breakServers { isOver.withLockedValue(\.self) } }
            group.addTask { await outside.run { isOver.withLockedValue(\.self) } }
            group.addTask { await interviews.run { isOver.withLockedValue(\.self) } }
            group.addTask {
                await self.waitForEverything(outside)
                isOver.withLockedValue { $0 = true }
            }
            await group.waitForAll()
        }
        self.house.log.note("no more faults")
        let supervision = Task { await self.supervise { Task.isCancelled } }
        defer { supervision.cancel() }
        try await self.showThatItRunsAgain(outside)
        let rest = try await self.comeToRest()
        try await self.judge(outside, interviews, rest: rest)
    }

    /// Lets the run last its time, and until each kind of fault has happened, however slow the machine is.
    private func waitForEverything(_ outside: OutsideFaults) async {
        let end = ContinuousClock.now + self.duration
        var fewest = Int.max
        var newest = ContinuousClock.now
        while true {
            try? await Task.sleep(for: .seconds(1))
            let now = ContinuousClock.now
            guard now >= end else { continue }
            let missing = await self.missing(outside)
            if missing.isEmpty { return }
            if missing.count < fewest {
                fewest = missing.count
                newest = now
                self.house.log.note("still missing: \(missing.joined(separator: ", "))")
            }
            if now - newest > Self.patience {
                self.house.log.unexpected("never happened: \(missing.joined(separator: ", "))")
                return
            }
        }
    }

    private func missing(_ outside: OutsideFaults) async -> [String] {
        let demanded = Demands.ofTheLog(isLong: self.isLong, hasDisk: self.house.servers.disk != nil)
        let missing = self.house.log.missing(of: demanded).sorted()
        guard missing.isEmpty else { return missing }
        do {
            return try await Demands.missing(in: self.house.rehearsal.ledger().calls) + outside.missing()
        } catch {
            return ["\(error)"]
        }
    }

    // MARK: Faults

    private func supervise(until isOver: () -> Bool) async {
        while !isOver() {
            await self.house.slots.supervise()
            try? await Task.sleep(for: .milliseconds(100))
        }
    }

    private func breakProcesses(until isOver: () -> Bool) async {
        let slots = self.house.slots
        let log = self.house.log
        for step in ProcessPlan(seed: self.seed) {
            try? await Task.sleep(for: step.wait)
            if isOver() { return }
            switch step.fault {
            case .kill(let role):
                log.note("kills a \(role.rawValue)")
                await slots.kill(role, pause: step.pause, random: step.pick)
            case .terminate(let role):
                let took = await slots.terminate(role, random: step.pick)
                log.note("\(role.rawValue) drained in \(took ?? .zero)")
            case .freeze(let role):
                log.note("freezes a \(role.rawValue)")
                await slots.freeze(role, for: step.pause * 2, random: step.pick)
            case .failPoint(let point):
                log.note("arms \(point.rawValue)")
                await slots.arm(point, random: step.pick)
            }
        }
    }

    private func breakServers(until isOver: () -> Bool) async {
        for step in ServerPlan(seed: self.seed, isLong: self.isLong) {
            try? await Task.sleep(for: step.wait)
            if isOver() { return }
            let isLong = step.isLong && self.isLong
            do {
                self.house.log.note("\(step.fault)")
                if try await self.inject(step.fault, pause: step.pause, isLong: isLong) {
                    self.house.log.count(step.fault.name)
                    if isLong, case .away(let wire) = step.fault {
                        self.house.log.count("\(wire.rawValue) away for a minute")
                    }
                }
            } catch {
                self.house.log.unexpected("a fault could not be injected: \(error)")
            }
            self.house.log.note("  over")
        }
    }

    // MARK: Afterwards

    private func showThatItRunsAgain(_ outside: OutsideFaults) async throws {
        try await outside.feed(extra: 60)
        let completed = {
            try await self.house.count("select count(*) from call_attempts where outcome = 'completed'")
        }
        let before = try await completed()
        try await eventually("calls are made again", progress: completed) {
            try await outside.feed(extra: 0)
            return try await completed() >= before + 20
        }
    }

    private func comeToRest() async throws -> Duration {
        let start = ContinuousClock.now
        let paused = try await Product.run(["pause", "--all", "--reason", "the end"], self.house.operatorEnvironment)
        #expect(paused.exitCode == 0, "\(paused.errors)")
        // What is not over in time is found by the checker, with its history.
        let open = """
            select (select count(*) from contacts where state = 'in_progress')
                + (select count(*) from call_attempts where ended_at is null)
                + (select count(*) from survey_events where published_at is null)
            """
        try? await eventually(
            "everything is at rest",
            within: Self.restLimit,
            of: { try await self.house.count(open) },
            { $0 == 0 }
        )
        return ContinuousClock.now - start
    }

    private func judge(_ outside: OutsideFaults, _ interviews: Interviews, rest: Duration) async throws {
        // The last callbacks may still be under way.
        try await eventually(
            "all reports are taken",
            of: { try await self.house.broker.queueStatus("call.events").messagesReady },
            { $0 == 0 }
        )
        #expect(try await self.house.miscounts() == nil, "seed \(self.seed): reports do not say what the rows do")
        var witnesses = try await self.house.witnesses(poison: outside.poison)
        witnesses.reported = interviews.reported
        witnesses.erased = outside.erased
        witnesses.erasedAgain = try await self.house.traces(of: outside.erased)
        let violations = Checker(witnesses).violations()
        for violation in violations.prefix(20) {
            let history = violation.callID.map { witnesses.history(of: $0) } ?? ""
            Issue.record("seed \(self.seed): \(violation)\n\(history)")
        }
        for text in self.house.log.unexpected { Issue.record("seed \(self.seed): \(text)") }
        #expect(witnesses.ledger.count > 50, "the house hardly dialed: the run shows nothing")
        self.printFigures(witnesses, violations: violations, rest: rest)
    }

    private func printFigures(_ witnesses: Witnesses, violations: [Violation], rest: Duration) {
        var text = """
            FAULTS seed \(self.seed), \(self.duration) of faults, logs in \(self.house.folder.path)
            FAULTS requests to the provider  \(witnesses.ledger.count)
            FAULTS compared on arrival       \(witnesses.ledger.count { $0.row != nil })
            FAULTS longest way to provider   \(String(format: "%.2f", Checker(witnesses).longestWay)) s
            FAULTS tried again               \(Checker(witnesses).counted.values.map { $0.count - 1 }.reduce(0, +))
            FAULTS calls placed              \(witnesses.ledger.count { $0.sid != nil })
            FAULTS attempts                  \(witnesses.attempts.count)
            FAULTS attempts lost             \(witnesses.attempts.count { $0.errorCode == "lost" })
            FAULTS given back uncharged      \(witnesses.attempts.count { !$0.isCounted })
            FAULTS contacts                  \(witnesses.contacts.count)
            FAULTS limits met exactly        \(Checker(witnesses).metLimits.map { "\($0) \($1)" }.sorted().joined(separator: ", "))
            FAULTS persons erased            \(witnesses.erased.count)
            FAULTS dead letters              \(witnesses.deadLetters.count)
            FAULTS survey events             \(witnesses.surveyRows.count), published \(witnesses.surveyMessages.count) times
            FAULTS at rest after             \(rest)
            FAULTS violations                \(violations.count)

            """
        for fault in violations.map({ "\($0)" }) + self.house.log.unexpected { text += "FAULTS ✘ \(fault)\n" }
        for (kind, count) in self.house.log.counts.sorted(by: { $0.key < $1.key }) {
            text += "FAULTS   \(count) x \(kind)\n"
        }
        print(text)
    }
}
