// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import AsyncHTTPClient
import CallModel
import Foundation
public import Logging
import NIOCore

/// The adapter for Twilio and for servers that speak its API.
///
/// Nothing here repeats a request. What follows from a failure is in the ``TelephonyError/code`` of the error.
public struct TwilioProvider: TelephonyProvider {
    /// Where our webhooks take this provider's status callbacks, below the public URL.
    public static let callbackPath = "/v1/callbacks/twilio"

    /// `twilio`.
    public let name = "twilio"

    let configuration: TwilioConfiguration
    private let transport: TwilioTransport
    private let logger: Logger

    /// How many pages of a list are read. Filtered by both numbers, a second page is already rare.
    private static let maximumPages = 10

    /// Creates an adapter.
    /// - Parameters:
    ///   - configuration: The account and our public URL.
    ///   - httpClient: A client made with ``makeHTTPClientConfiguration()``; the caller shuts it down.
    ///   - logger: Gets one debug line per answer.
    public init(configuration: TwilioConfiguration, httpClient: HTTPClient, logger: Logger) {
        self.init(configuration: configuration, httpClient: httpClient, logger: logger, clock: .continuous)
    }

    init(configuration: TwilioConfiguration, httpClient: HTTPClient, logger: Logger, clock: TransportClock) {
        self.configuration = configuration
        self.logger = logger
        self.transport = TwilioTransport(
            client: httpClient,
            baseURL: configuration.baseURL,
            authorization: { configuration.authorization },
            timeout: configuration.requestTimeout,
            clock: clock
        )
    }

