// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
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
            func uri(_ host: String, _ trusted: Authority) -> String {
                "postgresql://app@\(host):\(server.port)/postgres?sslmode=verify-full&sslrootcert=\(trusted.certificate)"
            }
            func impatiently<Result>(
                _ host: String,
                _ trusted: Authority,
                _ body: (PostgresClient) async throws -> Result
            ) async throws -> Result {
                try await withClient({ $0.acquireTimeout = .milliseconds(300) }, uri: uri(host, trusted), body)
            }
            func fails(_ host: String, _ trusted: Authority, _ words: String) async throws {
                let error = try await impatiently(host, trusted) { try await $0.connectionFault() }
                #expect(error?.message.contains(words) == true, "\(String(describing: error))")
            }
            let answer = try await withClient(uri: uri("localhost", authority)) {
                try await $0.execute("select 7").first?.decode(Int.self, at: 0)
            }
            #expect(answer == 7)
            try await fails("127.0.0.1", authority, "does not match host name")
            try await fails("localhost", stranger, "certificate verify failed")
            try await install(expired, server)
            server.reload()
            try await eventually("the server shows its new certificate") {
                try await impatiently("localhost", authority) { client in
                    do {
                        try await client.execute("select 7")
                        return false
                    } catch {
                        return (error as? PostgresError)?.code == .connectionFailed
                    }
                }
            }
            try await fails("localhost", authority, "certificate verify failed")
        }
    }
}
