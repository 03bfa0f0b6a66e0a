// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import AsyncHTTPClient
import CallModel
import CallQueues
import CallStore
import Foundation
import NIOCore
import NIOHTTP1
import TestBasics
import TestSupport
import Testing

/// What `doctor` finds, and that it makes nothing.
@Suite(.timeLimit(.minutes(5)))
struct DoctorTests {
    private static func environment(_ scratch: Scratch) -> [String: String] {
        [
            "DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL, "TWILIO_ACCOUNT_SID": Rehearsal.account,
            "TWILIO_AUTH_TOKEN": Rehearsal.token, "WEBHOOK_PUBLIC_URL": "http://127.0.0.1:9",
            "TWILIO_BASE_URL": "http://127.0.0.1:9",
        ]
    }

    /// What `doctor --json` does not find in order: the findings by their checks.
    private static func faults(
        _ environment: [String: String],
        _ arguments: [String] = []
    ) async throws -> [String: String] {
        let ended = try await Product.run(["doctor", "--json"] + arguments, environment)
        let findings = try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [[String: Any]] ?? []
        #expect(!findings.isEmpty, "\(ended.errors)")
        var faults: [String: String] = [:]
        for finding in findings where finding["ok"] as? Bool == false {
            faults[finding["check"] as? String ?? ""] = finding["finding"] as? String
        }
        #expect(ended.exitCode == (faults.isEmpty ? 0 : 1))
        return faults
    }

    /// Roles that say that they are well.
    private static func tell(_ scratch: Scratch, _ kinds: [CallStore.RoleReport.Kind]) async throws {
        for kind in kinds {
            var report = CallStore.RoleReport(kind: kind, id: kind.rawValue)
            if kind == .dialer { (report.trunk, report.lines, report.live) = ("default", 10, 0) }
            try await scratch.store.note([report], instance: UUID(), host: "h", version: "1")
        }
    }

    @Test("it makes nothing in a virtual host that nobody uses, and says so once somebody works elsewhere")
    func virtualHost() async throws {
        try await Scratch.run { scratch in
            let environment = Self.environment(scratch)
            for role in [[], ["--role", "recorder"], ["--role", "selector"]] {
                let faults = try await Self.faults(environment, role)
                #expect(faults.keys.allSatisfy { $0 == "provider" }, "\(faults)")
            }
            for name in ["dial", "dial.dead", "call.events", "call.ended", "survey.events"] {
                #expect(try await scratch.bindings("exchanges", name) == nil)
                #expect(try await scratch.bindings("queues", name) == nil)
            }
            try await Self.tell(scratch, [.selector, .dialer, .recorder, .webhooks])
            let faults = try await Self.faults(environment, ["--role", "recorder"])
            #expect(faults["topology"]?.contains("has none of our queues") == true, "\(faults)")
            #expect(try await scratch.bindings("exchanges", "call.events") == nil)
        }
    }

    @Test("who is missing in a house at work is named, and who is not ready")
    func missing() async throws {
        try await Scratch.run { scratch in
            _ = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1)
            let arguments = ["--role", "recorder"]
            let dead = try await Self.faults(Self.environment(scratch), arguments)
            for kind in ["dialers", "selector", "recorder", "webhooks"] { #expect(dead[kind] != nil, "\(dead)") }
            try await Self.tell(scratch, [.selector, .recorder, .webhooks])
            let faults = try await Self.faults(Self.environment(scratch), arguments)
            #expect(Set(faults.keys) == ["dialers", "topology"], "\(faults)")
            #expect(faults["dialers"] == "no dialer runs on its trunk 'default'")
            try await Self.tell(scratch, [.dialer])
            var ill = CallStore.RoleReport(kind: .dialer, id: "d2")
            (ill.trunk, ill.fault) = ("default", "dialer: the provider fails")
            try await scratch.store.note([ill], instance: UUID(), host: "h", version: "1")
            let last = try await Self.faults(Self.environment(scratch), arguments)
            #expect(Set(last.keys) == ["dialer d2", "topology"], "\(last)")
            #expect(last["dialer d2"] == "not ready: dialer: the provider fails")
        }
    }

