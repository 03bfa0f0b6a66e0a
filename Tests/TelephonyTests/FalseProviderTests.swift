// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Telephony
import TestBasics
import Testing

/// A server that says it is the provider, with a certificate that nobody vouches for.
@Suite(.timeLimit(.minutes(2)))
struct FalseProviderTests {
    @Test("a provider whose certificate no known authority has issued is told neither number nor token")
    func unknownAuthority() async throws {
        let authority = try await Authority()
        defer { authority.remove() }
        let identity = try await authority.issue("provider", host: "localhost")
        // A file, because other children would keep a pipe open.
        let log = authority.folder + "/server.log"
        _ = FileManager.default.createFile(atPath: log, contents: nil)
        let output = try #require(FileHandle(forWritingAtPath: log))
        let input = Pipe()
        let server = Process()
        server.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        server.arguments = ["s_server", "-accept", "127.0.0.1:0", "-cert", identity.certificate, "-key", identity.key]
        server.standardOutput = output
        server.standardError = output
        // At the end of its input it would end.
        server.standardInput = input
        try server.run()
        defer { kill(server.processIdentifier, SIGKILL) }
        func said() throws -> String { try String(contentsOfFile: log, encoding: .utf8) }
        try await eventually("it listens") { try said().contains(#/ACCEPT 127\.0\.0\.1:[0-9]+\n/#) }
        let port = try #require(said().firstMatch(of: #/ACCEPT 127\.0\.0\.1:([0-9]+)/#)?.1)
        try await Fixture.withProvider(baseURL: "https://localhost:\(port)") { provider in
            let request = try Fixture.callRequest()
            let error = await #expect(throws: TelephonyError.self) { try await provider.place(request) }
            #expect(error?.code == .providerDown)
        }
        // It has heard something, and nothing of a request.
        let heard = try said()
        #expect(heard.contains("alert"), "\(heard)")
        #expect(!heard.contains("POST"), "\(heard)")
        try input.fileHandleForWriting.close()
    }
}
