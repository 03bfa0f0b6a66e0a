// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import Postgres
import TestBasics
import Testing

/// A server of its own with a certificate of a private authority.
@Suite(.timeLimit(.minutes(20)))
struct TLSTests {
    @Test("the right certificate passes; a wrong host, an unknown authority and an expired one fail, and say so")
    func certificates() async throws {
        let authority = try await Authority()
        defer { authority.remove() }
        let stranger = try await Authority()
        defer { stranger.remove() }
        let good = try await authority.issue("server", host: "localhost")
        let expired = try await authority.issue("expired", host: "localhost", isExpired: true)
        func install(_ identity: Authority.Identity, _ server: PrivateServer) async throws {
            try await Shell.run("cp '\(identity.certificate)' '\(server.data)/server.crt'")
            try await Shell.run("cp '\(identity.key)' '\(server.data)/server.key'")
            // PostgreSQL takes a key that only its own user can read.
            try await Shell.run(
                "cd '\(server.data)' && chown --reference=. server.* && chmod 600 server.key"
            )
        }
        try await PrivateServer.with(
            settings: "ssl=on",
            hba: "hostssl all all 127.0.0.1/32 trust",
            prepare: { try await install(good, $0) }
        ) { server in
            func ask(_ host: String, _ trusted: Authority, mode: String = "verify-full") async throws -> Int {
                let uri =
                    "postgresql://app@\(host):\(server.port)/postgres?sslmode=\(mode)&sslrootcert=\(trusted.certificate)"
                var configuration = try PostgresConfiguration(uri: uri)
                configuration.acquireTimeout = .seconds(5)
                var logger = Logger(label: "postgres-tests")
                logger.logLevel = .critical
                let client = PostgresClient(configuration: configuration, logger: logger)
                do {
                    let answer = try await client.execute("select 7").first?.decode(Int.self, at: 0) ?? 0
                    await client.close()
                    return answer
                } catch {
                    await client.close()
                    throw error
                }
            }
            func fails(_ host: String, _ trusted: Authority, _ words: String) async {
                let error = await #expect(throws: PostgresError.self) { try await ask(host, trusted) }
                #expect(error?.message.contains(words) == true, "\(String(describing: error))")
            }
            #expect(try await ask("localhost", authority) == 7)
            await fails("127.0.0.1", authority, "does not match host name")
            await fails("localhost", stranger, "certificate verify failed")
            try await install(expired, server)
            server.reload()
            try await eventually("the server shows its new certificate") {
                do {
                    _ = try await ask("localhost", authority)
                    return false
                } catch {
                    return true
                }
            }
            await fails("localhost", authority, "certificate verify failed")
        }
    }
}
