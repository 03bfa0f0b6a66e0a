// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import CallModel
import CallStore
import Foundation
import NIOCore
import ProviderSimulator
import TestBasics
import TestSupport
import Testing

/// Disasters of `ops/RUNBOOK.md`, rehearsed; the lost database is in `RecoveryTests`.
@Suite(.serialized, .alone, .timeLimit(.minutes(20)))
struct DisasterTests {
    private static let contacts = 80
    private static let live = 8
    private static let scenario = """
        {"seed": 6, "outcomes": {"completed": 70, "no_answer": 30},
         "ring_seconds": {"min": 0.1, "max": 0.4}, "talk_seconds": {"min": 0.3, "max": 1}}
        """

    /// What a disaster can strike.
    private struct House: Sendable {
        let scratch: Scratch
        let rehearsal: Rehearsal
        let wire: TCPProxy
        let environment: [String: String]
        let health: Int

        /// Runs a command of the runbook.
        func command(_ arguments: [String]) async throws {
            let ended = try await Product.run(arguments, self.environment)
            #expect(ended.exitCode == 0, "\(arguments): \(ended.errors)")
            let said = ended.output.split(separator: "\n").joined(separator: "; ")
            print("DISASTER \(arguments.joined(separator: " ")): \(said)")
        }

        func exposes(_ line: String) async throws -> Bool {
            let response = try await HTTPClient.patient.execute(
                HTTPClientRequest(url: "http://127.0.0.1:\(self.health)/metrics"),
                timeout: .seconds(600)
            )
            return String(buffer: try await response.body.collect(upTo: 1 << 22)).contains("\n" + line + "\n")
        }
    }

    @Test("the broker is gone with all its messages, in the middle of a campaign: nothing is lost, nobody called twice")
    func brokerEmptied() async throws {
        try await Self.campaign { house in
            try await Self.wait(house.scratch, attempts: 25)
            try await house.scratch.emptyBroker()
            try await house.rehearsal.release(.end)
        }
    }

    @Test("the provider is down: the breaker stops asking, the end is put off, and then everybody is called, once")
    func providerDown() async throws {
        try await Self.campaign(inFlight: Self.live) { house in
            try await Self.wait(house.scratch, attempts: 25)
            await house.wire.close()
            // Slots get free, and the dialer has somebody to ask for.
            try await house.rehearsal.release(.end)
            try await eventually("the breaker is open") {
                try await house.exposes("call_scheduler_dialer_breaker_open{trunk=\"default\"} 1")
            }
            try await house.command(["pause", "--all", "--reason", "the provider is down"])
            try await house.command(["campaign", "forecast", "disaster", "--lines", "\(Self.live)"])
            let end = Date().addingTimeInterval(172_800).formatted(.iso8601)
            try await house.command(["campaign", "set", "disaster", "--ends-at", end])
            try await eventually("no call is open any more") {
                try await house.scratch.value(
                    "select count(*) from call_attempts where ended_at is null",
                    as: Int.self
                ) == 0
            }
            let before = try await house.scratch.value("select count(*) from call_attempts", as: Int.self)
            try await house.wire.open()
            try await house.command(["campaign", "resume", "disaster"])
            try await Self.wait(house.scratch, attempts: before + 5)
            try await eventually("the breaker is closed") {
                try await house.exposes("call_scheduler_dialer_breaker_open{trunk=\"default\"} 0")
            }
        }
    }

    /// Runs a campaign with a disaster in it to its end, and compares the provider's ledger with the tables.
    /// - Parameters:
    ///   - inFlight: How many requests to the provider the disaster may cut off, of which nobody can tell any more whether
    ///     a phone rang; these are not repeated.
    ///   - disaster: The disaster.
    /// - Throws: What the disaster or a check throws.
    private static func campaign(
        inFlight: Int = 0,
        _ disaster: @Sendable (House) async throws -> Void
    ) async throws {
        try await Scratch.run { scratch in
            let rehearsal = try await Rehearsal.start(scenario: Self.scenario)
            let wire = try await TCPProxy(port: try Ports.free(), targets: [Servers.port(of: rehearsal.url)])
            let (port, health) = (try Ports.free(), try Ports.free())
            let environment = [
                "DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL,
                "TWILIO_ACCOUNT_SID": Rehearsal.account, "TWILIO_AUTH_TOKEN": Rehearsal.token,
                "TWILIO_BASE_URL": "http://127.0.0.1:\(wire.port)", "TWILIO_REQUEST_TIMEOUT_SECONDS": "3",
                "WEBHOOK_PUBLIC_URL": "http://127.0.0.1:\(port)", "WEBHOOK_PORT": "\(port)",
                "HEALTH_PORT": "\(health)", "SELECTOR_INTERVAL_SECONDS": "0.5",
                "SELECTOR_CLAIM_TTL_SECONDS": "5", "DIALER_MAX_CONCURRENT_CALLS": "\(Self.live)",
                "DIALER_CALLS_PER_SECOND": "20", "DIALER_CALL_MARGIN_SECONDS": "3",
                "DIALER_FAILURE_BACKOFF_SECONDS": "1", "DIALER_BREAKER_PAUSE_SECONDS": "0.5",
            ]
            let roles = try RunningRole(["all"], environment)
            let house = House(
                scratch: scratch,
                rehearsal: rehearsal,
                wire: wire,
                environment: environment,
                health: health
            )
            let outcome: Result<Void, any Error>
            do {
                // As many calls end before the disaster as it takes to be in the middle of the campaign, and no more.
                try await rehearsal.hold(.end)
                try await rehearsal.pass(.end, calls: 25)
                _ = try await Fixtures.runningCampaign(in: scratch.store, name: "disaster", contacts: Self.contacts) {
                    $0.maximumAttempts = 1
                    $0.maximumCallSeconds = 3600
                    $0.answerURL = rehearsal.url + "/simulator/answer"
                }
                try await disaster(house)
                try await Self.check(house, inFlight: inFlight)
                outcome = .success(())
            } catch {
                print(roles.log.suffix(3000))
                outcome = .failure(error)
            }
            await roles.stop()
            await wire.close()
            await rehearsal.role.stop()
            try outcome.get()
        }
    }

    private static func check(_ house: House, inFlight: Int) async throws {
        let open = """
            select (select count(*) from contacts where state in ('pending', 'in_progress')
                    or state = 'not_reached' and next_attempt_at is not null)
                + (select count(*) from call_attempts where ended_at is null)
                + (select count(*) from survey_events where published_at is null)
            """
        try await eventually(
            "every contact is final, and all are told of",
            of: { try await house.scratch.value(open, as: Int.self) },
            { $0 == 0 }
        )
        let calls = try await house.rehearsal.ledger().calls.filter { $0.sid != nil }
        #expect(Dictionary(grouping: calls, by: \.to).values.allSatisfy { $0.count == 1 })
        let unknown = try await house.scratch.value(
            "select count(*) from call_attempts where counted and provider_call_id is null",
            as: Int.self
        )
        #expect(unknown <= inFlight)
        #expect(Set(calls.map(\.to)).count >= Self.contacts - unknown)
        let charged = try await house.scratch.value(
            "select count(distinct contact_id) from call_attempts where counted",
            as: Int.self
        )
        #expect(charged == Self.contacts)
    }

    private static func wait(_ scratch: Scratch, attempts: Int) async throws {
        let count = { try await scratch.value("select count(*) from call_attempts", as: Int.self) }
        try await eventually("there are \(attempts) attempts", of: count) { $0 >= attempts }
    }
}
