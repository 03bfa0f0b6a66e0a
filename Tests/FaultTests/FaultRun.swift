// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallStore
import Foundation
import Observability
import ProviderSimulator
import TestBasics
import TestSupport
import Testing

@testable import struct ProviderSimulator.SeededGenerator

/// Runs the house under random faults, lets it come to rest, and asks all witnesses.
struct FaultRun: Sendable {
    let seed: UInt64
    let duration: Duration
    let house: FaultHouse

    /// How long the house may take to come to rest after the last fault: the longest call, its margin, a sweep.
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

    func run() async throws {
        let outside = try await OutsideFaults(house: self.house, seed: self.seed, duration: self.duration)
        let end = ContinuousClock.now + self.duration
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.superviseUntil(end) }
            group.addTask { await self.breakProcesses(until: end) }
            group.addTask { await self.breakServers(until: end) }
            group.addTask { await outside.run(until: end) }
            await group.waitForAll()
        }
        self.house.log.note("no more faults")
        let supervision = Task {
            while !Task.isCancelled {
                await self.house.slots.supervise()
                try? await Task.sleep(for: .milliseconds(100))
            }
        }
        defer { supervision.cancel() }
        try await self.showThatItRunsAgain(outside)
        let rest = try await self.comeToRest()
        try await self.judge(outside, rest: rest)
    }

    // MARK: Faults

    private func superviseUntil(_ end: ContinuousClock.Instant) async {
        while ContinuousClock.now < end {
            await self.house.slots.supervise()
            try? await Task.sleep(for: .milliseconds(100))
        }
    }

    private func breakProcesses(until end: ContinuousClock.Instant) async {
        var random = SeededGenerator(seed: self.seed, words: ["processes"])
        var deck = Deck(ProcessFault.deck)
        let slots = self.house.slots
        let log = self.house.log
        while ContinuousClock.now < end {
            try? await Task.sleep(for: .milliseconds(Int.random(in: 300...1500, using: &random)))
            let pick = random.next()
            let pause = Duration.milliseconds(Int.random(in: 0...2000, using: &random))
            switch deck.deal(using: &random) {
            case .kill(let role):
                log.count("\(role.rawValue) killed")
                await slots.kill(role, pause: pause, random: pick)
            case .terminate(let role):
                log.count("\(role.rawValue) told to drain")
                let took = await slots.terminate(role, random: pick)
                log.note("\(role.rawValue) drained in \(took ?? .zero)")
            case .freeze(let role):
                log.count("\(role.rawValue) frozen")
                await slots.freeze(role, for: pause * 2, random: pick)
            case .failPoint(let point):
                log.note("armed \(point.rawValue)")
                await slots.arm(point, random: pick)
            }
        }
    }

    private func breakServers(until end: ContinuousClock.Instant) async {
        var random = SeededGenerator(seed: self.seed, words: ["servers"])
        var deck = Deck(ServerFault.deck)
        while ContinuousClock.now < end {
            try? await Task.sleep(for: .milliseconds(Int.random(in: 300...2000, using: &random)))
            let pause = Duration.milliseconds(Int.random(in: 200...3000, using: &random))
            let long = Int.random(in: 0..<8, using: &random) == 0 && self.duration > .seconds(240)
            do {
                try await self.inject(deck.deal(using: &random), pause: pause, isLong: long)
            } catch {
                self.house.log.unexpected("a fault could not be injected: \(error)")
            }
        }
    }

    private func inject(_ fault: ServerFault, pause: Duration, isLong: Bool) async throws {
        let log = self.house.log
        let servers = self.house.servers
        switch fault {
        case .crash(let kind):
            log.count("\(kind.rawValue) killed")
            try await servers.restart(kind, signal: SIGKILL, pause: pause)
        case .restart(let kind):
            log.count("\(kind.rawValue) restarted")
            try await servers.restart(kind, signal: kind == .postgres ? SIGINT : SIGTERM, pause: pause)
        case .freeze(let kind):
            log.count("\(kind.rawValue) frozen")
            try servers.freeze(kind)
            try await Task.sleep(for: pause * 2)
            try servers.thaw(kind)
        case .diskAlarm:
            log.count("broker's disk alarm")
            try await servers.setDiskAlarm(true)
            try await Task.sleep(for: pause)
            try await servers.setDiskAlarm(false)
        case .cut(let wire):
            log.count("\(wire.rawValue) connections broken")
            self.house.wires[wire]?.cut(oneIn: 2)
        case .away(let wire):
            log.count("\(wire.rawValue) \(isLong ? "away for a minute" : "away")")
            self.house.wires[wire]?.takeAway()
            try await Task.sleep(for: isLong ? .seconds(60) : pause)
            self.house.wires[wire]?.bringBack()
        case .hold(let wire):
            log.count("\(wire.rawValue) held up")
            let start = Date()
            self.house.wires[wire]?.hold()
            try await Task.sleep(for: pause)
            self.house.wires[wire]?.release()
            if wire == .provider { log.delay(DateInterval(start: start, end: Date())) }
        }
        log.note("  over")
    }

    // MARK: Afterwards

    private func showThatItRunsAgain(_ outside: OutsideFaults) async throws {
        try await outside.feed(extra: 60)
        let before = try await self.house.count("select count(*) from call_attempts where outcome = 'completed'")
        try await eventually("calls are made again", within: .seconds(90)) {
            try await self.house.count("select count(*) from call_attempts where outcome = 'completed'") >= before + 20
        }
    }

    private func comeToRest() async throws -> Duration {
        let start = ContinuousClock.now
        let paused = try await Product.run(["pause", "--all", "--reason", "the end"], self.house.operatorEnvironment)
        #expect(paused.exitCode == 0, "\(paused.errors)")
        // What is not over in time is found by the checker, with its history.
        try? await eventually("everything is at rest", within: Self.restLimit) {
            try await self.house.count(
                """
                select (select count(*) from contacts where state = 'in_progress')
                    + (select count(*) from call_attempts where ended_at is null)
                    + (select count(*) from survey_events where published_at is null)
                """
            ) == 0
        }
        return ContinuousClock.now - start
    }

    private func judge(_ outside: OutsideFaults, rest: Duration) async throws {
        // The last callbacks may still be under way.
        try await eventually("all reports are taken", within: .seconds(60)) {
            try await self.house.broker.queueStatus("call.events").messagesReady == 0
        }
        #expect(try await self.house.miscounts() == nil, "seed \(self.seed): reports do not say what the rows do")
        let witnesses = try await self.house.witnesses(poison: outside.poison)
        let violations = Checker(witnesses).violations()
        for violation in violations.prefix(20) {
            let history = violation.callID.map { witnesses.history(of: $0) } ?? ""
            Issue.record("seed \(self.seed): \(violation)\n\(history)")
        }
        for text in self.house.log.unexpected { Issue.record("seed \(self.seed): \(text)") }
        #expect(witnesses.ledger.count > 50, "the house hardly dialed: the run shows nothing")
        self.printFigures(witnesses, violations: violations.count, rest: rest)
    }

    private func printFigures(_ witnesses: Witnesses, violations: Int, rest: Duration) {
        var text = """
            FAULTS seed \(self.seed), \(self.duration) of faults, logs in \(self.house.folder.path)
            FAULTS requests to the provider  \(witnesses.ledger.count)
            FAULTS calls placed              \(witnesses.ledger.count { $0.sid != nil })
            FAULTS attempts                  \(witnesses.attempts.count)
            FAULTS attempts lost             \(witnesses.attempts.count { $0.errorCode == "lost" })
            FAULTS given back uncharged      \(witnesses.attempts.count { !$0.isCounted })
            FAULTS contacts                  \(witnesses.contacts.count)
            FAULTS dead letters              \(witnesses.deadLetters.count)
            FAULTS survey events             \(witnesses.surveyRows.count), published \(witnesses.surveyMessages.count) times
            FAULTS at rest after             \(rest)
            FAULTS violations                \(violations)

            """
        for (kind, count) in self.house.log.counts.sorted(by: { $0.key < $1.key }) {
            text += "FAULTS   \(count) x \(kind)\n"
        }
        print(text)
    }
}
