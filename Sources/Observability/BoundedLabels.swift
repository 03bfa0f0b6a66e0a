// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// Keeps the number of a label's values bounded: the first ones keep their names, all later ones share `other`.
///
/// Source: Prometheus' practice on instrumentation, "Do not overuse labels".
public final class BoundedLabels: Sendable {
    /// What the values beyond the limit are called.
    public static let other = "other"

    private let limit: Int
    private let known = NIOLockedValueBox<Set<String>>([])

    /// Creates a set without any value.
    /// - Parameter limit: How many values keep their names.
    public init(limit: Int = 100) {
        self.limit = limit
    }

    /// The label's value for a name.
    public func value(_ name: String) -> String {
        self.known.withLockedValue { known in
            if known.contains(name) { return name }
            guard known.count < self.limit else { return Self.other }
            known.insert(name)
            return name
        }
    }

    /// The names that have been given out.
    public var names: Set<String> { self.known.withLockedValue(\.self) }
}
