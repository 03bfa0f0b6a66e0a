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
        /// Where its log stood when it was started.
        var logStart = 0
        /// The signal that we have sent to end it.
        var endingSignal: Int32?
        /// The place at which it dies, and the time it comes there.
        var failPoint: (point: FailPoint, count: Int)?
        /// What is counted once the process has ended as it was told to.
        var effect: String?
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
                if self.slots[index].endingSignal == nil { self.slots[index].failPoint = nil }
                self.slots[index].endingSignal = nil
                self.slots[index].effect = nil
            }
            if self.slots[index].process == nil, ContinuousClock.now >= self.slots[index].restartAt {
                self.start(index)
            }
        }
    }

    private func start(_ index: Int) {
        let slot = self.slots[index]
        var environment = slot.environment
        if let armed = slot.failPoint {
            environment[FailPoint.variable] = "\(armed.point.rawValue)=\(armed.count)"
        }
        do {
            self.slots[index].logStart = self.log(of: slot).count
            self.slots[index].process = try RunningRole(
                [slot.role.rawValue],
                environment,
                logFile: self.logFile(of: slot)
            )
        } catch {
            self.log.unexpected("\(slot.label) cannot be started: \(error)")
        }
    }

    private func logFile(of slot: Slot) -> URL { self.folder.appendingPathComponent(slot.label + ".log") }

    private func log(of slot: Slot) -> Data { (try? Data(contentsOf: self.logFile(of: slot))) ?? Data() }

    /// Whether the process has come to the end of its start, by its own word.
    private func hasRun(_ slot: Slot) -> Bool {
        String(decoding: self.log(of: slot).dropFirst(slot.logStart), as: UTF8.self).split(separator: "\n")
            .contains { $0.hasSuffix(" Runs") }
    }

    private func judge(_ end: Child.End, _ slot: Slot) {
        let hasRun = self.hasRun(slot)
        switch EndOfRole(end, signal: slot.endingSignal, isArmed: slot.failPoint != nil, hasRun: hasRun) {
        case .asTold:
            if let effect = slot.effect { self.log.count(effect) }
        case .atFailPoint: self.log.count("died at \(slot.failPoint?.point.rawValue ?? "")")
        case .tooSlow: self.log.count("could not drain in 8 s and ended at once, as documented")
        case .gaveUp: self.log.count("gave up at start-up, as documented")
        case .byItself: self.log.unexpected("\(slot.label) ended by itself: \(end)\(hasRun ? ", in mid-run" : "")")
        }
    }

    private func pick(_ role: Role, random: UInt64, unarmed: Bool = false) -> Int? {
        let running = self.slots.indices.filter {
            self.slots[$0].role == role && self.slots[$0].process != nil && self.slots[$0].endingSignal == nil
                && !(unarmed && self.slots[$0].failPoint != nil)
        }
        return running.isEmpty ? nil : running[Int(random % UInt64(running.count))]
    }

    /// Sends a signal that ends a process; the effect is counted once it has ended by it.
    private func end(_ index: Int, _ signal: Int32, pause: Duration = .zero, effect: String?) {
        self.slots[index].endingSignal = signal
        self.slots[index].effect = effect
        self.slots[index].restartAt = .now + pause
        self.slots[index].process?.send(signal)
    }

    func kill(_ role: Role, pause: Duration, random: UInt64) {
        guard let index = self.pick(role, random: random) else { return }
        self.end(index, SIGKILL, pause: pause, effect: ProcessFault.kill(role).name)
    }

    /// Lets a process die when it comes to this place; one that is to die at another place already is left alone.
    func arm(_ point: FailPoint, random: UInt64) {
        let role = Role.allCases.first { point.rawValue.hasPrefix($0.rawValue + ".") }
        guard let role, let index = self.pick(role, random: random, unarmed: true) else { return }
        self.slots[index].failPoint = (point, 1 + Int(random >> 32 % 3))
        self.end(index, SIGKILL, effect: nil)
    }

    /// Tells a process to drain.
    /// - Returns: How long that took.
    func terminate(_ role: Role, random: UInt64) async -> Duration? {
        guard let index = self.pick(role, random: random), let process = self.slots[index].process else { return nil }
        let start = ContinuousClock.now
        self.end(index, SIGTERM, effect: ProcessFault.terminate(role).name)
        do {
            try await eventually("it drains") { !process.isRunning }
        } catch {
            self.log.unexpected("\(self.slots[index].label) did not drain")
            process.send(SIGKILL)
        }
        return ContinuousClock.now - start
    }

    func freeze(_ role: Role, for pause: Duration, random: UInt64) async {
        guard let index = self.pick(role, random: random), let process = self.slots[index].process else { return }
        let start = Date()
        process.send(SIGSTOP)
        try? await Task.sleep(for: pause)
        let wasRunning = process.isRunning
        process.send(SIGCONT)
        if wasRunning { self.log.count(ProcessFault.freeze(role).name) }
        // What it had been about to send is sent now.
        if role == .dialer { self.log.delay(DateInterval(start: start, end: Date())) }
    }

    /// Kills all of a role, and starts none until it is let back.
    func keepAway(_ role: Role) {
        for index in self.slots.indices where self.slots[index].role == role {
            if self.slots[index].process != nil, self.slots[index].endingSignal == nil {
                self.end(index, SIGKILL, effect: nil)
            }
            self.slots[index].restartAt = .now + .seconds(86_400)
        }
    }

    /// Lets them start again.
    func letBack(_ role: Role) {
        for index in self.slots.indices where self.slots[index].role == role { self.slots[index].restartAt = .now }
    }

    /// Ends everything in an orderly way.
    func stopAll() async {
        for slot in self.slots { await slot.process?.stop() }
    }
}

/// How a process ended, and what that means.
enum EndOfRole: Equatable {
    case asTold
    case atFailPoint
    /// Told to drain, it took its 8 seconds and went, as documented.
    case tooSlow
    /// A server could not be reached when it started, as documented: only before it says that it runs.
    case gaveUp
    case byItself

    /// - Parameters:
    ///   - end: How it ended.
    ///   - signal: The signal that the test has sent to end it.
    ///   - isArmed: Whether it was to die at a fail-point.
    ///   - hasRun: Whether it had said that it runs.
    init(_ end: Child.End, signal: Int32?, isArmed: Bool, hasRun: Bool) {
        switch (end, signal) {
        case (.signal(SIGKILL), SIGKILL): self = .asTold
        // The second stands for a process that had not come to handle signals yet.
        case (.exit(0), SIGTERM): self = .asTold
        case (.signal(SIGTERM), SIGTERM): self = .asTold
        case (.exit(143), SIGTERM): self = .tooSlow
        case (.signal(SIGKILL), _) where isArmed: self = .atFailPoint
        case (.exit(69), _) where !hasRun: self = .gaveUp
        default: self = .byItself
        }
    }
}
