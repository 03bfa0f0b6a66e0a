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
    private static let controlToken = "control"
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
        let port = try Ports.free()
        let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: file) }
        try scenario.write(to: file, atomically: true, encoding: .utf8)
        let role = try RunningRole(
            [
                "provider-simulator", "--port", "\(port)", "--account-sid", Self.account, "--auth-token", Self.token,
                "--scenario", file.path, "--control-token", Self.controlToken,
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
        let response = try await HTTPClient.patient.execute(
            HTTPClientRequest(url: self.url + "/simulator/ledger"),
            timeout: .seconds(600)
        )
        return try Ledger.decode(Data(try await response.body.collect(upTo: 1 << 30).readableBytesView))
    }

    /// Where calls can be held.
    public enum Gate: String, Sendable {
        /// Before they are answered.
        case answer
        /// Before they end.
        case end
    }

    /// Lets calls wait at a gate until they are let through.
    public func hold(_ gate: Gate) async throws { try await self.control(gate, "hold") }

    /// Lets all calls through, those that wait and those to come.
    public func release(_ gate: Gate) async throws { try await self.control(gate, "release") }

    /// Lets that many calls through, those that wait already or the next to come.
    public func pass(_ gate: Gate, calls: Int) async throws { try await self.control(gate, "pass?calls=\(calls)") }

    private func control(_ gate: Gate, _ command: String) async throws {
        var request = HTTPClientRequest(url: "\(self.url)/simulator/control/\(gate.rawValue)/\(command)")
        request.method = .POST
        request.headers.add(name: "Authorization", value: "Bearer " + Self.controlToken)
        let response = try await HTTPClient.patient.execute(request, timeout: .seconds(600))
        guard response.status == .ok else { throw Refused(command: command, status: response.status) }
    }

    private struct Refused: Error {
        let command: String
        let status: HTTPResponseStatus
    }

    /// Whether a URL answers 200.
    public static func isReady(_ url: String) async -> Bool {
        let response = try? await HTTPClient.shared.execute(HTTPClientRequest(url: url), timeout: .seconds(600))
        return response?.status.code == 200
    }
}
