// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOConcurrencyHelpers

/// The account's secrets, which may be renewed while calls are made.
final class TwilioSecrets: Sendable {
    private struct State {
        var authToken: Secret
        var apiKeySecret: Secret?
        var previousAuthToken: Secret?
        /// Tokens that were in force until a moment ago, and until when callbacks may still be signed with them.
        var replaced: [(token: Secret, until: ContinuousClock.Instant)] = []
    }

    /// Callbacks that were signed before a change may be on their way, and are repeated.
    static let overlap = Duration.seconds(300)

    private let state: NIOLockedValueBox<State>

    init(authToken: String, apiKeySecret: String?, previousAuthToken: String?) {
        self.state = NIOLockedValueBox(
            State(
                authToken: Secret(authToken),
                apiKeySecret: apiKeySecret.map { Secret($0) },
                previousAuthToken: previousAuthToken.map { Secret($0) }
            )
        )
    }

    /// What requests are authenticated with.
    var requestSecret: Secret { self.state.withLockedValue { $0.apiKeySecret ?? $0.authToken } }

    func signingTokens(now: ContinuousClock.Instant = .now) -> [String] {
        self.state.withLockedValue { state in
            state.replaced.removeAll { $0.until < now }
            let tokens = [state.authToken] + (state.previousAuthToken.map { [$0] } ?? []) + state.replaced.map(\.token)
            return tokens.map(\.value)
        }
    }

    func renew(authToken: String, now: ContinuousClock.Instant = .now) {
        self.state.withLockedValue { state in
            state.replaced.append((state.authToken, now + Self.overlap))
            state.authToken = Secret(authToken)
        }
    }

    func renew(previousAuthToken: String) {
        self.state.withLockedValue { $0.previousAuthToken = Secret(previousAuthToken) }
    }

    func renew(apiKeySecret: String) {
        self.state.withLockedValue { $0.apiKeySecret = Secret(apiKeySecret) }
    }
}

extension TwilioConfiguration {
    /// A secret that may be renewed while calls are made.
    public enum RenewableSecret: String, Sendable, CaseIterable {
        /// The account's token. Callbacks signed with the former one count for five more minutes.
        case authToken = "TWILIO_AUTH_TOKEN"
        /// The token that counts for callbacks as well.
        case previousAuthToken = "TWILIO_PREVIOUS_AUTH_TOKEN"
        /// The API key's secret.
        case apiKeySecret = "TWILIO_API_KEY_SECRET"
    }

    /// Takes a new secret, for requests and callbacks from now on.
    /// - Parameters:
    ///   - secret: Which.
    ///   - value: Its value.
    /// - Throws: ``TwilioConfigurationError`` when it cannot be one; the former one stays then.
    public func renew(_ secret: RenewableSecret, _ value: String) throws(TwilioConfigurationError) {
        if let reason = Self.faultInSecret(value) {
            throw TwilioConfigurationError(problems: [.init(setting: secret.rawValue, reason: reason)])
        }
        switch secret {
        case .authToken: self.secrets.renew(authToken: value)
        case .previousAuthToken: self.secrets.renew(previousAuthToken: value)
        case .apiKeySecret: self.secrets.renew(apiKeySecret: value)
        }
    }
}