    @Test("what cannot be reached is told in the system's words, a port in use with its number, a path as a fault")
    func words() async throws {
        try await Scratch.run { scratch in
            let free = try Ports.free()
            var environment = Self.environment(scratch)
            environment["AMQP_URL"] = "amqp://127.0.0.1:\(free)/"
            environment["DATABASE_URL"] = "postgresql://app@127.0.0.1:\(free)/x"
            environment["TWILIO_BASE_URL"] = "http://127.0.0.1:\(free)"
            let unreachable = try await Self.faults(environment)
            for check in ["database", "broker", "provider"] {
                #expect(unreachable[check]?.lowercased().contains("connection refused") == true, "\(unreachable)")
            }
            environment = Self.environment(scratch)
            environment["HEALTH_PORT"] = URLComponents(string: try TestServers.management)?.port.map(String.init)
            let port = environment["HEALTH_PORT"] ?? ""
            environment["WEBHOOK_PUBLIC_URL"] = "https://calls.example.org/webhooks"
            let faults = try await Self.faults(environment)
            #expect(
                faults["health port"]?.contains("HEALTH_PORT: port \(port) on 127.0.0.1 is in use") == true,
                "\(faults)"
            )
            #expect(
                faults["configuration"]?.contains("WEBHOOK_PUBLIC_URL must not contain a path") == true,
                "\(faults)"
            )
        }
    }

    @Test("delivery limits and a consumer_timeout that is too short are found by the management API")
    func limits() async throws {
        try await Scratch.run { scratch in
            let management = try TestServers.management
            let arguments = ["--role", "selector", "--management", management]
            let connection = try scratch.connection()
            try await connection.declare(CallTopology.dialRequests(trunk: "default"))
            await connection.close()
            #expect(try await Self.faults(Self.environment(scratch), arguments).isEmpty)
            _ = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1) { $0.maximumCallSeconds = 14_400 }
            try await Self.tell(scratch, [.selector, .dialer, .recorder, .webhooks])
            try await Self.policy(management, scratch, #"{"delivery-limit": 20}"#)
            var faults: [String: String] = [:]
            try await eventually("the policy is in force") {
                faults = try await Self.faults(Self.environment(scratch), arguments)
                return faults["delivery limit"] != nil
            }
            #expect(faults["delivery limit"]?.contains("dial.requests.default") == true, "\(faults)")
            #expect(
                faults["consumer_timeout"]?.contains("7200000 ms; the longest call and its margins take 28930000 ms")
                    == true,
                "\(faults)"
            )
            let wrong = try await Self.faults(
                Self.environment(scratch),
                ["--role", "selector", "--management", "http://guest:wr0ng@127.0.0.1:\(try Ports.free())"]
            )
            #expect(wrong["management"]?.contains("connection refused") == true, "\(wrong)")
        }
    }

    private static func policy(_ management: String, _ scratch: Scratch, _ definition: String) async throws {
        var parts = try #require(URLComponents(string: management))
        let credentials = Data("\(parts.user ?? ""):\(parts.password ?? "")".utf8).base64EncodedString()
        (parts.user, parts.password) = (nil, nil)
        let virtualHost = scratch.brokerURL.split(separator: "/").last.map(String.init) ?? ""
        var request = HTTPClientRequest(url: "\(parts.string ?? "")/api/policies/\(virtualHost)/low")
        request.method = .PUT
        request.headers.add(name: "Authorization", value: "Basic " + credentials)
        request.headers.add(name: "Content-Type", value: "application/json")
        request.body = .bytes(
            ByteBuffer(string: #"{"pattern": "^dial", "apply-to": "queues", "definition": \#(definition)}"#)
        )
        let response = try await HTTPClient.patient.execute(request, timeout: .seconds(600))
        #expect(200..<300 ~= response.status.code)
    }

    @Test(
        "no part of a password is printed, however it was written",
        arguments: [
            ("DATABASE_URL", "postgresql://owner:s3c@zqx@localhost/x"),
            ("DATABASE_URL", "postgresql://owner:s3c/zqx@localhost/x"),
            ("DATABASE_URL", "postgresql://owner:s3c?zqx@localhost/x"),
            ("DATABASE_URL", "postgresql://owner:s3c#zqx@127.0.0.1:1/x"),
            ("DATABASE_URL", "postgresql://owner:s3c%zqx@localhost/x"),
            ("DATABASE_URL", "postgresql://owner:40917/zqx@localhost/x"),
            ("DATABASE_URL", "postgresql://owner:40917?zqx@localhost/x"),
            ("DATABASE_URL", "postgresql://owner:40917@zqx@localhost/x"),
            ("DATABASE_URL", "postgresql://127.0.0.1:1/x?user=owner&password=s3c@zqx"),
            ("DATABASE_URL", "postgresql://localhost/x?password=s3c%zz&user=owner"),
            ("DATABASE_URL", "host=127.0.0.1 port=1 password='s3c zqx' user=owner"),
            ("DATABASE_URL", "host=127.0.0.1 port=1 password=s3c zqx user=owner"),
            ("DATABASE_URL", "host=127.0.0.1 port=1 password='s3c zqx"),
            ("DATABASE_URL", #"host=127.0.0.1 port=1 password='s3c\' zqx' user=owner"#),
            ("AMQP_URL", "amqp://owner:s3c@zqx@localhost/x"), ("AMQP_URL", "amqp://owner:s3c/zqx@localhost/x"),
            ("AMQP_URL", "amqp://owner:s3c?zqx@localhost/x"), ("AMQP_URL", "amqp://owner:s3c#zqx@localhost/x"),
            ("AMQP_URL", "amqp://owner:s3c%zqx@localhost/x"), ("AMQP_URL", "amqp://owner:40917/zqx@127.0.0.1:1/x"),
            ("AMQP_URL", "amqp://owner:40917#zqx@127.0.0.1:1/x"), ("AMQP_URL", "amqp://owner:40917?zqx@127.0.0.1:1/x"),
            ("TWILIO_BASE_URL", "https://owner:s3c@zqx@localhost/x"),
            ("WEBHOOK_PUBLIC_URL", "https://owner:s3c@zqx@localhost"),
        ]
    )
    func passwords(name: String, value: String) async throws {
        let others = [
            "DATABASE_URL": "postgresql://app@127.0.0.1:1/x", "AMQP_URL": "amqp://127.0.0.1:1/",
            "TWILIO_ACCOUNT_SID": Rehearsal.account, "TWILIO_AUTH_TOKEN": Rehearsal.token,
            "WEBHOOK_PUBLIC_URL": "http://127.0.0.1:9", "TWILIO_BASE_URL": "http://127.0.0.1:9",
        ]
        let environment = others.merging([name: value]) { _, new in new }
        for command in [["doctor"], ["status"], ["status", "--show-settings"]] {
            let ended = try await Product.run(command, environment.merging(["LOG_LEVEL": "trace"]) { old, _ in old })
            for part in ["s3c", "zqx", "40917"] {
                #expect(!(ended.output + ended.errors).contains(part), "\(command): \(ended.output)\(ended.errors)")
            }
        }
    }

    @Test("a database's password does not go on a command line, in whatever form")
    func commandLine() async throws {
        for value in [
            "host=localhost password=s3cret", "host=localhost password = 's3cret'", "postgresql:///x?password=s3cret",
        ] {
            let ended = try await Product.run(["status", "--set", "DATABASE_URL=\(value)"])
            #expect(ended.exitCode == 78 && ended.errors.contains("holds a secret"), "\(ended.errors)")
            #expect(!ended.errors.contains("s3cret"))
        }
    }
}
