// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// A provider's failure, sorted by what it allows us to do next.
public struct TelephonyError: Error, Sendable, CustomStringConvertible {
    /// What to do.
    public enum Code: Sendable, Hashable, CustomStringConvertible {
        /// Nothing was placed and never will be for this number: record it, do not retry.
        case rejected
        /// Nothing was placed now: back off and try again, at the earliest after the given time.
        case refusedForNow(retryAfter: Duration?)
        /// Nothing was placed: the provider cannot be reached or did not take the request.
        case providerDown
        /// Nothing was placed: the request could not leave in the time that it had. Nobody refused anything.
        case tooLate
        /// Nothing was placed: the provider does not call this number, or numbers like it, for this account. Other calls
        /// may well be taken.
        case refused(Destination)
        /// Nothing was placed because our configuration is at fault; every further call would fail alike.
        case misconfigured(Scope)
        /// A phone may be ringing: never place this call again, find out.
        case unknown

        /// A closed set of words, usable as a metric label.
        public var description: String {
            switch self {
            case .rejected: "rejected"
            case .refusedForNow: "refused_for_now"
            case .providerDown: "provider_down"
            case .tooLate: "too_late"
            case .refused(.number): "number_refused"
            case .refused(.country): "country_refused"
            case .misconfigured: "misconfigured"
            case .unknown: "unknown"
            }
        }

        /// All these words.
        public static let words = [
            Self.rejected, .refusedForNow(retryAfter: nil), .providerDown, .tooLate, .refused(.number),
            .refused(.country),
            .misconfigured(.campaign), .unknown,
        ].map(\.description)
    }

    /// What the provider does not call.
    public enum Destination: String, Sendable, Hashable {
        /// This number, as far as one refusal tells.
        case number
        /// The number's country: the account has no permission for it.
        case country
    }

    /// Whose configuration is at fault.
    public enum Scope: String, Sendable, Hashable {
        /// The campaign's: caller ID, answer URL.
        case campaign
        /// The trunk's: account, secret, permissions of the account.
        case trunk
    }

    /// What to do.
    public let code: Code
    /// The provider's own error code, e.g. `21211`, when it gave one.
    public let providerCode: String?
    /// The HTTP status, when there was an answer.
    public let httpStatus: Int?
    /// What happened, without phone numbers and secrets.
    public let message: String

    /// Creates an error.
    public init(code: Code, providerCode: String? = nil, httpStatus: Int? = nil, message: String) {
        self.code = code
        self.providerCode = providerCode
        self.httpStatus = httpStatus
        self.message = message
    }

    /// The error in one line, free of phone numbers and secrets.
    public var description: String {
        var text = "\(self.code): \(self.message)"
        if let httpStatus = self.httpStatus { text += " (HTTP \(httpStatus))" }
        if let providerCode = self.providerCode { text += " [code \(providerCode)]" }
        return text
    }
}
