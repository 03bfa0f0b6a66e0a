// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallQueues
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import InMemoryTracing
import Logging
import Observability
import Selection
import Telephony
import TestBasics
import TestSupport
import Testing
import Tracing
import Webhooks

/// A tracer as an exporter would bring: it makes spans and passes them on by the W3C's headers.
private struct StandardTracer: Tracer {
    private static let generator = InMemoryTracer.IDGenerator(
        nextTraceID: { Self.digits(32) },
        nextSpanID: { Self.digits(16) }
    )
    let spans = InMemoryTracer(idGenerator: Self.generator)

    private static func digits(_ count: Int) -> String {
        String((0..<count).map { _ in "123456789abcdef".randomElement() ?? "1" })
    }

    func startSpan<Instant: TracerInstant>(
        _ operationName: String,
        context: @autoclosure () -> InstrumentationContext,
        ofKind kind: SpanKind,
        at instant: @autoclosure () -> Instant,
        function: String,
        file fileID: String,
        line: UInt
    ) -> InMemorySpan {
        self.spans.startSpan(
            operationName,
            context: context(),
            ofKind: kind,
            at: instant(),
            function: function,
            file: fileID,
            line: line
        )
    }

    func forceFlush() {}

    func activeSpan(identifiedBy context: InstrumentationContext) -> InMemorySpan? {
        self.spans.activeSpan(identifiedBy: context)
    }

    func extract<Carrier, Extract: Extractor>(
        _ carrier: Carrier,
        into context: inout InstrumentationContext,
        using extractor: Extract
    ) where Extract.Carrier == Carrier {
        guard let parts = extractor.extract(key: "traceparent", from: carrier)?.split(separator: "-"), parts.count == 4
        else { return }
        context.inMemorySpanContext = InMemorySpanContext(
            traceID: String(parts[1]),
            spanID: String(parts[2]),
            parentSpanID: nil
        )
    }

    func inject<Carrier, Inject: Injector>(
        _ context: InstrumentationContext,
        into carrier: inout Carrier,
        using injector: Inject
    ) where Inject.Carrier == Carrier {
        guard let span = context.inMemorySpanContext else { return }
        injector.inject("00-\(span.traceID)-\(span.spanID)-01", forKey: "traceparent", into: &carrier)
    }
}

@Suite(.timeLimit(.minutes(20)))
struct TraceTests {
    @Test("a call's trace id is its call_id, and what is not by the standard is not passed on")
    func contexts() throws {
        let callID = CallID.make()
        let digits = callID.lowercased.filter { $0 != "-" }
        let root = TraceContext(root: callID)
        #expect(root.traceparent == "00-\(digits)-\(digits.suffix(16))-01")
        #expect(TraceContext(traceparent: root.traceparent, tracestate: "a=b")?.tracestate == "a=b")
        for bad in [
            "", "00", "01-\(digits)-\(digits.suffix(16))-01", "00-\(digits)-\(digits.suffix(15))-01",
            "00-\(digits.uppercased())x-\(digits.suffix(16))-01", "00-" + String(repeating: "0", count: 32) + "-1-01",
            "00-\(digits)-" + String(repeating: "0", count: 16) + "-01", "00-\(digits)-\(digits.suffix(16))-01-02",
        ] {
            #expect(TraceContext(traceparent: bad, tracestate: nil) == nil, "\(bad)")
        }
        var carrier: [String: String] = [:]
        let propagator = TraceContextPropagator()
        propagator.inject(.topLevel.rooted(at: callID), into: &carrier, using: TextCarrier())
        var context = InstrumentationContext.topLevel
        propagator.extract(carrier, into: &context, using: TextCarrier())
        #expect(context.traceContext == root)
        #expect(context.rooted(at: CallID.make()).traceContext == root)
    }

    @Test("with a tracer in place, one call's spans hang together over queue, provider, callback and record")
    func oneTrace() async throws {
        let tracer = StandardTracer()
        try await withTracer(tracer) {
            try await House.run { house in
                _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 1)
                _ = try await house.selector().pass()
                let provider = ScriptedProvider()
                try await house.withRecorder {
                    try await house.withDialer(provider: provider) { _ in
                        try await eventually("a placement") { provider.placements.count == 1 }
                        try await Self.callBack(house, provider)
                        try await eventually("the attempt rings") {
                            try await house.count("status = 'ringing'", in: "call_attempts") == 1
                        }
                    }
                }
            }
        }
        let spans = tracer.spans.finishedSpans
        let request = try #require(spans.first { $0.operationName == "request call" })
        let place = try #require(spans.first { $0.operationName == "place call" })
        let callback = try #require(spans.first { $0.operationName == "callback" })
        let record = try #require(spans.first { $0.operationName == "record reports" })
        #expect(Set([request, place, callback].map(\.spanContext.traceID)).count == 1)
        #expect(place.spanContext.parentSpanID == request.spanContext.spanID)
        #expect(callback.spanContext.parentSpanID == place.spanContext.spanID)
        #expect(record.links.map { $0.context.inMemorySpanContext?.spanID } == [callback.spanContext.spanID])
    }

    /// The provider calls the URL that it was given.
    private static func callBack(_ house: House, _ provider: ScriptedProvider) async throws {
        let call = try #require(provider.placements.first)
        #expect(call.callbackParameters["campaign_id"].flatMap { UUID(uuidString: $0) } != nil)
        let query = call.callbackParameters.map { "\($0.key)=\($0.value)" }.joined(separator: "&")
        let server = WebhookServer(
            configuration: WebhookConfiguration(),
            provider: provider,
            store: house.scratch.store,
            broker: house.publisher,
            logger: house.scratch.logger
        )
        try await Application(router: server.router()).test(.router) { client in
            var headers = HTTPFields()
            if let name = HTTPField.Name("X-Signature") { headers[name] = "good" }
            let response = try await client.execute(
                uri: "/v1/callbacks/scripted?" + query,
                method: .post,
                headers: headers,
                body: ByteBuffer(string: call.callID.lowercased)
            )
            #expect(response.status == .noContent)
        }
    }
}
