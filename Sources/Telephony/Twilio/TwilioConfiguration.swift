// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// What the adapter needs to know of the account and of us.
public struct TwilioConfiguration: Sendable, CustomStringConvertible {
    let accountSID: String
    let secrets: TwilioSecrets
    let apiKeySID: String?
    let baseURL: String
    let callbackBaseURL: String
    let requestTimeout: Duration

    /// Whether callbacks come to a URL with TLS.
    public var isCalledBackOverTLS: Bool { self.callbackBaseURL.lowercased().hasPrefix("https://") }

    /// Creates a configuration.
    /// - Parameters:
    ///   - accountSID: The account, `AC` and 32 hexadecimal digits.
    ///   - authToken: The account's token; it signs callbacks and, without an API key, authenticates requests.
    ///   - baseURL: The API's origin, for a compatible server or a rehearsal also with a path in front.
    ///   - callbackBaseURL: The public URL of our webhooks, e.g. `https://calls.example.org`.
    ///   - apiKeySID: An API key to authenticate with in place of the account's token.
    ///   - apiKeySecret: The API key's secret.
    ///   - previousAuthToken: A second token whose signatures count while the account's token is being changed.
    ///   - requestTimeout: How long one request may take, 0.1 to 120 seconds. The provider itself gives up after some 26
    ///     seconds; less than that makes slow answers look lost.
    /// - Throws: ``TwilioConfigurationError`` with every fault found.
    public init(
        accountSID: String,
        authToken: String,
        baseURL: String = "https://api.twilio.com",
        callbackBaseURL: String,
        apiKeySID: String? = nil,
        apiKeySecret: String? = nil,
        previousAuthToken: String? = nil,
        requestTimeout: Duration = .seconds(30)
    ) throws(TwilioConfigurationError) {
        var problems: [TwilioConfigurationError.Problem] = []
        func check(_ setting: String, _ reason: String?) {
            if let reason { problems.append(.init(setting: setting, reason: reason)) }
        }
        check(
            "TWILIO_ACCOUNT_SID",
            TwilioParameter.isIdentifier(accountSID, prefix: "AC")
                ? nil : "must be AC followed by 32 hexadecimal digits"
        )
        check("TWILIO_AUTH_TOKEN", Self.faultInSecret(authToken))
        check("TWILIO_BASE_URL", Self.faultInURL(baseURL))
        check("WEBHOOK_PUBLIC_URL", Self.faultInURL(callbackBaseURL, allowsUnderscore: false, allowsPath: false))
        if let previousAuthToken { check("TWILIO_PREVIOUS_AUTH_TOKEN", Self.faultInSecret(previousAuthToken)) }
        switch (apiKeySID, apiKeySecret) {
        case (nil, nil): break
        case (let sid?, let secret?):
            check(
                "TWILIO_API_KEY_SID",
                TwilioParameter.isIdentifier(sid, prefix: "SK") ? nil : "must be SK followed by 32 hexadecimal digits"
            )
            check("TWILIO_API_KEY_SECRET", Self.faultInSecret(secret))
        case (.some, nil): check("TWILIO_API_KEY_SECRET", "must be set when TWILIO_API_KEY_SID is")
        case (nil, .some): check("TWILIO_API_KEY_SID", "must be set when TWILIO_API_KEY_SECRET is")
        }
        check(
            "TWILIO_REQUEST_TIMEOUT_SECONDS",
            (Duration.milliseconds(100)...Duration.seconds(120)).contains(requestTimeout)
                ? nil : "must be 0.1 to 120 seconds"
        )
        guard problems.isEmpty else { throw TwilioConfigurationError(problems: problems) }
        self.accountSID = accountSID
        self.secrets = TwilioSecrets(
            authToken: authToken,
            apiKeySecret: apiKeySecret,
            previousAuthToken: previousAuthToken
        )
        self.apiKeySID = apiKeySID
        self.baseURL = Self.withoutTrailingSlash(baseURL)
        self.callbackBaseURL = Self.withoutTrailingSlash(callbackBaseURL)
        self.requestTimeout = requestTimeout
    }

    /// The configuration without its secrets.
    public var description: String {
        "account \(self.accountSID) at \(self.baseURL), callbacks to \(self.callbackBaseURL)"
    }

    /// The value of the `Authorization` field.
    var authorization: String {
        let user = self.apiKeySID ?? self.accountSID
        return "Basic " + Data("\(user):\(self.secrets.requestSecret.value)".utf8).base64EncodedString()
    }

    /// The tokens that may have signed a callback.
    var signingTokens: [String] { self.secrets.signingTokens() }

    private static func withoutTrailingSlash(_ url: String) -> String {
        url.hasSuffix("/") ? String(url.dropLast()) : url
    }

    static func faultInSecret(_ text: String) -> String? {
        guard !text.isEmpty else { return "must not be empty" }
        guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            return "must not contain blanks, line ends or characters outside ASCII"
        }
        return nil
    }

    private static func faultInURL(
        _ text: String,
        allowsUnderscore: Bool = true,
        allowsPath: Bool = true
    ) -> String? {
        guard let parts = URLComponents(string: text), parts.scheme == "https" || parts.scheme == "http" else {
            return "must be a URL that starts with https:// or http://"
        }
        guard let host = parts.host, !host.isEmpty else { return "must contain a host" }
        guard allowsUnderscore || !host.contains("_") else { return "must not have an underscore in its host" }
        guard parts.user == nil, parts.password == nil else { return "must not contain a user or password" }
        guard parts.query == nil, parts.fragment == nil else { return "must not contain a query or fragment" }
        guard allowsPath || ["", "/"].contains(parts.path) else {
            return "must not contain a path: callbacks come to /v1/callbacks under it, which is what is signed"
        }
        return nil
    }
}

/// A value that nothing prints.
struct Secret: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    let value: String

    init(_ value: String) {
        self.value = value
    }

    var description: String { "***" }
    var debugDescription: String { "***" }
    var customMirror: Mirror { Mirror(self, children: EmptyCollection<Mirror.Child>()) }
}

/// Everything that is wrong with a configuration.
public struct TwilioConfigurationError: Error, Sendable, CustomStringConvertible {
    /// One fault.
    public struct Problem: Sendable, Equatable {
        /// The setting's name, e.g. `TWILIO_AUTH_TOKEN`.
        public let setting: String
        /// What it must be; never what it is.
        public let reason: String
    }

    /// The faults, at least one.
    public let problems: [Problem]

    /// The faults in one line.
    public var description: String {
        self.problems.map { "\($0.setting) \($0.reason)" }.joined(separator: "; ")
    }
}
