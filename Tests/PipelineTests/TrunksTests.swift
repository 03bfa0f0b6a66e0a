// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import ProviderSimulator
import TestBasics
import TestSupport
import Testing

/// Two trunks, each with a queue, a dialer and campaigns of its own.
@Suite(.timeLimit(.minutes(20)), .serialized)
struct TrunksTests {
    private static let contacts = 20
    private static let scenario = """
        {"outcomes": {"completed": 1}, "ring_seconds": {"min": 0.05, "max": 0.1}, "talk_seconds": {"min": 0.1, "max": 0.2}}
        """

    @Test("each trunk's campaign is dialed by its own dialer, and a trunk that is paused rests while the other works")
    func twoTrunks() async throws {
        try await Scratch.run { scratch in
            let rehearsal = try await Rehearsal.start(scenario: Self.scenario)
            let port = try Ports.free()
            let environment = [
                "DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL,
                "TWILIO_ACCOUNT_SID": Rehearsal.account, "TWILIO_AUTH_TOKEN": Rehearsal.token,
                "TWILIO_BASE_URL": rehearsal.url, "WEBHOOK_PUBLIC_URL": "http://127.0.0.1:\(port)",
                "WEBHOOK_PORT": "\(port)", "SELECTOR_INTERVAL_SECONDS": "0.5", "DIALER_CALLS_PER_SECOND": "50",
            ]
            var roles: [RunningRole] = []
            do {
                for (index, trunk) in ["east", "west"].enumerated() {
                    _ = try await Fixtures.runningCampaign(
                        in: scratch.store,
                        name: trunk,
                        contacts: Self.contacts,
                        first: index * 1000
                    ) {
                        $0.trunk = trunk
                        $0.maximumAttempts = 1
                        $0.answerURL = rehearsal.url + "/simulator/answer"
                    }
                }
                #expect(try await Product.run(["trunk", "pause", "east"], environment).exitCode == 0)
                for role in ["selector", "recorder", "webhooks"] { roles.append(try RunningRole([role], environment)) }
                for trunk in ["east", "west"] {
                    let own = ["DIALER_TRUNK": trunk, "DIALER_ID": "dialer-" + trunk]
                    roles.append(try RunningRole(["dialer"], environment.merging(own) { _, new in new }))
                }
                try await Self.waitForAll(scratch, "west")
                #expect(try await Self.attempts(scratch, "k.name = 'east'") == 0)
                #expect(try await Product.run(["trunk", "resume", "east"], environment).exitCode == 0)
                try await Self.waitForAll(scratch, "east")
                for trunk in ["east", "west"] {
                    let own = "k.name = '\(trunk)' and a.dialer_id = 'dialer-\(trunk)'"
                    #expect(try await Self.attempts(scratch, own) == Self.contacts)
                }
                #expect(try await Self.attempts(scratch, "true") == 2 * Self.contacts)
                #expect(try await rehearsal.ledger().summary.placed == 2 * Self.contacts)
            } catch {
                for role in roles { print("--- \(role.name)\n\(role.log.suffix(2000))") }
                for role in roles { await role.stop() }
                await rehearsal.role.stop()
                throw error
            }
            for role in roles { await role.stop() }
            await rehearsal.role.stop()
        }
    }

    private static func attempts(_ scratch: Scratch, _ condition: String) async throws -> Int {
        try await scratch.value(
            "select count(*) from call_attempts a join campaigns k on k.id = a.campaign_id where \(condition)",
            as: Int.self
        )
    }

    private static func waitForAll(_ scratch: Scratch, _ campaign: String) async throws {
        let completed = """
            select count(*) from contacts c join campaigns k on k.id = c.campaign_id
            where k.name = '\(campaign)' and c.state = 'completed'
            """
        try await eventually(
            "everybody of \(campaign) has been called",
            of: { try await scratch.value(completed, as: Int.self) },
            { $0 == Self.contacts }
        )
    }
}
