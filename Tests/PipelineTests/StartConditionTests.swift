// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import CallStore
import Foundation
import NIOCore
import NIOHTTP1
import TestBasics
import TestSupport
import Testing

/// What operators forget around a role that starts: its rights, and the proxies before it.
@Suite(.timeLimit(.minutes(4)))
struct StartConditionTests {
    @Test(
        "a role whose user has no rights yet ends as if the server were away, to be started again, and says what to do"
    )
    func rights() async throws {
        try await Scratch.run { scratch in
            let user = "u_" + String(UInt64.random(in: 0...UInt64.max), radix: 36)
            try await scratch.execute("create role \(user) login password 'secret'")
            var url = try #require(URLComponents(string: scratch.databaseURL))
            (url.user, url.password) = (user, "secret")
            let environment = ["DATABASE_URL": url.string ?? "", "AMQP_URL": scratch.brokerURL, "HEALTH_PORT": "0"]
            let ended = try await Product.run(["recorder"], environment)
            try await scratch.execute("drop role \(user)")
            #expect(ended.exitCode == 69, "\(ended.errors)")
            #expect(ended.errors.contains("ops/make-users") && !ended.errors.contains("secret"), "\(ended.errors)")
        }
    }

    @Test("doctor says that requests came through a proxy of which the settings say nothing, and only then")
    func proxies() async throws {
        try await Scratch.run { scratch in
            let (port, health) = (try Ports.free(), try Ports.free())
            var environment = [
                "DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL,
                "TWILIO_ACCOUNT_SID": Rehearsal.account, "TWILIO_AUTH_TOKEN": Rehearsal.token,
                "TWILIO_BASE_URL": "http://127.0.0.1:9", "WEBHOOK_PUBLIC_URL": "http://127.0.0.1:\(port)",
                "WEBHOOK_PORT": "\(port)", "HEALTH_PORT": "\(health)",
            ]
            let webhooks = try RunningRole(["webhooks"], environment)
            do {
                try await eventually("it is ready") {
                    await Rehearsal.isReady("http://127.0.0.1:\(health)/health/ready")
                }
                func finding() async throws -> String? {
                    let ended = try await Product.run(["doctor", "--json"], environment)
                    let findings = try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [[String: Any]]
                    let found = findings?.first { $0["check"] as? String == "webhooks" && $0["ok"] as? Bool == false }
                    if let found { #expect((found["advice"] as? String)?.contains("WEBHOOK_PROXIES") == true) }
                    return found?["finding"] as? String
                }
                #expect(try await finding() == nil)
                var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)/v1/callbacks/twilio")
                request.method = .POST
                request.headers.add(name: "X-Forwarded-For", value: "192.0.2.7")
                _ = try await HTTPClient.patient.execute(request, timeout: .seconds(600))
                let said = try await finding()
                #expect(
                    said?.contains("1 request(s)") == true && said?.contains("X-Forwarded-For") == true,
                    "\(said ?? "")"
                )
                // Who has set the number is told nothing, whatever the process that runs may have counted.
                environment["WEBHOOK_PROXIES"] = "1"
                #expect(try await finding() == nil)
            } catch {
                await webhooks.stop()
                throw error
            }
            await webhooks.stop()
        }
    }
}
