// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// A failure of the broker, of the connection to it, or of the use of either.
public struct AMQPError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What went wrong, in kinds that a caller may tell apart.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Kind: String {
            case invalidConfiguration = "invalid_configuration"
            case connectionFailed = "connection_failed"
            case connectionLost = "connection_lost"
            case accessRefused = "access_refused"
            case tls
            case topologyMismatch = "topology_mismatch"
            case notFound = "not_found"
            case channelClosed = "channel_closed"
            case notConnected = "not_connected"
            case returned
            case nacked
            case timeout
            case cancelled
            case closed
            case deliveryLost = "delivery_lost"
            case preconditionFailed = "precondition_failed"
            case resourceLocked = "resource_locked"
            case invalidArgument = "invalid_argument"
        }

        private let kind: Kind

        /// The URI or a setting cannot be used.
        public static let invalidConfiguration = Code(kind: .invalidConfiguration)
        /// The broker cannot be reached.
        public static let connectionFailed = Code(kind: .connectionFailed)
        /// The connection broke while something was under way; its outcome is unknown.
        public static let connectionLost = Code(kind: .connectionLost)
        /// The broker refuses the user, the password or the virtual host.
        public static let accessRefused = Code(kind: .accessRefused)
        /// The encrypted connection cannot be made or the broker's certificate cannot be trusted.
        public static let tls = Code(kind: .tls)
        /// A queue or exchange exists with other properties than declared.
        public static let topologyMismatch = Code(kind: .topologyMismatch)
        /// No such queue or exchange.
        public static let notFound = Code(kind: .notFound)
        /// The broker closed the channel.
        public static let channelClosed = Code(kind: .channelClosed)
        /// There is no connection now; nothing was sent.
        public static let notConnected = Code(kind: .notConnected)
        /// A mandatory message could not be routed to any queue.
        public static let returned = Code(kind: .returned)
        /// The broker did not take responsibility for the message.
        public static let nacked = Code(kind: .nacked)
        /// No answer in time.
        public static let timeout = Code(kind: .timeout)
        /// The waiting task was cancelled.
        public static let cancelled = Code(kind: .cancelled)
        /// The connection was closed by its owner.
        public static let closed = Code(kind: .closed)
        /// The delivery's channel is gone; the broker will deliver the message again.
        public static let deliveryLost = Code(kind: .deliveryLost)
        /// The broker does not do that with what there is: a message too large, a delivery held too long.
        public static let preconditionFailed = Code(kind: .preconditionFailed)
        /// Another connection has the queue for itself.
        public static let resourceLocked = Code(kind: .resourceLocked)
        /// A name, a header or a property that AMQP cannot carry; nothing was sent.
        public static let invalidArgument = Code(kind: .invalidArgument)

        /// A closed set of words, usable as a metric label.
        public var description: String { self.kind.rawValue }
    }

    /// What went wrong.
    public let code: Code
    /// The broker's reply code (AMQP 0-9-1, section 1.2), when it gave one.
    public let replyCode: Int?
    /// What happened, in one line, without secrets.
    public let message: String
    /// Whether a publish that failed with this error may have reached the broker all the same.
    public let isOutcomeUnknown: Bool

    /// Creates an error.
    public init(code: Code, replyCode: Int? = nil, message: String, isOutcomeUnknown: Bool = false) {
        self.code = code
        self.replyCode = replyCode
        self.message = message
        self.isOutcomeUnknown = isOutcomeUnknown
    }

    /// The same error of something that was never sent.
    var withKnownOutcome: AMQPError {
        AMQPError(code: self.code, replyCode: self.replyCode, message: self.message)
    }

    /// Whether trying again later may help.
    public var isRetryable: Bool {
        switch self.code {
        case .connectionFailed, .connectionLost, .notConnected, .timeout, .nacked, .channelClosed, .resourceLocked: true
        default: false
        }
    }

    /// The error in one line, without secrets.
    public var description: String {
        if let replyCode = self.replyCode { return "\(self.code): \(self.message) (reply code \(replyCode))" }
        return "\(self.code): \(self.message)"
    }
}
