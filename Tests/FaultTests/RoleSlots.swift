// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Observability
import TestBasics
import TestSupport

/// The processes of the house, each started again when it has ended, as a supervisor would.
actor RoleSlots {
    private struct Slot {
        let role: Role
        let label: String
        let environment: [String: String]
        var process: RunningRole?
        /// We have sent it a signal that ends it.
        var isToldToEnd = false
        var failPoint: FailPoint?
        var restartAt = ContinuousClock.now
    }

    private var slots: [Slot] = []
    private let log: FaultLog
    private let folder: URL

    init(log: FaultLog, folder: URL) {
        self.log = log
        self.folder = folder
    }

    func add(_ role: Role, label: String, environment: [String: String]) {
        self.slots.append(Slot(role: role, label: label, environment: environment))
    }

    /// Starts what is not running and whose time has come; looks at how the others ended.
    func supervise() {
        for index in self.slots.indices {
            if let process = self.slots[index].process, let end = process.end {
                self.judge(end, self.slots[index])
                self.slots[index].process = nil
                // The end that we asked for only makes room for the armed one.
                if !self.slots[index].isToldToEnd { self.slots[index].failPoint = nil }
                self.slots[index].isToldToEnd = false
            }
            if self.slots[index].process == nil, ContinuousClock.now >= self.slots[index].restartAt {
                self.start(index)
            }
        }
    }

    private func start(_ index: Int) {
        let slot = self.slots[index]
        var environment = slot.environment
        if let point = slot.failPoint {
            environment[FailPoint.variable] = "\(point.rawValue)=\(Int.random(in: 1...4))"
        }
        do {
            self.slots[index].process = try RunningRole(
                [slot.role.rawValue],
                environment,
                logFile: self.folder.appendingPathComponent(slot.label + ".log")
            )
        } catch {
            self.log.unexpected("\(slot.label) cannot be started: \(error)")
        }
    }

    private func judge(_ end: RunningRole.End, _ slot: Slot) {
        switch end {
        case .signal(SIGKILL) where slot.isToldToEnd:
            break
        case .signal(SIGKILL) where slot.failPoint != nil:
            self.log.count("died at \(slot.failPoint?.rawValue ?? "")")
        // The second stands for a process that has not come to handle signals yet.
        case .exit(0) where slot.isToldToEnd, .signal(SIGTERM) where slot.isToldToEnd:
            break
        case .exit(143) where slot.isToldToEnd:
            self.log.count("could not drain in 8 s and ended at once, as documented")
        case .exit(69):
            self.log.count("gave up at start-up, as documented")
        default:
            self.log.unexpected("\(slot.label) ended by itself: \(end)")
        }
    }

    private func pick(_ role: Role, using random: inout some RandomNumberGenerator) -> Int? {
        self.slots.indices.filter { self.slots[$0].role == role && self.slots[$0].process != nil }
            .randomElement(using: &random)
    }

    func kill(_ role: Role, pause: Duration, random: UInt64) {
        var generator = FixedGenerator(value: random)
        guard let index = self.pick(role, using: &generator) else { return }
        self.slots[index].isToldToEnd = true
        self.slots[index].restartAt = .now + pause
        self.slots[index].process?.send(SIGKILL)
    }

    func arm(_ point: FailPoint, random: UInt64) {
        var generator = FixedGenerator(value: random)
        let role = Role.allCases.first { point.rawValue.hasPrefix($0.rawValue) }
        guard let role, let index = self.pick(role, using: &generator) else { return }
        self.slots[index].failPoint = point
        self.slots[index].isToldToEnd = true
        self.slots[index].process?.send(SIGKILL)
    }

    /// Tells a process to drain.
    /// - Returns: How long that took.
    func terminate(_ role: Role, random: UInt64) async -> Duration? {
        var generator = FixedGenerator(value: random)
        guard let index = self.pick(role, using: &generator), let process = self.slots[index].process else {
            return nil
        }
        let start = ContinuousClock.now
        self.slots[index].isToldToEnd = true
        process.send(SIGTERM)
        do {
            try await eventually("it drains", within: .seconds(20)) { !process.isRunning }
        } catch {
            self.log.unexpected("\(self.slots[index].label) did not drain within 20 s")
            process.send(SIGKILL)
        }
        return ContinuousClock.now - start
    }

    func freeze(_ role: Role, for pause: Duration, random: UInt64) async {
        var generator = FixedGenerator(value: random)
        guard let index = self.pick(role, using: &generator), let process = self.slots[index].process else { return }
        process.send(SIGSTOP)
        try? await Task.sleep(for: pause)
        process.send(SIGCONT)
    }

    /// Ends everything in an orderly way.
    func stopAll() async {
        for slot in self.slots { await slot.process?.stop() }
    }
}

/// Lets an actor pick with one number of its caller's generator.
private struct FixedGenerator: RandomNumberGenerator {
    let value: UInt64
    mutating func next() -> UInt64 { self.value }
}
