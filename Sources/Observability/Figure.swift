// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Metrics
import NIOConcurrencyHelpers

/// One series of figures: a counter, a gauge or a histogram.
final class Figure: CounterHandler, RecorderHandler, MeterHandler, TimerHandler, Sendable {
    private struct Value {
        var number = 0.0
        var count = 0
        var buckets: [Int] = []
    }

    /// Upper bounds, in seconds or in items: from a fast statement to the longest call.
    static let bounds: [Double] = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 3600,
    ]

    let kind: Metric.Kind
    private let value: NIOLockedValueBox<Value>

    init(_ kind: Metric.Kind) {
        self.kind = kind
        self.value = NIOLockedValueBox(
            Value(buckets: kind == .histogram ? Array(repeating: 0, count: Self.bounds.count) : [])
        )
    }

    func increment(by amount: Int64) { self.value.withLockedValue { $0.number += Double(amount) } }
    func increment(by amount: Double) { self.value.withLockedValue { $0.number += amount } }
    func decrement(by amount: Double) { self.value.withLockedValue { $0.number -= amount } }
    func set(_ value: Int64) { self.set(Double(value)) }
    func set(_ value: Double) { self.value.withLockedValue { $0.number = value } }
    func reset() { self.value.withLockedValue { $0.number = 0 } }
    func record(_ value: Int64) { self.record(Double(value)) }
    func recordNanoseconds(_ duration: Int64) { self.record(Double(duration) / 1e9) }

    func record(_ value: Double) {
        guard self.kind == .histogram else { return self.set(value) }
        self.value.withLockedValue { held in
            held.number += value
            held.count += 1
            if let bucket = Self.bounds.firstIndex(where: { value <= $0 }) { held.buckets[bucket] += 1 }
        }
    }

    func lines(name: String, labels: String) -> [String] {
        let held = self.value.withLockedValue { $0 }
        let suffix = labels.isEmpty ? "" : "{\(labels)}"
        guard self.kind == .histogram else { return ["\(name)\(suffix) \(Self.text(held.number))"] }
        let prefix = labels.isEmpty ? "" : labels + ","
        var lines: [String] = []
        var below = 0
        for (bound, count) in zip(Self.bounds, held.buckets) {
            below += count
            lines.append("\(name)_bucket{\(prefix)le=\"\(Self.text(bound))\"} \(below)")
        }
        lines.append("\(name)_bucket{\(prefix)le=\"+Inf\"} \(held.count)")
        lines.append("\(name)_sum\(suffix) \(held.number)")
        lines.append("\(name)_count\(suffix) \(held.count)")
        return lines
    }

    private static func text(_ number: Double) -> String {
        number == number.rounded() && abs(number) < 1e15 ? String(Int(number)) : "\(number)"
    }
}
