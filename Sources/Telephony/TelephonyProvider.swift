// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
public import Foundation

/// A telephony provider: the seam behind which every adapter lives.
///
/// An adapter places a call at most once per ``place(_:)``: it never retries by itself, on any error, on any layer.
public protocol TelephonyProvider: Sendable {
    /// The adapter's name, as in the `PROVIDER` setting.
    var name: String { get }

    /// Asks the provider, once, to place a call.
    ///
    /// What has not left before ``CallRequest/leaveBefore`` never leaves: whatever it waits for until then, a connection
    /// or a handshake, it is given up with ``TelephonyError/Code/tooLate``.
    /// - Parameter request: Whom to call and how.
    /// - Returns: The provider's id of the call, which has been accepted but need not ring yet.
    /// - Throws: ``TelephonyError``; its ``TelephonyError/code`` says whether a phone may ring all the same.
    func place(_ request: CallRequest) async throws(TelephonyError) -> PlacedCall

    /// Asks how a call stands.
    /// - Returns: The call, or nil when the provider knows no call with this id.
    func call(id: String) async throws(TelephonyError) -> ProviderCall?

    /// Looks for calls by what is known of them, queued calls included, newest first.
    func findCalls(_ query: CallQuery) async throws(TelephonyError) -> [ProviderCall]

    /// Lists all calls from one number since an instant, page by page, queued ones included. For what the database has
    /// forgotten; a call may be listed twice.
    /// - Parameters:
    ///   - callerID: The number that they were placed with.
    ///   - acceptedAfter: Calls accepted before this instant are not meant.
    ///   - handle: Gets one page after the other.
    /// - Throws: ``TelephonyError``, and what `handle` throws.
    func listCalls(
        from callerID: PhoneNumber,
        acceptedAfter: Date,
        _ handle: ([ListedCall]) async throws -> Void
    ) async throws

    /// Ends a call, or cancels it while it is still queued or ringing. Doing so to an ended call is no error.
    /// - Parameters:
    ///   - id: The provider's id of the call.
    ///   - onlyIfNotAnswered: True cancels a call that is queued or ringing and leaves an answered one alone.
    /// - Throws: ``TelephonyError``; never with code `unknown`, because repeating it is harmless.
    func hangUp(id: String, onlyIfNotAnswered: Bool) async throws(TelephonyError)

    /// Whether a request carries a signature at all, right or wrong. What carries none need not be read.
    func isSigned(_ headers: [String: String]) -> Bool

    /// Verifies and reads one status callback.
    /// - Throws: ``CallbackError``: the signature is wrong, or the body cannot be read.
    func parseCallback(_ request: CallbackRequest) throws(CallbackError) -> CallEvent

    /// The provider's word for a call's status, if that is why a genuine callback cannot be read: one that we do not know,
    /// or an empty one. There is nothing to record then, and nothing that repeating could mend: asked, the provider will
    /// tell how the call stands. Only for callbacks that were found ``CallbackError/malformed(reason:)``.
    /// - Returns: The word, printable and short; nil when the status is known.
    func unknownStatus(in request: CallbackRequest) -> String?

    /// Checks that the account and its secret are accepted, without placing anything. For `doctor`.
    func checkCredentials() async throws(TelephonyError)
}

extension TelephonyProvider {
    /// Whether a field's name speaks of a signature.
    public func isSigned(_ headers: [String: String]) -> Bool {
        headers.keys.contains { $0.contains("signature") }
    }

    /// None.
    public func unknownStatus(in request: CallbackRequest) -> String? { nil }
}

/// What is needed to place one call.
public struct CallRequest: Sendable {
    /// Our id of the call; travels in the callback URL.
    public var callID: UUID
    /// Whom to call.
    public var to: PhoneNumber
    /// The caller ID that the respondent sees.
    public var from: PhoneNumber
    /// Where the provider asks what to do once the call is answered.
    public var answerURL: String
    /// How long the phone rings, 5 to 600 seconds.
    public var ringTimeout: Duration
    /// The longest call after the answer, in whole seconds.
    public var maximumCallDuration: Duration
    /// Whether the provider shall tell people from machines.
    public var detectsMachines: Bool
    /// What comes back as query parameters of every callback, beside the `call_id`; printable, and no personal data.
    public var callbackParameters: [String: String]
    /// The last moment at which the request may leave for the provider; nil when there is none.
    public var leaveBefore: ContinuousClock.Instant?