    /// Settings for an HTTP client that sends each request at most once: no redirects, no second connection attempt.
    ///
    /// Connections idle for less time than the provider keeps them, so that a request seldom meets one that is just
    /// being closed. The limit on connections is far above any dialer's number of placements in flight, because a
    /// request that waits for a connection gains nothing.
    public static func makeHTTPClientConfiguration() -> HTTPClient.Configuration {
        var pool = HTTPClient.Configuration.ConnectionPool(
            idleTimeout: .seconds(20),
            concurrentHTTP1ConnectionsPerHostSoftLimit: 1_024
        )
        pool.retryConnectionEstablishment = false
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .disallow,
            timeout: .init(connect: .seconds(10), read: .seconds(120)),
            connectionPool: pool
        )
        configuration.httpVersion = .http1Only
        return configuration
    }

    /// Asks the provider, once, to place a call; see ``TelephonyProvider/place(_:)``.
    /// - Parameter request: Whom to call and how.
    /// - Returns: The call as accepted.
    /// - Throws: ``TelephonyError``; ``TelephonyError/Code/unknown`` whenever the provider can have read the request and
    ///   its answer does not rule out a call.
    public func place(_ request: CallRequest) async throws(TelephonyError) -> PlacedCall {
        var form: [(name: String, value: String)] = [
            ("To", request.to.e164),
            ("From", request.from.e164),
            ("Url", Self.answerURL(request)),
            ("Method", "POST"),
            ("StatusCallback", self.statusCallbackURL(request)),
            ("StatusCallbackMethod", "POST"),
        ]
        form += ["ringing", "answered", "completed"].map { ("StatusCallbackEvent", $0) }
        form.append(("Timeout", String(request.ringTimeout.components.seconds)))
        form.append(("TimeLimit", String(request.maximumCallDuration.components.seconds)))
        if request.detectsMachines { form.append(("MachineDetection", "Enable")) }
        let message = try TwilioRequest(.createCall, accountSID: self.configuration.accountSID, form: form)

        let answer: TwilioAnswer
        do {
            answer = try await self.transport.send(message, leaveBefore: request.leaveBefore)
        } catch {
            self.log(.createCall, outcome: error.reason, call: request)
            if error.isLate {
                throw TelephonyError(code: .tooLate, message: "no connection to the provider was ready in time")
            }
            throw TelephonyError(
                code: error.wasSent ? .unknown : .providerDown,
                message: error.wasSent
                    ? "no answer to a request that was sent: \(error.reason)"
                    : "the request was not sent: \(error.reason)"
            )
        }
        self.log(.createCall, outcome: String(answer.status), call: request)
        guard (200...299).contains(answer.status), let call = self.decode(TwilioCall.self, from: answer),
            let identifier = call.identifier
        else { throw TwilioFailure.placing(answer) }
        return PlacedCall(providerCallID: identifier, rawStatus: call.status ?? "queued")
    }

    /// Asks how a call stands.
    /// - Parameter id: The provider's id of the call.
    /// - Returns: The call, or nil when the provider knows no call with this id.
    /// - Throws: ``TelephonyError``, never with ``TelephonyError/Code/unknown``.
    public func call(id: String) async throws(TelephonyError) -> ProviderCall? {
        let request = try TwilioRequest(.fetchCall, accountSID: self.configuration.accountSID, callSID: id)
        let answer = try await self.ask(request)
        if answer.status == 404, TwilioFault.read(answer.body)?.code == TwilioFailure.notFound { return nil }
        guard answer.status == 200 else { throw TwilioFailure.asking(answer) }
        // Who was asked for this one call knows it; what has no end goes on, whatever the word for that.
        guard let call = self.decode(TwilioCall.self, from: answer)?.providerCall(otherwise: .initiated) else {
            throw TelephonyError(code: .providerDown, httpStatus: 200, message: "the answer does not describe a call")
        }
        return call
    }

    /// Looks for calls by both numbers, queued calls included, newest first.
    ///
    /// At most 1,000 calls are looked through, queued and dialed ones each.
    /// - Parameter query: What is known of the call.
    /// - Returns: The calls that match.
    /// - Throws: ``TelephonyError``, never with ``TelephonyError/Code/unknown``.
    public func findCalls(_ query: CallQuery) async throws(TelephonyError) -> [ProviderCall] {
        // A queued call has no start time, so the dated list does not have it. Queued first: a call that is dialed
        // between the two questions is then in the second list, and in the other order it would be in neither.
        let queued = try await self.list([("Status", "queued")], query)
        let dated = try await self.list([("StartTime>", InternetDate.utcDay(of: query.acceptedAfter))], query)
        // The provider's dates have no fractions of a second.
        let earliest = query.acceptedAfter.timeIntervalSince1970.rounded(.down)
        var found: [String: ProviderCall] = [:]
        for call in queued + dated {
            guard let createdAt = call.createdAt, createdAt.timeIntervalSince1970 >= earliest else { continue }
            found[call.providerCallID] = call
        }
        return found.values.sorted { left, right in
            (left.createdAt ?? .distantPast, left.providerCallID) > (
                right.createdAt ?? .distantPast, right.providerCallID
            )
        }
    }

    /// Ends a call, or cancels it while it is queued or rings. An ended call, and one that is not known, is no error.
    /// - Parameters:
    ///   - id: The provider's id of the call.
    ///   - onlyIfNotAnswered: True leaves an answered call alone.
    /// - Throws: ``TelephonyError``, never with ``TelephonyError/Code/unknown``.
    public func hangUp(id: String, onlyIfNotAnswered: Bool) async throws(TelephonyError) {
        // "completed" ends a call that runs; a call that is still queued may only take "canceled".
        for status in onlyIfNotAnswered ? ["canceled"] : ["completed", "canceled"] {
            let request = try TwilioRequest(
                .updateCall,
                accountSID: self.configuration.accountSID,
                callSID: id,
                form: [("Status", status)]
            )
            let answer = try await self.ask(request)
            switch (answer.status, TwilioFault.read(answer.body)?.code) {
            case (200...299, _), (404, TwilioFailure.notFound): return
            case (400...499, TwilioFailure.callNotInProgress): continue
            default: throw TwilioFailure.asking(answer)
            }
        }
    }

    /// Checks that the account and its secret are accepted, by asking for a list of one call.
    /// - Throws: ``TelephonyError`` with ``TelephonyError/Code/misconfigured(_:)`` when they are not, or when the base
    ///   URL leads elsewhere.
    public func checkCredentials() async throws(TelephonyError) {
        let request = try TwilioRequest(
            .listCalls,
            accountSID: self.configuration.accountSID,
            query: [("PageSize", "1")]
        )
        let answer = try await self.ask(request)
        guard answer.status == 200 else { throw TwilioFailure.asking(answer) }
        guard self.decode(TwilioCallPage.self, from: answer) != nil else {
            throw TelephonyError(
                code: .misconfigured(.trunk),
                httpStatus: 200,
                message: "the base URL does not lead to the provider's API"
            )
        }
    }

    /// The fragment is for the provider: repeat a callback up to five times, whatever went wrong with it.
    private func statusCallbackURL(_ request: CallRequest) -> String {
        let parameters = request.callbackParameters.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
        return self.configuration.callbackBaseURL + Self.callbackPath + "?"
            + FormFields.encode([("call_id", request.callID.lowercased)] + parameters) + "#rc=5&rp=all"
    }

    /// The campaign's answer URL with the call's id, under which whatever conducts the interview reports its outcome.
    private static func answerURL(_ request: CallRequest) -> String {
        let parts = request.answerURL.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        let separator = parts[0].contains("?") ? (parts[0].hasSuffix("?") || parts[0].hasSuffix("&") ? "" : "&") : "?"
        let fragment = parts.count > 1 ? "#" + parts[1] : ""
        return parts[0] + separator + "call_id=" + request.callID.lowercased + fragment
    }

    private func list(
        _ filter: [(name: String, value: String)],
        _ query: CallQuery
    ) async throws(TelephonyError) -> [ProviderCall] {
        let base: [(name: String, value: String)] =
            [("To", query.to.e164), ("From", query.from.e164)] + filter + [("PageSize", "100")]
        var result: [ProviderCall] = []
        var page: [(name: String, value: String)] = []
        for _ in 0..<Self.maximumPages {
            let content = try await self.page(base + page)
            // To take a stranger's call for ours would be worse than not to find it.
            result += content.calls.filter { $0.to == query.to.e164 && $0.from == query.from.e164 }
                .compactMap(\.providerCall)
            guard let next = content.nextPage else { break }
            page = next
        }
        return result
    }

    func page(_ query: [(name: String, value: String)]) async throws(TelephonyError) -> TwilioCallPage {
        let request = try TwilioRequest(.listCalls, accountSID: self.configuration.accountSID, query: query)
        let answer = try await self.ask(request)
        guard answer.status == 200 else { throw TwilioFailure.asking(answer) }
        guard let content = self.decode(TwilioCallPage.self, from: answer) else {
            throw TelephonyError(code: .providerDown, httpStatus: 200, message: "the answer is not a list of calls")
        }
        return content
    }

    /// Sends a request that places nothing: without an answer, the provider counts as down.
    private func ask(_ request: TwilioRequest) async throws(TelephonyError) -> TwilioAnswer {
        do {
            let answer = try await self.transport.send(request)
            self.log(request.operation, outcome: String(answer.status))
            return answer
        } catch {
            self.log(request.operation, outcome: error.reason)
            throw TelephonyError(code: .providerDown, message: "no answer: \(error.reason)")
        }
    }

    private func decode<Content: Decodable>(_ type: Content.Type, from answer: TwilioAnswer) -> Content? {
        try? JSONDecoder().decode(type, from: Data(answer.body))
    }

    private func log(_ operation: TwilioOperation, outcome: String, call: CallRequest? = nil) {
        var metadata: Logger.Metadata = ["operation": "\(operation.name)", "outcome": "\(outcome)"]
        if let call {
            metadata["call_id"] = "\(call.callID.lowercased)"
            if let campaign = call.callbackParameters["campaign_id"] { metadata["campaign_id"] = "\(campaign)" }
        }
        self.logger.debug("the provider was asked", metadata: metadata)
    }
}
