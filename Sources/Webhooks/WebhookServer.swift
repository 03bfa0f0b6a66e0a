// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import AMQP
import CallModel
import CallQueues
public import CallStore
import Foundation
import HTTPTypes
public import Hummingbird
public import Logging
import Metrics
import NIOCore
import Observability
public import ServiceLifecycle
public import Telephony
import Tracing

/// The settings of the webhook endpoint.
public struct WebhookConfiguration: Sendable {
    /// The address to listen on.
    public var host: String = "127.0.0.1"
    /// The port to listen on; 0 takes any.
    public var port: Int = 8080
    /// Larger bodies are refused with 413, in bytes.
    public var maximumBodySize: Int = 64 * 1024
    /// Bearer tokens with which outcomes of interviews may be reported, several while they are rotated; none closes that
    /// door.
    public var outcomeTokens: [String] = []
    /// Requests handled at once, 1 or more; others are told to come again.
    public var requestsAtOnce: Int = 500
    /// Refused requests per address and minute, beyond which the address is turned away unheard; 0 for no limit.
    public var refusalsPerMinute: Int = 60
    /// Reverse proxies in front, whose `X-Forwarded-For` is believed.
    public var proxies: Int = 0
    /// How long an interview's outcome may take to be committed before its sender is told to come again.
    public var outcomeTimeout: Duration = .seconds(10)
    /// How long a body may take to arrive.
    public var bodyTimeout: Duration = .seconds(10)
    /// A connection without a request is closed after this time.
    public var idleTimeout: Duration = .seconds(60)

    /// Creates settings with the defaults.
    public init() {}
}

/// Takes the provider's status callbacks: verifies, parses, publishes with a confirm, and only then answers 204. Takes the
/// outcomes of interviews, which nobody could be asked for again, and commits them to the database before it answers.
///
/// Stateless: any number may run behind a load balancer.
public struct WebhookServer: Service {
    let configuration: WebhookConfiguration
    private let provider: any TelephonyProvider
    let store: CallStore
    let broker: AMQPConnection
    let logger: Logger
    let limits: WebhookLimits
    /// The tokens for interviews' outcomes.
    public let outcomeTokens: OutcomeTokens
    /// The clock by which refusals are forgotten.
    var now: @Sendable () -> ContinuousClock.Instant = { .now }
    let metrics = WebhookMetrics()
    private let onListening: @Sendable (Int) async -> Void

    /// Creates a server.
    /// - Parameters:
    ///   - configuration: Its settings.
    ///   - provider: Whose callbacks they are.
    ///   - store: The database, for the outcomes of interviews alone: callbacks are taken without it.
    ///   - broker: A connection that is only published on.
    ///   - logger: Where it logs.
    ///   - onListening: Called with the port once it is open.
    public init(
        configuration: WebhookConfiguration,
        provider: any TelephonyProvider,
        store: CallStore,
        broker: AMQPConnection,
        logger: Logger,
        onListening: @escaping @Sendable (Int) async -> Void = { _ in }
    ) {
        self.configuration = configuration
        self.provider = provider
        self.store = store
        self.broker = broker
        self.logger = logger
        self.outcomeTokens = OutcomeTokens(configuration.outcomeTokens)
        self.limits = WebhookLimits(
            requestsAtOnce: configuration.requestsAtOnce,
            refusalsPerMinute: configuration.refusalsPerMinute
        )
        self.onListening = onListening
    }

    /// Serves until the process drains; requests in flight are answered.
    /// - Throws: `PortFault` when nobody can listen there.
    public func run() async throws {
        var logger = self.logger
        logger.logLevel = max(logger.logLevel, .warning)
        let onListening = self.onListening
        let application = Application(
            router: self.router(),
            server: .http1(configuration: .init(idleTimeout: TimeAmount(self.configuration.idleTimeout))),
            configuration: .init(
                address: .hostname(self.configuration.host, port: self.configuration.port),
                serverName: nil
            ),
            onServerRunning: { channel in await onListening(channel.localAddress?.port ?? 0) },
            logger: logger
        )
        do {
            try await application.runService(gracefulShutdownSignals: [])
        } catch let error as IOError {
            throw PortFault(
                setting: "WEBHOOK_PORT",
                host: self.configuration.host,
                port: self.configuration.port,
                cause: error
            )
        }
    }

    /// The routes, apart from a running server.
    public func router() -> Router<WebhookContext> {
        let router = Router(context: WebhookContext.self)
        router.post("/v1/callbacks/{provider}") { request, context -> Response in
            guard context.parameters.get("provider") == self.provider.name else {
                return await self.limited(request, context, caller: .stranger) { _ in
                    Heard(Self.answer(.notFound, "no such provider is configured here\n"))
                }
            }
            let headers = Self.headers(of: request)
            let caller: Caller = self.provider.isSigned(headers) ? .signed : .stranger
            return await self.limited(request, context, caller: caller) {
                await self.callback(request, headers, within: $0)
            }
        }
        router.post("/v1/calls/{call_id}/outcome") { request, context -> Response in
            let caller: Caller = self.isAuthorized(request.headers[.authorization]) ? .known : .stranger
            return await self.limited(request, context, caller: caller) { _ in
                let call = context.parameters.get("call_id") ?? ""
                return Heard(await self.surveyOutcome(request, call: call), isGenuine: caller == .known)
            }
        }
        return router
    }