    /// Creates a request.
    public init(
        callID: UUID,
        to: PhoneNumber,
        from: PhoneNumber,
        answerURL: String,
        ringTimeout: Duration,
        maximumCallDuration: Duration,
        detectsMachines: Bool = false,
        callbackParameters: [String: String] = [:],
        leaveBefore: ContinuousClock.Instant? = nil
    ) {
        self.callID = callID
        self.to = to
        self.from = from
        self.answerURL = answerURL
        self.ringTimeout = ringTimeout
        self.maximumCallDuration = maximumCallDuration
        self.detectsMachines = detectsMachines
        self.callbackParameters = callbackParameters
        self.leaveBefore = leaveBefore
    }
}

/// A call that the provider has accepted.
public struct PlacedCall: Sendable, Equatable {
    /// The provider's id of the call.
    public var providerCallID: String
    /// The provider's own word for its status, e.g. `queued`.
    public var rawStatus: String

    /// Creates a placed call.
    public init(providerCallID: String, rawStatus: String) {
        self.providerCallID = providerCallID
        self.rawStatus = rawStatus
    }
}

/// A call as the provider describes it when asked.
public struct ProviderCall: Sendable, Equatable {
    /// The provider's id of the call.
    public var providerCallID: String
    /// How the call stands.
    public var status: CallStatus
    /// The provider's own word for the status.
    public var rawStatus: String
    /// When the provider accepted the call.
    public var createdAt: Date?
    /// When the call ended, if it has.
    public var endedAt: Date?
    /// The result of machine detection, when it ran.
    public var answeredBy: AnsweredBy?

    /// Creates a description of a call.
    public init(
        providerCallID: String,
        status: CallStatus,
        rawStatus: String,
        createdAt: Date? = nil,
        endedAt: Date? = nil,
        answeredBy: AnsweredBy? = nil
    ) {
        self.providerCallID = providerCallID
        self.status = status
        self.rawStatus = rawStatus
        self.createdAt = createdAt
        self.endedAt = endedAt
        self.answeredBy = answeredBy
    }
}

/// A call in a list, with whom it was for.
public struct ListedCall: Sendable, Equatable {
    /// Whom the call was for, as the provider writes it.
    public var to: String
    /// The call.
    public var call: ProviderCall

    /// Creates an entry.
    public init(to: String, call: ProviderCall) {
        self.to = to
        self.call = call
    }
}

/// What is known of a call whose provider id is not.
public struct CallQuery: Sendable {
    /// Whom the call was for.
    public var to: PhoneNumber
    /// The caller ID it was placed with.
    public var from: PhoneNumber
    /// Calls accepted before this instant are not meant.
    public var acceptedAfter: Date

    /// Creates a query.
    public init(to: PhoneNumber, from: PhoneNumber, acceptedAfter: Date) {
        self.to = to
        self.from = from
        self.acceptedAfter = acceptedAfter
    }
}

/// One HTTP request that claims to be a status callback, as it arrived.
public struct CallbackRequest: Sendable {
    /// Path and query as in the request line, e.g. `/v1/callbacks/twilio?call_id=…`.
    public var target: String
    /// The method, in capitals.
    public var method: String
    /// Header fields, names in lower case.
    public var headers: [String: String]
    /// The raw body.
    public var body: [UInt8]

    /// Creates a request.
    public init(target: String, method: String, headers: [String: String], body: [UInt8]) {
        self.target = target
        self.method = method
        self.headers = headers
        self.body = body
    }
}

/// Why a callback is not accepted.
public enum CallbackError: Error, Sendable, Equatable {
    /// The signature is missing or does not match: answer 403.
    case forged
    /// The request is the provider's and cannot be read: answer 400. The reason names the field and never its value.
    case malformed(reason: String)
}
