// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import HeapModule

/// The simulated telephone exchange: all calls, their timers, the ledger.
actor Exchange {
    /// A call that was asked for, by its place in the ledger.
    struct Call {
        let index: Int
        let sid: String
        let fate: Fate
        let ringTimeout: Double
        let timeLimit: Double
        let detectsMachines: Bool
        let callback: CallbackTarget?
        var sequence = 0
        var isLive = false
        /// How it ends, once its time has come.
        var ending: (status: String, sip: Int)?
    }

    enum Event {
        case start
        case ring
        case answer
        case end(status: String, sip: Int)
    }

    private struct Timer: Comparable {
        let due: ContinuousClock.Instant
        let order: Int
        let sid: String
        let event: Event

        static func == (left: Timer, right: Timer) -> Bool { left.order == right.order }
        static func < (left: Timer, right: Timer) -> Bool { (left.due, left.order) < (right.due, right.order) }
    }

    private(set) var configuration: SimulatorConfiguration
    private(set) var ledger: [LedgerCall] = []
    private var summary = LedgerSummary()
    private(set) var calls: [String: Call] = [:]
    private var liveByNumber: [String: Int] = [:]
    private var requestsByNumber: [String: Int] = [:]
    private var timers = Heap<Timer>()
    private var timerOrder = 0
    var control = CallControl()
    private var nextStart = ContinuousClock.now
    private var alarm: Task<Void, Never>?
    private let wakeup: AsyncStream<Void>.Continuation
    private let wakeups: AsyncStream<Void>
    private let sender: CallbackSender
    private let file: LedgerFile?

    init(configuration: SimulatorConfiguration, sender: CallbackSender) throws {
        self.configuration = configuration
        self.sender = sender
        self.file = try configuration.ledgerFile.map { try LedgerFile(path: $0) }
        (self.wakeups, self.wakeup) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Fires timers until cancelled.
    func run() async {
        // A stream whose reader is cancelled has ended for good: only this loop reads it, and alarms only write.
        for await _ in self.wakeups {
            let now = ContinuousClock.now
            while let timer = self.timers.min, timer.due <= now {
                _ = self.timers.popMin()
                self.fire(timer.event, sid: timer.sid)
            }
            self.alarm?.cancel()
            self.alarm = self.timers.min.map { next in
                Task { [wakeup] in
                    do { try await Task.sleep(until: next.due) } catch { return }
                    wakeup.yield()
                }
            }
        }
    }

    // MARK: Requests

    /// Which fate the next request for this number meets.
    func nextFate(to number: String) -> Fate {
        let request = self.requestsByNumber[number, default: 0]
        self.requestsByNumber[number] = request + 1
        return Fate(configuration: self.configuration, number: number, request: request)
    }

    /// Whether the limit of live calls is reached.
    var isFull: Bool {
        self.configuration.maximumLiveCalls > 0 && self.calls.count >= self.configuration.maximumLiveCalls
    }

    /// Enters a request for which nothing is placed.
    func refuse(_ request: PlaceRequest, answered: Int?, fault: SimulatorConfiguration.Fault?, reason: String) {
        var entry = request.entry
        entry.answered = answered
        entry.fault = fault?.rawValue
        entry.refusal = reason
        entry.status = "refused"
        self.ledger.append(entry)
        self.summary.requests += 1
        self.file?.write(entry)
    }

    /// Accepts a call; it starts when the calls-per-second queue comes to it.
    func place(_ request: PlaceRequest, fate: Fate, answered: Int?) -> String {
        let sid = "CA" + UUID().uuidString.replacing("-", with: "").lowercased()
        var entry = request.entry
        entry.sid = sid
        entry.answered = answered
        entry.fault = fate.fault?.rawValue
        entry.status = "queued"
        self.calls[sid] = Call(
            index: self.ledger.count,
            sid: sid,
            fate: fate,
            ringTimeout: request.ringTimeout,
            timeLimit: request.timeLimit,
            detectsMachines: request.detectsMachines,
            callback: request.callback
        )
        self.ledger.append(entry)
        self.summary.requests += 1
        self.summary.placed += 1
        self.file?.write(entry)
        let now = ContinuousClock.now
        var start = now
        if self.configuration.callsPerSecond > 0 {
            start = max(now, self.nextStart)
            self.nextStart = start + .seconds(1 / self.configuration.callsPerSecond)
        }
        self.schedule(.start, sid: sid, at: start)
        return sid
    }

    /// The ledger's entry of a call.
    func entry(sid: String) -> LedgerCall? {
        if let call = self.calls[sid] { return self.ledger[call.index] }
        return self.ledger.last { $0.sid == sid }
    }

    /// Ends a call by request.
    /// - Returns: False when the call is over already.
    func hangUp(sid: String, canceling: Bool) -> Bool {
        guard let call = self.calls[sid] else { return false }
        let isAnswered = self.ledger[call.index].answeredAt != nil
        // As the API says: "canceled" does not affect calls in progress, "completed" ends queued ones too.
        guard !canceling || !isAnswered else { return true }
        self.ledger[call.index].hungUp = true
        self.end(call, status: isAnswered ? "completed" : "canceled", sip: isAnswered ? 200 : 487)
        return true
    }

    // MARK: The life of a call

    private func schedule(_ event: Event, sid: String, at due: ContinuousClock.Instant) {
        let isNext = self.timers.min.map { due < $0.due } ?? true
        self.timerOrder += 1
        self.timers.insert(Timer(due: due, order: self.timerOrder, sid: sid, event: event))
        if isNext { self.wakeup.yield() }
    }

    private func schedule(_ event: Event, sid: String, in seconds: Double) {
        self.schedule(event, sid: sid, at: .now + .seconds(seconds))
    }

    private func fire(_ event: Event, sid: String) {
        guard var call = self.calls[sid] else { return }
        let now = Date()
        switch event {
        case .start:
            call.isLive = true
            self.calls[sid] = call
            self.ledger[call.index].startedAt = now
            self.ledger[call.index].status = "ringing"
            let to = self.ledger[call.index].to
            if self.liveByNumber[to, default: 0] > 0 { self.summary.doubleCalls += 1 }
            self.liveByNumber[to, default: 0] += 1
            self.summary.live += 1
            self.summary.maximumLive = max(self.summary.maximumLive, self.summary.live)
            self.callBack(sid, status: "initiated")
            switch call.fate.outcome {
            case .failed: self.schedule(.end(status: "failed", sip: 503), sid: sid, in: 0.01)
            case .invalidNumber: self.schedule(.end(status: "failed", sip: 404), sid: sid, in: 0.01)
            case .busy: self.schedule(.end(status: "busy", sip: 486), sid: sid, in: 0.01)
            case .completed, .machine, .noAnswer: self.schedule(.ring, sid: sid, in: 0.01)
            }
        case .ring:
            self.ledger[call.index].ringingAt = now
            self.callBack(sid, status: "ringing")
            if call.fate.outcome == .noAnswer {
                let ring = min(call.ringTimeout, self.configuration.ringSeconds.max)
                self.schedule(.end(status: "no-answer", sip: 487), sid: sid, in: ring)
            } else if call.fate.ringSeconds > call.ringTimeout {
                self.schedule(.end(status: "no-answer", sip: 487), sid: sid, in: call.ringTimeout)
            } else {
                self.schedule(.answer, sid: sid, in: call.fate.ringSeconds)
            }
        case .answer:
            if self.control.passes(sid, .answer) { self.answer(call) }
        case .end(let status, let sip):
            call.ending = (status, sip)
            self.calls[sid] = call
            if self.control.passes(sid, .end) { self.end(call, status: status, sip: sip) }
        }
    }

    func answer(_ call: Call) {
        self.ledger[call.index].answeredAt = Date()
        self.ledger[call.index].status = "in-progress"
        if call.detectsMachines {
            self.ledger[call.index].answeredBy = call.fate.outcome == .machine ? "machine_start" : "human"
        }
        self.callBack(call.sid, status: "in-progress")
        let talk = min(call.fate.talkSeconds, call.timeLimit)
        self.schedule(.end(status: "completed", sip: 200), sid: call.sid, in: talk)
    }

    func end(_ call: Call, status: String, sip: Int) {
        self.ledger[call.index].endedAt = Date()
        self.ledger[call.index].status = status
        if call.isLive {
            let to = self.ledger[call.index].to
            self.liveByNumber[to, default: 1] -= 1
            if self.liveByNumber[to] == 0 { self.liveByNumber[to] = nil }
            self.summary.live -= 1
        }
        self.callBack(call.sid, status: status, sip: sip)
        self.control.forget(call.sid)
        self.calls[call.sid] = nil
        self.file?.write(self.ledger[call.index])
    }

    private func callBack(_ sid: String, status: String, sip: Int? = nil) {
        guard var call = self.calls[sid], let target = call.callback, target.wants(status) else { return }
        let sequence = call.sequence
        call.sequence += 1
        self.calls[sid] = call
        let index = call.index
        let entry = self.ledger[index]
        let callback = Callback(
            entry: entry,
            request: call.fate.request,
            status: status,
            sequence: sequence,
            sip: sip,
            target: target
        )
        let configuration = self.configuration
        Task {
            await self.sender.send(callback, configuration: configuration) { record in
                await self.note(record, index: index)
            }
        }
    }

    private func note(_ record: LedgerCall.Callback, index: Int) {
        guard self.ledger.indices.contains(index) else { return }
        self.ledger[index].callbacks.append(record)
        if record.attempt > 0 {
            if record.result.hasPrefix("2") {
                self.summary.callbacksDelivered += 1
            } else {
                self.summary.callbacksFailed += 1
            }
        }
        self.file?.write(self.ledger[index])
    }

    // MARK: Administration

    func snapshot() -> Ledger {
        Ledger(summary: self.summary, calls: self.ledger)
    }

    func summarized() -> LedgerSummary { self.summary }

    func change(_ configuration: SimulatorConfiguration) {
        self.configuration = configuration
    }
}
