// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
public import Foundation
import NIOCore
import NIOHTTP1
public import ProviderSimulator
import TestBasics

/// The simulated provider as a process of its own.
public struct Rehearsal: Sendable {
    /// The account that the simulator knows.
    public static let account = "AC" + String(repeating: "a", count: 32)
    /// The account's token.
    public static let token = "secret"
    /// Its process.
    public let role: RunningRole
    /// Its origin.
    public let url: String

    /// Starts a simulator and waits until it answers.
    /// - Parameters:
    ///   - scenario: A scenario file's text.
    ///   - database: A database in which it looks whether a call's row is committed when it is asked for the call.
    ///   - logFile: Where it logs.
    /// - Returns: The simulator.
    /// - Throws: When it cannot be started or does not answer.
    public static func start(
        scenario: String,
        watching database: String? = nil,
        logFile: URL? = nil
    ) async throws -> Rehearsal {
        let port = try Self.freePort()
        let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: file) }
        try scenario.write(to: file, atomically: true, encoding: .utf8)
        let role = try RunningRole(
            [
                "provider-simulator", "--port", "\(port)", "--account-sid", Self.account, "--auth-token", Self.token,
                "--scenario", file.path,
            ],
            database.map { ["CALL_SCHEDULER_WITNESS_DATABASE": $0] } ?? [:],
            logFile: logFile
        )
        let rehearsal = Rehearsal(role: role, url: "http://127.0.0.1:\(port)")
        try await eventually("the simulator answers") { await Self.isReady(rehearsal.url + "/health") }
        return rehearsal
    }

    /// What the simulator has witnessed.
    public func ledger() async throws -> Ledger {
        let response = try await HTTPClient.shared.execute(
            HTTPClientRequest(url: self.url + "/simulator/ledger"),
            timeout: .seconds(60)
        )
        return try Ledger.decode(Data(try await response.body.collect(upTo: 1 << 30).readableBytesView))
    }

    /// Whether a URL answers 200.
    public static func isReady(_ url: String) async -> Bool {
        let response = try? await HTTPClient.shared.execute(HTTPClientRequest(url: url), timeout: .seconds(2))
        return response?.status.code == 200
    }

    /// A port that nobody listens on just now.
    public static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        try withUnsafeMutablePointer(to: &address) { pointer in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                guard bind(descriptor, generic, length) == 0, getsockname(descriptor, generic, &length) == 0 else {
                    throw POSIXError(.EADDRINUSE)
                }
            }
        }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}
