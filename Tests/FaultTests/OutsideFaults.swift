// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Foundation
import NIOConcurrencyHelpers
import Postgres
import TestBasics
import TestSupport

@testable import struct ProviderSimulator.SeededGenerator

/// Campaigns with contacts in them, and what people and strangers do to them meanwhile.
final class OutsideFaults: Sendable {
    private struct State {
        var nextContact = 20
        var poison: Set<String> = []
    }

    private static let names = ["main", "twins", "rules", "closing"]

    private let house: FaultHouse
    private let seed: UInt64
    private let state = NIOLockedValueBox(State())
    private let campaigns: [String: UUID]
    private let limits: Limits
    private let erasures: Erasures
    private let closesAt: Date

    init(house: FaultHouse, seed: UInt64, duration: Duration) async throws {
        self.house = house
        self.seed = seed
        let now = Int(Date().timeIntervalSince1970)
        let closing = (now + max(30, Int(duration.components.seconds) / 2) + 59) / 60
        self.closesAt = Date(timeIntervalSince1970: Double(closing * 60))
        let window = try Self.window(from: now / 60 - 60, to: closing)
        var campaigns: [String: UUID] = [:]
        for name in Self.names {
            campaigns[name] = try await Fixtures.runningCampaign(
                in: house.store,
                name: name,
                contacts: 20,
                first: Self.firstNumber(name)
            ) { settings in
                settings.answerURL = house.rehearsal.url + "/simulator/answer"
                settings.maximumAttempts = name == "main" ? 3 : 2
                // The window of the last one is too short for a minute to pass in it.
                settings.retryIntervalMinutes = name == "closing" ? 0 : 1
                settings.detectsMachines = name != "rules"
                if name == "closing" { settings.window = window }
            }
        }
        self.campaigns = campaigns
        self.limits = try await Limits(house: house, seed: seed)
        self.erasures = try await Erasures(house: house)
        try await self.feed(extra: 60)
    }

    /// The ids of all poison that was sent.
    var poison: Set<String> { self.state.withLockedValue(\.poison) }

    /// Who was forgotten, and when that was done.
    var erased: [String: Date] { self.erasures.erased }

    /// Opens an hour ago and closes in the middle of the run, on the minute.
    private static func window(from start: Int, to end: Int) throws -> LocalTimeWindow {
        func text(_ minute: Int) -> String {
            let minute = minute % 1440
            func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
            return two(minute / 60) + ":" + two(minute % 60)
        }
        return try LocalTimeWindow(text(start) + "-" + text(end))
    }

    /// What has not been shown yet: that retry intervals are waited for, and that a window closes before contacts who wait.
    func missing() async throws -> [String] {
        var missing: [String] = []
        for (name, id) in self.campaigns.sorted(by: { $0.key < $1.key }) where name != "closing" {
            let again = try await self.house.count(
                "select count(*) from contacts where campaign_id = '\(id)' and attempts_count > 1"
            )
            if again == 0 { missing.append("a second attempt for \(name)") }
        }
        let closing = self.campaigns["closing"].map { "\($0)" } ?? ""
        let waiting = try await self.house.count(
            "select count(*) from contacts where campaign_id = '\(closing)' and state = 'pending'"
        )
        if Date() < self.closesAt.addingTimeInterval(5) || waiting == 0 { missing.append("a window that has closed") }
        var witnesses = Witnesses()
        witnesses.room = try await self.house.room()
        let met = Checker(witnesses).metLimits
        missing += LimitPlan.Limit.allCases.filter { met[$0.rawValue] == nil }.map {
            "a \($0.rawValue) met to the call"
        }
        return missing
    }

    /// A range of numbers of each campaign's own, but for the twins.
    private static func firstNumber(_ campaign: String) -> Int {
        switch campaign {
        case "rules": 1_000_000
        case "closing": 2_000_000
        default: 0
        }
    }

    func run(until isOver: () -> Bool) async {
        for step in OutsidePlan(seed: self.seed) {
            if isOver() { break }
            do {
                try await self.feed(extra: 0)
                var random = step.random
                if try await self.inject(step.fault, using: &random) { self.house.log.count(step.fault.rawValue) }
            } catch {
                // The servers are being broken meanwhile; what could not be done is not counted.
                self.house.log.note("outside: \(error)")
            }
            try? await Task.sleep(for: step.wait)
        }
        for name in Self.names + [self.limits.name] { await self.resume(name) }
    }

    /// Keeps enough contacts due that the dialers are never idle. The twins share their numbers with the main campaign.
    func feed(extra: Int) async throws {
        try await self.limits.feed()
        guard let main = self.campaigns["main"] else { return }
        let due = try await self.house.count(
            "select count(*) from contacts where campaign_id = '\(main)' and state = 'pending'"
        )
        guard due < 60 || extra > 0 else { return }
        let first = self.state.withLockedValue { state in
            defer { state.nextContact += 60 }
            return state.nextContact
        }
        for (name, share) in [("main", 60), ("twins", 20), ("rules", 15), ("closing", 15)] {
            let base = Self.firstNumber(name)
            guard let campaign = self.campaigns[name] else { continue }
            let rows = try (first..<(first + share)).map { index in
                CallStore.NewContact(
                    externalID: "\(name)-\(index)",
                    phoneNumber: try Fixtures.number(base + index),
                    email: nil,
                    language: nil,
                    hasPriorConsent: true,
                    doNotCall: false,
                    timeZone: "UTC"
                )
            }
            let key = SuppressionKey(secret: FaultHouse.suppressionKey)
            _ = try await self.house.store.addContacts(rows, campaign: campaign, key: key)
        }
    }

