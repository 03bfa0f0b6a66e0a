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
/// while who has been refused too often. Asking and noting take the same time however many have been refused.
final class WebhookLimits: Sendable {
    /// How a network stands.
    private struct Account {
        var refusals: Double
        var at: ContinuousClock.Instant
    }

    private struct State {
        var handled = 0
        var handledSigned = 0
        /// The networks refused last, and those before them. When the first are many, they take the place of the others,
        /// which are forgotten: an attack from so many networks is for a firewall.
        var accounts: [ClientNetwork: Account] = [:]
        var formerAccounts: [ClientNetwork: Account] = [:]
        var knownWords: Set<String> = []
        var hasSeenForwarding = false
    }

    /// Half of the networks that are remembered.
    private static let maximumAccounts = 5_000
    /// Beyond so many unknown words, more say nothing new.
    private static let maximumWords = 100

    private let requestsAtOnce: Int
    private let refusalsPerMinute: Int
    private let state = NIOLockedValueBox(State())

    init(requestsAtOnce: Int, refusalsPerMinute: Int) {
        self.requestsAtOnce = requestsAtOnce
        self.refusalsPerMinute = refusalsPerMinute
    }

    /// How many networks are remembered.
    var remembered: Int { self.state.withLockedValue { $0.accounts.count + $0.formerAccounts.count } }

    /// Whether there is room for one more request; `leave()` gives it back.
    func enter() -> Bool {
        self.state.withLockedValue { state in
            guard state.handled < self.requestsAtOnce else { return false }
            state.handled += 1
            return true
        }
    }

    func leave() { self.state.withLockedValue { $0.handled -= 1 } }

    /// Room of their own for requests that carry a signature, when all other is taken.
    func enterSigned() -> Bool {
        self.state.withLockedValue { state in
            guard state.handledSigned < self.requestsAtOnce else { return false }
            state.handledSigned += 1
            return true
        }
    }

    func leaveSigned() { self.state.withLockedValue { $0.handledSigned -= 1 } }

    /// Whether an address may ask, by its network's refusals, which are forgotten at the rate that is allowed.
    func mayAsk(_ address: String, now: ContinuousClock.Instant) -> Bool {
        guard self.refusalsPerMinute > 0 else { return true }
        let network = ClientNetwork(address)
        return self.state.withLockedValue { state in
            guard let account = state.accounts[network] ?? state.formerAccounts[network] else { return true }
            return self.left(of: account, now) <= Double(self.refusalsPerMinute - 1)
        }
    }

    func refused(_ address: String, now: ContinuousClock.Instant) {
        guard self.refusalsPerMinute > 0 else { return }
        let network = ClientNetwork(address)
        self.state.withLockedValue { state in
            let account = state.accounts[network] ?? state.formerAccounts[network]
            if state.accounts[network] == nil, state.accounts.count >= Self.maximumAccounts {
                state.formerAccounts = state.accounts
                state.accounts = [:]
            }
            let left = account.map { self.left(of: $0, now) } ?? 0
            // Whoever goes on is turned away for about a minute from the last, not for as long as it has gone on.
            let refusals = min(left + 1, Double(self.refusalsPerMinute) * 2)
            state.accounts[network] = Account(refusals: refusals, at: now)
        }
    }

    /// Whether a word that we do not know is new, and worth a line in the log.
    func isNew(word: String) -> Bool {
        self.state.withLockedValue { state in
            state.knownWords.count < Self.maximumWords && state.knownWords.insert(word).inserted
        }
    }

    /// Whether it is the first time that a proxy was seen of which the settings say nothing.
    func isFirstForwarding() -> Bool {
        self.state.withLockedValue { state in
            defer { state.hasSeenForwarding = true }
            return !state.hasSeenForwarding
        }
    }

    private func left(of account: Account, _ now: ContinuousClock.Instant) -> Double {
        let parts = (now - account.at).components
        let minutes = (Double(parts.seconds) + Double(parts.attoseconds) / 1e18) / 60
        return max(0, account.refusals - minutes * Double(self.refusalsPerMinute))
    }
}

extension Request {
    /// Whether a proxy has passed the request on.
    var isForwarded: Bool { HTTPField.Name("X-Forwarded-For").map { self.headers.contains($0) } ?? false }

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
                // A sender that stops in the middle says nothing more.
                try await Task.sleep(for: limit)
                throw HTTPError(.requestTimeout)
            }
            return try await group.next() ?? ByteBuffer()
        }
    }
}
