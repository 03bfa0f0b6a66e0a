// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import Foundation
import TestBasics

extension FaultRun {
    /// Does something to a server or a wire.
    /// - Returns: Whether anybody could notice.
    func inject(_ fault: ServerFault, pause: Duration, isLong: Bool) async throws -> Bool {
        let servers = self.house.servers
        switch fault {
        case .crash(let kind):
            return try await servers.restart(kind, signal: SIGKILL, pause: pause)
        case .restart(let kind):
            return try await servers.restart(kind, signal: kind == .postgres ? SIGINT : SIGTERM, pause: pause)
        case .freeze(let kind):
            let isFrozen = try servers.freeze(kind)
            try await Task.sleep(for: pause * 2)
            try servers.thaw(kind)
            return isFrozen
        case .diskAlarm:
            let isAlarmed = try await servers.setDiskAlarm(true)
            try await Task.sleep(for: pause)
            let isStillAlarmed = try await servers.setDiskAlarm(false)
            return isAlarmed && !isStillAlarmed
        case .readOnly:
            try await self.house.setReadOnly(true)
            try await Task.sleep(for: pause)
            try await self.house.setReadOnly(false)
            return true
        case .locked:
            return try await self.house.lockAttempts(for: .seconds(FaultHouse.statementTimeout) + pause)
        case .lockedForLong:
            return try await self.house.lockAttempts(for: .seconds(62) + pause)
        case .fullDisk:
            return try await self.house.fillDisk(for: pause)
        case .revoked(let role):
            return try await self.house.revoke(role, for: pause)
        case .unrecorded:
            return try await self.house.emptyBrokerWithoutRecorder(for: pause)
        case .deleted(let queue):
            try await self.house.repeatedly { try await self.house.broker.deleteQueue(queue.rawValue) }
            // Until it is used again: a broker that is killed while a quorum queue is made (seen: RabbitMQ 3.10, seed 32) has it
            // without a leader for ever, and lets nobody use it until somebody deletes it.
            try await eventually("\(queue.rawValue) is used again") {
                let status = try? await self.house.broker.queueStatus(queue.rawValue)
                return status?.consumers ?? 0 > 0
            }
            return true
        case .cut(let wire):
            return await Self.comesTrue { self.house.wires[wire]?.cut(oneIn: 2) ?? false }
        case .away(let wire):
            self.house.wires[wire]?.takeAway()
            try await Task.sleep(for: isLong ? .seconds(60) : pause)
            defer { self.house.wires[wire]?.bringBack() }
            return await Self.comesTrue { self.house.wires[wire]?.hasTurnedAway ?? false }
        case .hold(let wire):
            let start = Date()
            self.house.wires[wire]?.hold()
            try await Task.sleep(for: pause)
            let isUsed = await Self.comesTrue { self.house.wires[wire]?.isUsed ?? false }
            self.house.wires[wire]?.release()
            if wire == .provider { self.house.log.delay(DateInterval(start: start, end: Date())) }
            return isUsed
        }
    }
}

extension FaultRun {
    /// Gives somebody the time to come that way: nobody may want to just now.
    private static func comesTrue(_ condition: () -> Bool) async -> Bool {
        for _ in 0..<100 {
            if condition() { return true }
            try? await Task.sleep(for: .milliseconds(50))
        }
        return false
    }
}

extension FaultHouse {
    /// Lets no recorder run until reports wait, and loses all that waits, requests as well.
    /// - Returns: Whether a report was lost.
    func emptyBrokerWithoutRecorder(for pause: Duration) async throws -> Bool {
        await self.slots.keepAway(.recorder)
        var lost = 0
        do {
            for _ in 0..<300 {
                let reports = try await self.repeatedly { try await self.broker.queueStatus(Queue.reports.rawValue) }
                if reports.messagesReady > 0 { break }
                try await Task.sleep(for: .milliseconds(50))
            }
            try await Task.sleep(for: pause)
            lost = try await self.repeatedly { try await self.broker.purge(Queue.reports.rawValue) }
            _ = try await self.repeatedly { try await self.broker.purge(Queue.requests.rawValue) }
        } catch {
            await self.slots.letBack(.recorder)
            throw error
        }
        await self.slots.letBack(.recorder)
        return lost > 0
    }

    /// A broker that was restarted a moment ago ends connections that ask it for queues that it is still starting.
    func repeatedly<Result>(_ body: () async throws -> Result) async throws -> Result {
        for _ in 0..<30 {
            try await self.broker.waitUntilReady(timeout: .seconds(120))
            do { return try await body() } catch { self.log.note("the broker: \(error)") }
            try await Task.sleep(for: .seconds(1))
        }
        return try await body()
    }
}
