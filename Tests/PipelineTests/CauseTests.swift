// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import TestBasics
import TestSupport
import Testing

/// What `status`, `campaign why` and `trunk list` say of a house in which something is missing: with real processes.
@Suite(.timeLimit(.minutes(20)), .serialized)
struct CauseTests {
    private static let scenario = """
        {"outcomes": {"completed": 1}, "ring_seconds": {"min": 0.05, "max": 0.1}, "talk_seconds": {"min": 0.1, "max": 0.2}}
        """

    /// A house whose roles come and go.
    private final class Story {
        let scratch: Scratch
        let environment: [String: String]
        private(set) var roles: [String: RunningRole] = [:]

        init(_ scratch: Scratch, _ environment: [String: String]) {
            self.scratch = scratch
            self.environment = environment
        }

        func start(_ role: String, _ more: [String: String] = [:]) throws {
            self.roles[role] = try RunningRole([role], self.environment.merging(more) { _, new in new })
        }

        func stop(_ role: String, by signal: Int32 = SIGTERM) async {
            self.roles[role]?.send(signal)
            await self.roles.removeValue(forKey: role)?.stop()
        }

        func stopAll() async {
            for role in self.roles.keys { await self.stop(role) }
        }

        /// Waits until the last line of `campaign why` has these words.
        func why(_ words: String) async throws {
            var last = ""
            do {
                try await eventually("campaign why names the cause") {
                    let ended = try await Product.run(["campaign", "why", "test"], self.environment)
                    last = ended.output.split(separator: "\n").last.map(String.init) ?? ended.errors
                    return last.contains(words)
                }
            } catch {
                Issue.record("'\(words)' is not in: \(last)")
                throw error
            }
        }

        func output(_ arguments: [String]) async throws -> String {
            let ended = try await Product.run(arguments, self.environment)
            #expect(ended.exitCode == 0, "\(ended.errors)")
            return ended.output
        }
    }

    @Test("the last line of campaign why is the cause, and status and trunk list tell who works")
    func causes() async throws {
        try await Scratch.run { scratch in
            let rehearsal = try await Rehearsal.start(scenario: Self.scenario)
            let port = try Ports.free()
            let story = Story(
                scratch,
                [
                    "DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL, "DIALER_TRUNK": "east",
                    "DIALER_ID": "d1", "TWILIO_ACCOUNT_SID": Rehearsal.account, "TWILIO_AUTH_TOKEN": Rehearsal.token,
                    "TWILIO_BASE_URL": rehearsal.url, "WEBHOOK_PUBLIC_URL": "http://127.0.0.1:\(port)",
                    "WEBHOOK_PORT": "\(port)", "DIALER_CALLS_PER_SECOND": "50", "DIALER_BREAKER_FAILURES": "1",
                ]
            )
            do {
                try await Self.tell(story, rehearsal)
            } catch {
                for (name, role) in story.roles { print("--- \(name)\n\(role.log.suffix(2000))") }
                await story.stopAll()
                await rehearsal.role.stop()
                throw error
            }
            await story.stopAll()
            await rehearsal.role.stop()
        }
    }

