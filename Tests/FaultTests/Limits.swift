// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import NIOConcurrencyHelpers
import Postgres
import TestSupport

/// A campaign whose caps and quotas are changed while it runs; when it has all that it wanted, another comes after it.
final class Limits: Sendable {
    static let prefix = "limits-"
    private static let cells = ["north", "south"]

    private struct State {
        var plan: LimitPlan
        var name = ""
        var count = 0
        var nextContact = 0
    }

    private let house: FaultHouse
    private let state: NIOLockedValueBox<State>

    init(house: FaultHouse, seed: UInt64) async throws {
        self.house = house
        self.state = NIOLockedValueBox(State(plan: LimitPlan(seed: seed)))
        try await self.startAnother()
    }

    /// The one that runs now.
    var name: String { self.state.withLockedValue(\.name) }

    private func startAnother() async throws {
        let number = self.state.withLockedValue { state in
            state.count += 1
            return state.count
        }
        let name = Self.prefix + "\(number)"
        var settings = CampaignSettings(name: name, timeZone: "UTC")
        settings.window = nil
        settings.callerID = try PhoneNumber("+15005550006")
        settings.answerURL = self.house.rehearsal.url + "/simulator/answer"
        settings.ringTimeoutSeconds = 5
        settings.maximumCallSeconds = 10
        settings.maximumAttempts = 2
        settings.retryIntervalMinutes = 1
        settings.maximumConcurrentCalls = 2
        let id = try await self.house.store.createCampaign(settings)
        try await self.add(40, to: id, name: name)
        try await self.house.store.perform(.start, onCampaign: name, reason: nil, actor: "test")
        self.state.withLockedValue { $0.name = name }
    }

    /// Keeps contacts of both cells due.
    func feed() async throws {
        let name = self.name
        let due = try await self.house.count(
            """
            select count(*) from contacts where state = 'pending'
                and campaign_id = (select id from campaigns where name = '\(name)')
            """
        )
        guard try await !self.isOver(), due < 30 else { return }
        let campaign = try await self.house.store.campaign(named: name)
        try await self.add(40, to: campaign.id, name: name)
    }

    private func isOver() async throws -> Bool {
        try await self.house.count(
            "select count(*) from campaigns where name = '\(self.name)' and status = 'completed'"
        ) > 0
    }

    private func add(_ contacts: Int, to campaign: UUID, name: String) async throws {
        let first = self.state.withLockedValue { state in
            defer { state.nextContact += contacts }
            return state.nextContact
        }
        let rows = try (first..<(first + contacts)).map { index in
            CallStore.NewContact(
                externalID: "\(name)-\(index)",
                phoneNumber: try Fixtures.number(3_000_000 + index),
                email: nil,
                language: nil,
                hasPriorConsent: true,
                doNotCall: false,
                timeZone: "UTC",
                cell: Self.cells[index % 2]
            )
        }
        let key = SuppressionKey(secret: FaultHouse.suppressionKey)
        _ = try await self.house.store.addContacts(rows, campaign: campaign, key: key)
    }

    /// Changes a limit to a little more than what is used already, as an operator does.
    /// - Returns: Whether it was changed.
    func change() async throws -> Bool {
        if try await self.isOver() { try await self.startAnother() }
        guard let step = self.state.withLockedValue({ $0.plan.next() }) else { return false }
        let used = try await self.used(of: step.limit, in: self.name)
        let option =
            switch step.limit {
            case .callsAtOnce: ["--max-concurrent-calls", "\(step.more)"]
            // A minute's calls are its share of the hour's.
            case .callsPerHour: ["--calls-per-hour", "\((used + step.more) * 60)"]
            case .completes: ["--target-completes", "\(used + step.more)"]
            case .cell: ["--cell-target", "\(Self.cells[0])=\(used + step.more)"]
            }
        var lifted: [String] = []
        if !step.keepsOthers {
            let limits: [(LimitPlan.Limit, String)] = [
                (.callsAtOnce, "max-concurrent-calls"), (.callsPerHour, "calls-per-hour"),
                (.completes, "target-completes"), (.cell, "cell-targets"),
            ]
            lifted = limits.filter { $0.0 != step.limit }.flatMap { ["--clear", $0.1] }
        }
        let ended = try await Product.run(
            ["campaign", "set", self.name] + option + lifted,
            self.house.operatorEnvironment
        )
        self.house.log.note("\(self.name): \(option.joined(separator: " ")): \(ended.exitCode)")
        return ended.exitCode == 0
    }

    private func used(of limit: LimitPlan.Limit, in name: String) async throws -> Int {
        let contacts = """
            select count(*) from contacts c join campaign_strata s on s.id = c.stratum_id
            join campaigns k on k.id = c.campaign_id and k.name = '\(name)'
            where (c.state = 'completed' or c.state = 'excluded' and c.disposition <= 1 or exists (
                select from call_attempts a where a.contact_id = c.id and a.ended_at is null))
            """
        switch limit {
        case .callsAtOnce: return 0
        case .callsPerHour:
            return try await self.house.count(
                """
                select count(*) from call_attempts a join campaigns k on k.id = a.campaign_id and k.name = '\(name)'
                where a.counted and a.started_at > now() - interval '1 minute'
                """
            )
        case .completes: return try await self.house.count(contacts)
        case .cell: return try await self.house.count(contacts + " and s.cell = '\(Self.cells[0])'")
        }
    }
}
