// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import Foundation
import Logging
import TestBasics
import TestSupport
import Testing
import Webhooks

/// What the webhooks' door does to those who come in and say nothing.
@Suite(.timeLimit(.minutes(20)))
struct WebhookDoorTests {
    @Test("a connection without a request is closed after the idle time, before one and after one")
    func idle() async throws {
        #expect(WebhookConfiguration().idleTimeout == .seconds(60))
        try await House.run { house in
            var configuration = WebhookConfiguration()
            configuration.port = 0
            configuration.idleTimeout = .milliseconds(300)
            let (ports, port) = AsyncStream.makeStream(of: Int.self)
            let server = WebhookServer(
                configuration: configuration,
                provider: ScriptedProvider(),
                store: house.scratch.store,
                broker: house.publisher,
                logger: house.scratch.logger,
                onListening: { port.yield($0) }
            )
            try await House.serving(server) {
                let open = try #require(await ports.first { _ in true })
                let connect = "exec 3<>/dev/tcp/127.0.0.1/\(open)"
                // `timeout` makes the command fail when the server does not close.
                let start = ContinuousClock.now
                let silent = try await Shell.output("\(connect); timeout 600 cat <&3")
                #expect(silent.isEmpty, "\(silent)")
                #expect(ContinuousClock.now - start >= .milliseconds(300))
                let request = "POST / HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 0\\r\\n\\r\\n"
                let answered = try await Shell.output("\(connect); printf '\(request)' >&3; timeout 600 cat <&3")
                #expect(answered.hasPrefix("HTTP/1.1 404"), "\(answered)")
            }
        }
    }
}
