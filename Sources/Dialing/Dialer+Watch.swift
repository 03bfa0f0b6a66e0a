// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallStore
import Foundation
import Logging
import Metrics
import Observability
import Telephony

extension Dialer {
    /// Takes a live call over: from the row alone when its message is still to come.
    func hold(adopted attempt: CallStore.OpenAttempt, delivery: AMQPDelivery?) {
        let now = self.clock.now()
        let age = Duration.seconds(max(0, attempt.now.timeIntervalSince(attempt.startedAt)))
        let left = Duration.seconds(attempt.deadline.timeIntervalSince(attempt.now))
        // Callbacks may have gone astray between its last dialer and now, so the provider is asked early.
        self.held.insert(
            HeldCall(
                callID: attempt.callID,
                campaignID: attempt.campaignID,
                phoneNumber: attempt.phoneNumber,
                callerID: attempt.callerID,
                ringTimeout: attempt.ringTimeout,
                startedAt: attempt.startedAt,
                startedInstant: now - age,
                deadline: now + left,
                placement: attempt.providerCallID.map { .known($0) } ?? .unknown,
                delivery: delivery?.withHeadersOnly,
                nextCheck: now + .seconds(5)
            )
        )
    }

    /// The calls' rows are final: ack their messages and free their slots. Doing so twice changes nothing.
    func settle(_ callIDs: [UUID]) {
        let calls = self.held.remove(callIDs)
        guard !calls.isEmpty else { return }
        FailPoint.dialerSettling.reach()
        self.consuming.ack(calls.compactMap(\.delivery))
        self.slots.release(calls.map(\.callID))
    }

    /// Three loops for all held calls. Apart, so that a database that is away does not keep the provider from being asked,
    /// nor the provider the calls from being settled.
    func watch() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.watchRows() }
            group.addTask { await self.watchProvider() }
            group.addTask { await self.watchForbidden() }
        }
    }

    private func watchProvider() async {
        while !Task.isCancelled {
            await self.check(self.held.due(now: self.clock.now()))
            try? await self.clock.sleep(for: .milliseconds(500))
        }
    }

    /// Which calls are over.
    private func watchRows() async {
        while !Task.isCancelled {
            do {
                self.settle(try await self.store.endedCalls(among: self.held.callIDs))
            } catch {
                self.logger.warning(
                    "Held calls cannot be compared with the database",
                    metadata: .keys([.error: "\(error)"])
                )
            }
            try? await self.clock.sleep(for: self.configuration.pollInterval)
        }
    }

    private func check(_ calls: [HeldCall]) async {
        await withDiscardingTaskGroup { group in
            for (index, call) in calls.enumerated() where index < 50 {
                group.addTask {
                    await self.check(call)
                    self.held.update(call.callID) { $0.scheduleNextCheck(now: self.clock.now()) }
                }
            }
        }
    }

    private func check(_ call: HeldCall) async {
        if let report = call.report {
            await self.reportAgain(report)
            return
        }
        var logger = self.logger
        logger[.callID] = call.callID.lowercased
        logger[.campaign] = call.campaignID.lowercased
        do {
            switch call.placement {
            case .known(let id): try await self.ask(about: call, id: id, logger: logger)
            case .unknown: try await self.find(call, logger: logger)
            }
            self.held.update(call.callID) { $0.unansweredSince = nil }
        } catch let error as TelephonyError {
            logger.notice("The provider could not be asked", metadata: .keys([.error: "\(error)"]))
            let now = self.clock.now()
            let since = call.unansweredSince ?? now
            self.held.update(call.callID) { $0.unansweredSince = since }
            // Past its end, and for as long as the longest call nobody could be asked: nobody will ever know.
            if now > call.deadline, now - since > call.deadline - call.startedInstant {
                await self.giveUp(call, logger: logger)
            }
        } catch {
            // The provider may know the call: what the database could not do just now is no reason to give it up.
            logger.notice("What the provider knows could not be noted", metadata: .keys([.error: "\(error)"]))
        }
    }

    private func ask(about call: HeldCall, id: String, logger: Logger) async throws {
        guard let answer = try await self.provider.call(id: id) else {
            logger.warning("The provider does not know the call", metadata: .keys([.providerCallID: id]))
            await self.giveUp(call, logger: logger)
            return
        }
        guard !answer.status.isFinal else {
            await self.report(Self.event(call, answer))
            return
        }
        guard self.clock.now() > call.deadline else { return }
        logger.warning("The call outlasted its deadline and is hung up", metadata: .keys([.providerCallID: id]))
        try await self.provider.hangUp(id: id, onlyIfNotAnswered: false)
        if call.checks > 12 { await self.giveUp(call, logger: logger) }
    }

    /// Looks for a call whose placement was ambiguous. One match is the call: a number has one open attempt at most.
    private func find(_ call: HeldCall, logger: Logger) async throws {
        let calls = try await self.provider.findCalls(
            CallQuery(
                to: call.phoneNumber,
                from: call.callerID,
                // The provider's clock may differ, and it rounds to seconds.
                acceptedAfter: call.startedAt.addingTimeInterval(-2)
            )
        )
        let bound = try await self.store.boundCalls(
            among: calls.map { ($0.providerCallID, call.phoneNumber.e164) }
        )
        // A callback may have bound the call to its own row already.
        let own = calls.filter { bound[$0.providerCallID] == call.callID }
        let matches = own.isEmpty ? calls.filter { bound[$0.providerCallID] == nil } : own
        if matches.count == 1 {
            let match = matches[0]
            logger.notice("Found the call at the provider", metadata: .keys([.providerCallID: match.providerCallID]))
            let placed = PlacedCall(providerCallID: match.providerCallID, rawStatus: match.rawStatus)
            _ = try await self.placements.submit(PlacedAttempt(callID: call.callID, call: placed))
            self.held.update(call.callID) { $0.placement = .known(match.providerCallID) }
            if match.status.isFinal { await self.report(Self.event(call, match)) }
        } else if self.clock.now() > call.startedInstant + call.ringTimeout + self.configuration.margin {
            await self.giveUp(call, logger: logger)
        }
    }

    /// Nobody can tell how the call ended, or whether it was placed: it is charged, because the phone may have rung.
    private func giveUp(_ call: HeldCall, logger: Logger) async {
        self.metrics.lost.increment()
        logger.warning("The call is lost: neither a callback nor the provider tells how it ended")
        await self.report(CallEvent(callID: call.callID, status: .lost, occurredAt: Date(), errorCode: "lost"))
    }

    private static func event(_ call: HeldCall, _ answer: ProviderCall) -> CallEvent {
        CallEvent(
            callID: call.callID,
            providerCallID: answer.providerCallID,
            status: answer.status,
            occurredAt: answer.endedAt ?? Date(),
            answeredBy: answer.answeredBy,
            rawStatus: answer.rawStatus
        )
    }
}