    static func comeAgain(_ status: HTTPResponse.Status, after seconds: Int) -> Response {
        var response = Self.answer(status, "try again later\n")
        response.headers[.retryAfter] = "\(seconds)"
        return response
    }

    private static func headers(of request: Request) -> [String: String] {
        var headers: [String: String] = [:]
        for field in request.headers { headers[field.name.canonicalName] = field.value }
        return headers
    }

    private func callback(_ request: Request, _ headers: [String: String], within limit: Duration) async -> Heard {
        let body: ByteBuffer
        do {
            body = try await request.collectBody(upTo: self.configuration.maximumBodySize, within: limit)
        } catch {
            return Heard(self.refuseBody(error))
        }
        let callback = CallbackRequest(
            target: request.head.path ?? request.uri.string,
            method: request.method.rawValue,
            headers: headers,
            body: Array(body.readableBytesView)
        )
        let event: CallEvent
        do {
            event = try self.provider.parseCallback(callback)
        } catch {
            switch error {
            case .forged: return Heard(self.refuse(.forbidden, result: .forged, "signature does not match"))
            case .malformed(let reason):
                if let word = self.provider.unknownStatus(in: callback) {
                    return Heard(self.ignore(word), isGenuine: true)
                }
                return Heard(self.refuse(.badRequest, result: .malformed, reason), isGenuine: true)
            }
        }
        return Heard(await self.take(event, from: request), isGenuine: true)
    }

    /// Takes a callback that tells nothing.
    private func ignore(_ word: String) -> Response {
        self.metrics.count(.unknownStatus)
        if self.limits.isNew(word: word) {
            self.logger.notice(
                "The provider has a word for a call's status that we do not know; such callbacks tell nothing",
                metadata: .keys([.reason: "CallStatus '\(word)'"])
            )
        }
        return Response(status: .noContent)
    }

    private func take(_ event: CallEvent, from request: Request) async -> Response {
        let query = request.uri.queryParameters
        var logger = self.logger
        logger[.callID] = event.callID.lowercased
        // In callbacks of calls that an earlier version placed there is none.
        logger[.campaign] = query.get("campaign_id").flatMap { UUID(uuidString: $0) }?.lowercased
        let span = self.span("callback", query.get("traceparent"), query.get("tracestate"), callID: event.callID)
        defer { span.end() }
        FailPoint.webhooksVerified.reach()
        let answer = await self.handOver(logger: logger) {
            CallMessages.publication(of: event, context: span.context)
        }
        if answer.status == .noContent {
            self.metrics.lag.recordSeconds(max(0, Date().timeIntervalSince(event.occurredAt)))
            logger.debug("Took a callback", metadata: .keys([.outcome: event.status.rawValue]))
        }
        return answer
    }

    /// A span of the call's trace, which goes on where the request says.
    func span(_ name: String, _ traceparent: String?, _ tracestate: String?, callID: UUID) -> any Span {
        var carrier: [String: String] = [:]
        carrier["traceparent"] = traceparent
        carrier["tracestate"] = tracestate
        var context = InstrumentationContext.topLevel
        InstrumentationSystem.instrument.extract(carrier, into: &context, using: TextCarrier())
        return startSpan(name, context: context.rooted(at: callID), ofKind: .server)
    }

    /// Answers only once the broker has the message.
    func handOver(logger: Logger, _ publication: () throws -> AMQPPublication) async -> Response {
        do {
            let publication = try publication()
            try await self.broker.publish(
                publication.message,
                exchange: publication.exchange,
                routingKey: publication.routingKey
            )
        } catch {
            logger.warning("A report could not be handed to the broker", metadata: .keys([.error: "\(error)"]))
            self.metrics.count(.unconfirmed)
            return Self.answer(.serviceUnavailable, "try again\n")
        }
        FailPoint.webhooksPublished.reach()
        self.metrics.count(.accepted)
        return Response(status: .noContent)
    }

    func body(of request: Request) async throws -> ByteBuffer {
        try await request.collectBody(
            upTo: self.configuration.maximumBodySize,
            within: self.configuration.bodyTimeout
        )
    }

    func refuseBody(_ error: any Error) -> Response {
        (error as? HTTPError)?.status == .requestTimeout
            ? self.refuse(.requestTimeout, result: .tooSlow, "the body took too long")
            : self.refuse(.contentTooLarge, result: .tooLarge, "body is too large or was cut off")
    }

    func refuse(_ status: HTTPResponse.Status, result: WebhookMetrics.Result, _ reason: String) -> Response {
        self.metrics.count(result)
        self.logger.warning("A report was refused", metadata: .keys([.reason: reason]))
        return Self.answer(status, reason + "\n")
    }

    static func answer(_ status: HTTPResponse.Status, _ text: String) -> Response {
        Response(
            status: status,
            headers: [.contentType: "text/plain; charset=utf-8"],
            body: .init(byteBuffer: ByteBuffer(string: text))
        )
    }
}

/// Whoever prints it, or something that holds it, prints no secret.
extension WebhookConfiguration: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Address, port and how many tokens there are.
    public var description: String { "\(self.host):\(self.port), \(self.outcomeTokens.count) outcome tokens" }
    /// The same.
    public var debugDescription: String { self.description }
    /// Without children.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