    /// - Returns: Whether there was anything to do it to.
    private func inject(_ fault: OutsideFault, using random: inout SeededGenerator) async throws -> Bool {
        switch fault {
        case .pauseCampaign:
            let code = try await self.operate(["campaign", "pause", "rules"])
            try await Task.sleep(for: .milliseconds(Int.random(in: 0...2500, using: &random)))
            await self.resume("rules")
            return code == 0
        case .pauseAll:
            let code = try await self.operate(["pause", "--all"])
            try await Task.sleep(for: .milliseconds(Int.random(in: 0...1500, using: &random)))
            for name in Self.names + [self.limits.name] { await self.resume(name) }
            return code == 0
        case .exclude:
            return try await self.exclude(draw: random.next())
        case .changeLimits:
            return try await self.limits.change()
        case .erase:
            return try await self.erasures.erase(using: &random)
        case .poison:
            try await self.poisonQueues(using: &random)
            return true
        case .duplicateRequest:
            return try await self.repeatRequests(draw: random.next())
        case .replayEvent:
            return try await self.replayReports()
        }
    }

    private func operate(_ arguments: [String]) async throws -> Int32 {
        try await Product.run(arguments, self.house.operatorEnvironment).exitCode
    }

    private func resume(_ name: String) async {
        do {
            // A server may be away for as long as its fault lasts. 64 says that it was running already.
            try await eventually("campaign \(name) is resumed") {
                let code = try? await self.operate(["campaign", "resume", name])
                return code == 0 || code == 64
            }
        } catch {
            self.house.log.unexpected("\(error)")
        }
    }

    /// Half of them are being called or queued just now.
    private func exclude(draw: UInt64) async throws -> Bool {
        let rows = try await self.house.client.execute(
            PostgresStatement(
                """
                (select phone_number from contacts where state = 'in_progress'
                    order by md5(external_contact_id || '\(draw)') limit 1)
                union all (select phone_number from contacts where state = 'pending' and next_attempt_at is not null
                        and campaign_id <> (select id from campaigns where name = '\(Erasures.campaign)')
                    order by md5(external_contact_id || '\(draw)') limit 1)
                """,
                prepared: false
            ),
            []
        )
        let numbers = try rows.map { try PhoneNumber($0.decode(String.self, at: 0)) }
        try await self.house.store.addExclusions(numbers, reason: "asked for it", source: "api")
        return !numbers.isEmpty
    }

    private func poisonQueues(using random: inout SeededGenerator) async throws {
        let requests = CallTopology.dialExchange
        let reports = CallTopology.callEvents
        let bodies: [[UInt8]] = [
            [], Array("{".utf8), Array("null".utf8), Array(#"{"call_id":"x"}"#.utf8),
            [UInt8](repeating: 0x20, count: 20_000), (0..<200).map { _ in UInt8.random(in: 0...255, using: &random) },
        ]
        for (exchange, key) in [(requests, "default"), (reports, reports)] {
            var message = AMQPMessage(body: bodies.randomElement(using: &random) ?? [])
            message.type =
                ["dial-request.v1", "call-event.v1", "dial-request.v9", nil].randomElement(using: &random) ?? nil
            let id = "poison-\(random.next())"
            message.messageID = id
            self.state.withLockedValue { _ = $0.poison.insert(id) }
            try await self.house.broker.publish(message, exchange: exchange, routingKey: key)
        }
    }

    private func repeatRequests(draw: UInt64) async throws -> Bool {
        let rows = try await self.house.client.execute(
            PostgresStatement(
                """
                (select call_id, id, campaign_id from contacts where state = 'in_progress'
                    order by md5(external_contact_id || '\(draw)') limit 3)
                union all
                (select call_id, contact_id, campaign_id from call_attempts order by id desc limit 2)
                """,
                prepared: false
            ),
            []
        )
        for row in try rows.map({ $0 }) {
            let request = DialRequest(
                callID: try row.decode(UUID.self, at: 0),
                contactID: try row.decode(UUID.self, at: 1),
                campaignID: try row.decode(UUID.self, at: 2),
                attemptNumber: 1,
                claimedAt: Date(),
                expiresAt: Date().addingTimeInterval(60)
            )
            let publication = CallMessages.publication(of: request, trunk: "default")
            try await self.house.broker.publish(
                publication.message,
                exchange: publication.exchange,
                routingKey: publication.routingKey
            )
        }
        return rows.count > 0
    }

    private func replayReports() async throws -> Bool {
        let rows = try await self.house.client.execute(
            PostgresStatement(
                "select call_id, provider_call_id from call_attempts where answered_at is not null order by id desc limit 3",
                prepared: false
            ),
            []
        )
        for row in try rows.map({ $0 }) {
            for status in [CallStatus.ringing, .answered, .initiated] {
                let event = CallEvent(
                    callID: try row.decode(UUID.self, at: 0),
                    providerCallID: try row.decode(String?.self, at: 1),
                    status: status,
                    occurredAt: Date()
                )
                let publication = CallMessages.publication(of: event)
                try await self.house.broker.publish(
                    publication.message,
                    exchange: publication.exchange,
                    routingKey: publication.routingKey
                )
            }
        }
        return rows.count > 0
    }
}
