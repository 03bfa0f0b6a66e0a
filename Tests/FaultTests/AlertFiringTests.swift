// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Foundation
import Logging
import NIOHTTP1
import TestBasics
import TestSupport
import Testing

/// Each shipped alert on a running house: its condition is made, it fires, the condition is taken away, it ceases.
@Suite(.serialized, .alone, .timeLimit(.minutes(30)))
struct AlertFiringTests {
    /// Something that goes wrong, and how it is set right.
    private struct Trouble: Sendable {
        let name: String
        /// What fires, without `CallScheduler`.
        let alerts: Set<String>
        let begin: @Sendable (AlertHouse) async throws -> Void
        let end: @Sendable (AlertHouse) async throws -> Void

        var names: Set<String> { Set(self.alerts.map { "CallScheduler" + $0 }) }
    }

    @Test("the troubles of this suite make every alert that is shipped")
    func complete() throws {
        let file = Shell.root.appendingPathComponent("ops/prometheus/alerts.yml")
        let shipped = try String(contentsOf: file, encoding: .utf8).matches(of: /- alert: (\w+)/).map { String($0.1) }
        let made = Self.troubles.reduce(into: Set<String>()) { $0.formUnion($1.names) }
        #expect(Set(shipped) == made)
    }

    @Test("each alert fires while its condition holds on a running house, and ceases afterwards")
    func fireAndCease() async throws {
        try await AlertHouse.run { house in
            try await Self.quiet(house, "the start")
            for trouble in Self.troubles {
                let start = ContinuousClock.now
                try await trouble.begin(house)
                var seen: Set<String> = []
                try await eventually(
                    "'\(trouble.name)' makes \(trouble.alerts)",
                    of: {
                        seen.formUnion(try await house.firing())
                        return seen
                    },
                    { trouble.names.isSubset(of: $0) }
                )
                let fired = ContinuousClock.now
                try await trouble.end(house)
                try await house.calm()
                try await Self.quiet(house, trouble.name)
                print(
                    "ALERTS \(trouble.name): \(trouble.alerts.sorted()) fired after \(fired - start), all quiet after "
                        + "\(ContinuousClock.now - fired); also seen: \(seen.subtracting(trouble.names).sorted())"
                )
                if !trouble.alerts.contains("DeadLetters") { #expect(!seen.contains("CallSchedulerDeadLetters")) }
            }
        }
    }

    private static func quiet(_ house: AlertHouse, _ name: String) async throws {
        try await eventually("no alert fires after \(name)", of: { try await house.firing() }, { $0.isEmpty })
    }

    private static let troubles = Self.troublesOfTrunks + Self.troublesOfRecords + Self.troublesOfServers

    private static let troublesOfTrunks = [
        // First: the first events of a counter must be seen as well.
        Trouble(name: "somebody forges callbacks", alerts: ["CallbacksForged"]) { house in
            let url = "http://127.0.0.1:\(house.webhooks)/v1/callbacks/twilio?call_id=\(UUID())"
            try await eventually("the first burst is sent") {
                (try? await house.post(url, headers: ["X-Twilio-Signature": "bm8="])) != nil
            }
            for _ in 0..<20 { try await house.post(url, headers: ["X-Twilio-Signature": "bm8="]) }
        } end: { _ in
        },
        Trouble(
            name: "no dialer",
            alerts: ["RoleDown", "TrunkWithoutDialers", "TrunkIdle", "ClaimsExpire"]
        ) { house in
            await house.stop("dialer")
            try await house.campaign("without dialers", contacts: 20)
        } end: {
            try $0.start("dialer")
        },
        Trouble(name: "a trunk is paused", alerts: ["TrunkPaused"]) { house in
            try await house.command(["trunk", "pause", "default", "--reason", "test"])
            try await house.campaign("paused", contacts: 5)
        } end: {
            try await $0.command(["trunk", "resume", "default"])
        },
        Trouble(
            name: "an appointment passes while nobody may be called",
            alerts: ["AppointmentsMissed", "TrunkPaused"]
        ) { house in
            try await house.command(["trunk", "pause", "default", "--reason", "test"])
            try await house.campaign("appointed", contacts: 1)
            try await house.execute(
                """
                insert into appointments
                    (contact_id, campaign_id, source, appointed_at, appointed_until, try_at, try_until)
                select id, campaign_id, 'person', now() - interval '2 hours', now() - interval '1 hour',
                    now() - interval '2 hours', now() - interval '1 hour'
                from contacts
                where state = 'pending'
                """
            )
        } end: { house in
            // It would be tried again in ten minutes.
            try await house.execute("delete from appointments")
            try await house.execute("update contacts set next_attempt_at = now() where state = 'pending'")
            try await house.command(["trunk", "resume", "default"])
        },
        Trouble(name: "the provider is down", alerts: ["BreakerOpen", "TrunkIdle"]) { house in
            house.provider.takeAway()
            try await house.campaign("provider down", contacts: 40)
        } end: {
            $0.provider.bringBack()
        },
        Trouble(name: "every slot is taken by calls that do not end", alerts: ["TrunkIdle"]) { house in
            await house.stop("recorder")
            try await house.campaign("slots", contacts: 30)
        } end: {
            try $0.start("recorder")
        },
        Trouble(name: "the provider knows nothing of its calls", alerts: ["CallsLost"]) { house in
            try await house.hold(.end)
            try await house.campaign("lost", contacts: 10)
            try await eventually("calls are live") {
                try await house.count("call_attempts where provider_call_id is not null and ended_at is null") == 10
            }
            try await house.replaceProvider()
        } end: { _ in
        },
    ]

    private static let troublesOfRecords = [
        Trouble(name: "nobody has looked at a policy again", alerts: ["PolicyOverdue"]) { house in
            let policy = try await house.store.policy(named: "us")
            let overdue = try Policy.parse(
                policy.document.replacing(try #require(policy.reviewBy), with: "2020-01-01")
                    .replacing("\"\(policy.version)\"", with: "\"2020-01-01\"")
            )
            let settings = CampaignSettings(name: "overdue", timeZone: "America/New_York")
            _ = try await house.store.createCampaign(settings, policy: overdue)
        } end: {
            try await $0.command(["campaign", "cancel", "overdue"])
        },
        Trouble(name: "a campaign's statement fails", alerts: ["PutAside"]) { house in
            try await house.campaign("aside", contacts: 3)
            try await eventually("it is over") { try await house.count("contacts where state = 'in_progress'") == 0 }
            try await house.execute(
                """
                create function refuse() returns trigger language plpgsql as $$
                begin raise exception 'not this one' using errcode = 'P0001'; end $$
                """
            )
            try await house.execute(
                """
                create trigger refuse before update on contacts for each row
                when (new.state = 'in_progress' and old.state <> 'in_progress') execute function refuse()
                """
            )
            try await house.campaign("aside too", contacts: 3)
        } end: { house in
            try await house.execute("drop trigger refuse on contacts")
            try await house.execute("drop function refuse()")
            for command in ["pause", "resume"] { try await house.command(["campaign", command, "aside too"]) }
        },
        Trouble(name: "the database takes no records", alerts: ["RecordingFails", "ReportsLate"]) { house in
            try await house.hold(.end)
            try await house.campaign("records", contacts: 5)
            try await eventually("calls are live") {
                try await house.count("call_attempts where answered_at is not null and ended_at is null") == 5
            }
            try await house.execute(
                """
                create function refuse() returns trigger language plpgsql as $$
                begin raise exception 'no room' using errcode = '53100'; end $$
                """
            )
            try await house.execute(
                "create trigger refuse before update on call_attempts for each row execute function refuse()"
            )
            try await house.release(.end)
            try await eventually("it has failed") {
                try await house.firing().contains("CallSchedulerRecordingFails")
            }
            try await house.execute("drop trigger refuse on call_attempts")
        } end: {
            try await $0.execute("drop function refuse()")
        },
        Trouble(name: "nobody can read a report", alerts: ["DeadLetters"]) { house in
            var logger = Logger(label: "alerts")
            logger.logLevel = .error
            let connection = AMQPConnection(
                configuration: try AMQPConfiguration(uri: house.servers.brokerURL),
                topology: CallTopology.reports(),
                logger: logger
            )
            var message = AMQPMessage(body: Array("{".utf8))
            message.type = CallEvent.messageType
            try await connection.publish(
                message,
                exchange: CallTopology.callEvents,
                routingKey: CallTopology.callEvents
            )
            await connection.close()
        } end: {
            try await $0.command(["dead-letters", "discard", "--kind", "unreadable", "--all"])
        },
    ]

    private static let troublesOfServers = [
        Trouble(name: "no selector", alerts: ["RoleDown", "SelectionStopped"]) {
            await $0.stop("selector")
        } end: {
            try $0.start("selector")
        },
        Trouble(name: "the broker's disk is full", alerts: ["BrokerBlocked"]) { house in
            try await eventually("the broker is alarmed") { try await house.servers.setDiskAlarm(true) }
            try await house.campaign("disk", contacts: 5)
        } end: { house in
            try await eventually("the alarm is over") { try await !house.servers.setDiskAlarm(false) }
        },
        Trouble(name: "the broker is away", alerts: ["BrokerLost", "SelectionStopped"]) {
            $0.broker.takeAway()
        } end: {
            $0.broker.bringBack()
        },
        Trouble(name: "the database is away", alerts: ["DatabaseLost", "SelectionStopped"]) {
            $0.database.takeAway()
        } end: {
            $0.database.bringBack()
        },
    ]
}
