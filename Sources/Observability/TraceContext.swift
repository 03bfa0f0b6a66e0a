// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation
public import Tracing

/// Where a call stands in its trace, as it travels between processes.
///
/// Source: W3C Trace Context, level 1. A call's trace id is its `call_id`, so that whoever has one has the other, in logs,
/// rows and traces alike.
public struct TraceContext: Sendable, Equatable {
    /// Version, trace id, parent id and flags.
    public let traceparent: String
    /// What the vendors on the way add; passed on as it is.
    public let tracestate: String?

    /// The root of a call's trace, sampled.
    /// - Parameter callID: The call; never all zeroes, and neither are the halves of a UUID of version 7.
    public init(root callID: UUID) {
        let digits = callID.uuidString.lowercased().filter { $0 != "-" }
        self.traceparent = "00-\(digits)-\(digits.suffix(16))-01"
        self.tracestate = nil
    }

    /// Reads what arrived; nil when it is not by the standard, which asks to start anew then.
    public init?(traceparent: String, tracestate: String?) {
        let parts = traceparent.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 4, parts.map(\.count) == [2, 32, 16, 2], parts[0] == "00" else { return nil }
        guard parts.joined().utf8.allSatisfy({ "0123456789abcdef".utf8.contains($0) }) else { return nil }
        guard parts[1].contains(where: { $0 != "0" }), parts[2].contains(where: { $0 != "0" }) else { return nil }
        self.traceparent = traceparent
        self.tracestate = tracestate.flatMap { $0.isEmpty || $0.utf8.count > 512 ? nil : $0 }
    }
}

private enum TraceContextKey: InstrumentationContextKey {
    typealias Value = TraceContext
}

extension InstrumentationContext {
    /// The trace context that is passed on while no exporter is installed.
    public var traceContext: TraceContext? {
        get { self[TraceContextKey.self] }
        set { self[TraceContextKey.self] = newValue }
    }

    /// This context, or the root of the call's trace where nothing came with the message.
    public func rooted(at callID: UUID) -> InstrumentationContext {
        guard self.traceContext == nil else { return self }
        var context = self
        context.traceContext = TraceContext(root: callID)
        return context
    }
}

/// Passes trace contexts on and makes no spans. A tracer of one's own takes its place in the process's bootstrap; the roles
/// know neither.
public struct TraceContextPropagator: Instrument {
    /// Creates a propagator.
    public init() {}

    /// Reads the context from a carrier.
    public func extract<Carrier, Extract: Extractor>(
        _ carrier: Carrier,
        into context: inout InstrumentationContext,
        using extractor: Extract
    ) where Extract.Carrier == Carrier {
        guard let traceparent = extractor.extract(key: "traceparent", from: carrier) else { return }
        context.traceContext = TraceContext(
            traceparent: traceparent,
            tracestate: extractor.extract(key: "tracestate", from: carrier)
        )
    }

    /// Writes the context into a carrier.
    public func inject<Carrier, Inject: Injector>(
        _ context: InstrumentationContext,
        into carrier: inout Carrier,
        using injector: Inject
    ) where Inject.Carrier == Carrier {
        guard let trace = context.traceContext else { return }
        injector.inject(trace.traceparent, forKey: "traceparent", into: &carrier)
        if let tracestate = trace.tracestate { injector.inject(tracestate, forKey: "tracestate", into: &carrier) }
    }
}

/// Text by name, as a carrier of trace contexts.
public struct TextCarrier: Injector, Extractor {
    /// Creates a carrier's reader and writer.
    public init() {}

    /// Writes a value.
    public func inject(_ value: String, forKey key: String, into carrier: inout [String: String]) {
        carrier[key] = value
    }

    /// Reads a value.
    public func extract(key: String, from carrier: [String: String]) -> String? {
        carrier[key]
    }
}
