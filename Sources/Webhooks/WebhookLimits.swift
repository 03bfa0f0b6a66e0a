// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPTypes
public import Hummingbird
import NIOConcurrencyHelpers
import NIOCore

/// A request with the address that it came from.
public struct WebhookContext: RequestContext {
    /// Hummingbird's own part.
    public var coreContext: CoreRequestContextStorage
    /// The address of the other end of the connection, without its port.
    let remoteAddress: String

    /// Creates a context.
    public init(source: ApplicationRequestContextSource) {
        self.coreContext = .init(source: source)
        self.remoteAddress = source.channel.remoteAddress?.ipAddress ?? ""
    }
}

/// Keeps strangers from taking the endpoint away from the provider: limits what is handled at once, and turns away for a
/// while who has been refused too often.
final class WebhookLimits: Sendable {
    /// How an address stands.
    private struct Account {
        var refusals: Double
        var at: ContinuousClock.Instant
    }

    private struct State {
        var handled = 0
        var accounts: [String: Account] = [:]
    }

    /// Addresses remembered at most; an attack from more of them is for a firewall.
    private static let maximumAccounts = 10_000

    private let requestsAtOnce: Int
    private let refusalsPerMinute: Int
    private let state = NIOLockedValueBox(State())

    init(requestsAtOnce: Int, refusalsPerMinute: Int) {
        self.requestsAtOnce = requestsAtOnce
        self.refusalsPerMinute = refusalsPerMinute
    }

    /// Whether there is room for one more request; `leave()` gives it back.
    func enter() -> Bool {
        self.state.withLockedValue { state in
            guard state.handled < self.requestsAtOnce else { return false }
            state.handled += 1
            return true
        }
    }

    func leave() { self.state.withLockedValue { $0.handled -= 1 } }

    /// Whether an address may ask, by its refusals, which are forgotten at the rate that is allowed.
    func mayAsk(_ address: String, now: ContinuousClock.Instant) -> Bool {
        guard self.refusalsPerMinute > 0 else { return true }
        return self.state.withLockedValue { state in
            guard let account = state.accounts[address] else { return true }
            let left = self.left(of: account, now)
            if left <= 0 { state.accounts[address] = nil }
            return left <= Double(self.refusalsPerMinute - 1)
        }
    }

    func refused(_ address: String, now: ContinuousClock.Instant) {
        guard self.refusalsPerMinute > 0 else { return }
        self.state.withLockedValue { state in
            if state.accounts.count >= Self.maximumAccounts, state.accounts[address] == nil {
                state.accounts = state.accounts.filter { self.left(of: $0.value, now) > 0 }
                guard state.accounts.count < Self.maximumAccounts else { return }
            }
            let left = state.accounts[address].map { self.left(of: $0, now) } ?? 0
            state.accounts[address] = Account(refusals: left + 1, at: now)
        }
    }

    private func left(of account: Account, _ now: ContinuousClock.Instant) -> Double {
        let parts = (now - account.at).components
        let minutes = (Double(parts.seconds) + Double(parts.attoseconds) / 1e18) / 60
        return max(0, account.refusals - minutes * Double(self.refusalsPerMinute))
    }
}

extension Request {
    /// The client's address: the connection's, or what the last trusted proxy says.
    /// - Parameters:
    ///   - proxies: How many proxies stand in front; each appends one address to `X-Forwarded-For`.
    ///   - connection: The address of the other end of the connection.
    /// - Returns: The address to hold refusals against.
    func clientAddress(proxies: Int, connection: String) -> String {
        guard proxies > 0 else { return connection }
        guard let name = HTTPField.Name("X-Forwarded-For") else { return connection }
        let hops = self.headers[values: name].flatMap { $0.split(separator: ",") }
            .map { $0.trimmingCharacters(in: .whitespaces) }
        return hops.count >= proxies ? hops[hops.count - proxies] : connection
    }

    /// Reads the body within a size and a time.
    func collectBody(upTo size: Int, within limit: Duration) async throws -> ByteBuffer {
        try await withThrowingTaskGroup(of: ByteBuffer.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await self.body.collect(upTo: size) }
            group.addTask {
                try await Task.sleep(for: limit)
                throw HTTPError(.requestTimeout)
            }
            return try await group.next() ?? ByteBuffer()
        }
    }
}
