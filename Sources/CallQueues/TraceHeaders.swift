// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import AMQP
public import Tracing

/// Writes trace contexts into a message's headers and reads them from there.
private struct HeaderCarrier: Injector, Extractor {
    func inject(_ value: String, forKey key: String, into carrier: inout AMQPTable) {
        carrier[key] = .string(value)
    }

    func extract(key: String, from carrier: AMQPTable) -> String? {
        if case .string(let text)? = carrier[key] { text } else { nil }
    }
}

extension CallMessages {
    /// What a delivered message says of its trace; empty when it says nothing.
    public static func context(of delivery: AMQPDelivery) -> InstrumentationContext {
        var context = InstrumentationContext.topLevel
        guard !delivery.message.headers.isEmpty else { return context }
        InstrumentationSystem.instrument.extract(delivery.message.headers, into: &context, using: HeaderCarrier())
        return context
    }

    static func write(_ context: InstrumentationContext, into headers: inout AMQPTable) {
        InstrumentationSystem.instrument.inject(context, into: &headers, using: HeaderCarrier())
    }
}
