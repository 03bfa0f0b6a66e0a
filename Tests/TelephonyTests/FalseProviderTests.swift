// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Telephony
import TestBasics
import Testing

/// A server that says it is the provider, with a certificate that nobody vouches for.
@Suite(.timeLimit(.minutes(20)))
struct FalseProviderTests {
    @Test("a provider whose certificate no known authority has issued is told neither number nor token")
    func unknownAuthority() async throws {
        let authority = try await Authority()
        defer { authority.remove() }
        let identity = try await authority.issue("provider", host: "localhost")
        let log = authority.folder + "/server.log"
        // At the end of its input it would end: it has a pipe that it may write to itself.
        let script = """
            cd '\(authority.folder)' && mkfifo input && exec openssl s_server -accept 127.0.0.1:0 \
            -cert '\(identity.certificate)' -key '\(identity.key)' <>input
            """
        let environment = ProcessInfo.processInfo.environment
        let server = try Child("/bin/sh", ["-c", script], environment: environment, output: log, errors: log)
        defer { server.killGroup() }
        func said() throws -> String { try String(contentsOfFile: log, encoding: .utf8) }
        try await eventually("it listens") { try said().contains(#/ACCEPT 127\.0\.0\.1:[0-9]+\n/#) }
        let port = try #require(said().firstMatch(of: #/ACCEPT 127\.0\.0\.1:([0-9]+)/#)?.1)
        try await Fixture.withProvider(baseURL: "https://localhost:\(port)") { provider in
            let request = try Fixture.callRequest()
            let error = await #expect(throws: TelephonyError.self) { try await provider.place(request) }
            #expect(error?.code == .providerDown)
        }
        // It has heard something, and nothing of a request.
        try await eventually("it has heard") { try said().contains("alert") }
        let heard = try said()
        #expect(!heard.contains("POST"), "\(heard)")
    }
}
