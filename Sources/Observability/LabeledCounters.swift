// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Metrics
import NIOConcurrencyHelpers

/// Counters of one name that differ in one label. Each is made once: making one costs far more than counting.
public final class LabeledCounters: Sendable {
    private let label: String
    private let dimension: String
    private let others: [(String, String)]
    private let counters = NIOLockedValueBox<[String: Counter]>([:])

    /// Creates counters that are exposed from now on: what began with its first event would hide that from a rate.
    /// - Parameters:
    ///   - label: Their name.
    ///   - dimension: The label in which they differ.
    ///   - values: The values of it that are known.
    ///   - others: Labels that all of them have.
    public init(label: String, dimension: String, values: [String], others: [(String, String)] = []) {
        self.label = label
        self.dimension = dimension
        self.others = others
        for value in values { _ = self[value] }
    }

    /// The counter of one value.
    public subscript(_ value: String) -> Counter {
        self.counters.withLockedValue { counters in
            if let counter = counters[value] { return counter }
            let counter = Counter(label: self.label, dimensions: self.others + [(self.dimension, value)])
            counters[value] = counter
            return counter
        }
    }
}