    private static func tell(_ story: Story, _ rehearsal: Rehearsal) async throws {
        let store = story.scratch.store
        for role in ["recorder", "webhooks"] { try story.start(role) }
        // Its first pass is over before there is anybody to call, and the second is far away.
        try story.start("selector", ["SELECTOR_INTERVAL_SECONDS": "3600"])
        try await eventually("the first pass is over") {
            try await store.roles().contains { $0.report.passedAt != nil && $0.report.fault == nil }
        }
        _ = try await Fixtures.runningCampaign(in: store, contacts: 500) {
            $0.trunk = "east"
            $0.answerURL = rehearsal.url + "/simulator/answer"
        }
        try await story.why("because no dialer runs on its trunk 'east'")
        #expect(try await story.output(["status"]).contains("MISSING: no dialer runs on its trunk 'east'"))
        #expect(try await story.output(["trunk", "list"]).contains(/east +stuck +1 +0 +0 +0 .*no dialer/))

        try story.start("dialer")
        try await story.why("calls are about to be made: the selector makes a pass every 3")
        let status = try await story.output(["status"])
        #expect(status.contains(/dialer +d1 .* east +ready +10 +0 +closed/), "\(status)")
        #expect(status.contains("every role works; no call is live and none is queued"), "\(status)")
        #expect(try await story.output(["trunk", "list"]).contains(/east +open +1 +1 +10 +0 +closed +0/))

        await story.stop("selector")
        try await story.why("because no selector runs;")
        try await rehearsal.hold(.end)
        try story.start("selector", ["SELECTOR_INTERVAL_SECONDS": "1"])
        try await story.why("requests wait because all 10 lines of the trunk's dialers are taken")
        await story.stop("webhooks")
        try await story.why("but no webhooks process runs; ")
        try story.start("webhooks")
        await story.stop("recorder")
        try await story.why("because no recorder runs; ")
        try story.start("recorder")

        await story.stop("dialer", by: SIGKILL)
        try await story.why("because no dialer takes the requests of its trunk 'east'; d1 on ")
        try await rehearsal.release(.end)
        try story.start("dialer")
        try await story.why("calls are being made")
        await rehearsal.role.stop()
        try await story.why("because the provider fails, and the circuit breaker of its trunk's dialers is open (d1)")
        #expect(try await story.output(["status"]).contains("dialer d1 is not ready: dialer: the provider fails"))
        _ = try await story.output(["trunk", "pause", "east", "--reason", "no credit"])
        try await story.why("because its trunk is paused: no credit")
        #expect(try await story.output(["trunk", "list"]).contains(/east +paused .*no credit/))
    }

    @Test("under the broker's alarm it is named, by the role that publishes")
    func alarm() async throws {
        let name = TestRun.name + "-alarm"
        try await Shell.stack("up --name \(name)")
        do {
            let urls = Shell.root.appendingPathComponent(".local/stack-\(name)/urls.env")
            let lines = try String(contentsOf: urls, encoding: .utf8).split(separator: "\n")
            let broker = try #require(lines.first { $0.hasPrefix("AMQP_URL=") }).dropFirst("AMQP_URL=".count)
            try await Scratch.run { scratch in
                let story = Story(
                    scratch,
                    [
                        "DATABASE_URL": scratch.databaseURL, "AMQP_URL": String(broker),
                        "SELECTOR_INTERVAL_SECONDS": "1", "TWILIO_ACCOUNT_SID": Rehearsal.account,
                        "TWILIO_AUTH_TOKEN": Rehearsal.token, "WEBHOOK_PUBLIC_URL": "http://127.0.0.1:9",
                        "TWILIO_BASE_URL": "http://127.0.0.1:9", "DIALER_ID": "d1",
                    ]
                )
                do {
                    for role in ["dialer", "recorder", "selector"] { try story.start(role) }
                    try await eventually("all are ready") {
                        try await scratch.store.roles().count { $0.report.fault == nil } == 3
                    }
                    try await Shell.stack("ctl --name \(name) set_disk_free_limit 1000000GB")
                    _ = try await Fixtures.runningCampaign(in: scratch.store, contacts: 5)
                    try await story.why("because the broker takes no messages now: ")
                    let doctor = try await Product.run(["doctor"], story.environment)
                    #expect(
                        doctor.output.contains("FAULT  broker's alarm: the broker takes no messages: "),
                        "\(doctor)"
                    )
                } catch {
                    for (name, role) in story.roles { print("--- \(name)\n\(role.log.suffix(2000))") }
                    await story.stopAll()
                    throw error
                }
                await story.stopAll()
            }
        } catch {
            try? await Shell.stack("down --name \(name)")
            throw error
        }
        try await Shell.stack("down --name \(name)")
    }
}
