// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Metrics
import NIOConcurrencyHelpers

/// Counters of one name that differ in one label. Each is made once: making one costs far more than counting.
public final class LabeledCounters: Sendable {
    private let label: String
    private let dimension: String
    private let counters = NIOLockedValueBox<[String: Counter]>([:])

    /// Creates counters, none of which has counted anything yet.
    /// - Parameters:
    ///   - label: Their name.
    ///   - dimension: The label in which they differ; its values must be few.
    public init(label: String, dimension: String) {
        self.label = label
        self.dimension = dimension
    }

    /// The counter of one value.
    public subscript(_ value: String) -> Counter {
        self.counters.withLockedValue { counters in
            if let counter = counters[value] { return counter }
            let counter = Counter(label: self.label, dimensions: [(self.dimension, value)])
            counters[value] = counter
            return counter
        }
    }
}
