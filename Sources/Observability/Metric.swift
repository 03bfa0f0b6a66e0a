// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// A figure that a role exposes: what it is called, what it means and when to worry. The documentation and the test hold
/// against this list.
public struct Metric: Sendable {
    /// How its values behave.
    public enum Kind: String, Sendable {
        /// Only rises, from 0 at the start of the process.
        case counter
        /// Rises and falls.
        case gauge
        /// Counts values by size, with their sum.
        case histogram
    }

    /// Something in which series of one name differ.
    public struct Label: Sendable {
        /// Its name.
        public let name: String
        /// All values that it can have, each of which has its series from the start; empty when they cannot be told
        /// beforehand.
        public let values: [String]

        init(_ name: String, _ values: [String] = []) {
            self.name = name
            self.values = values
        }

        static let campaign = Label("campaign")
        static let connection = Label("connection", ["publisher", "dialer", "recorder"])
        static let kind = Label("kind", ["campaign", "trunk"])
        static let trunk = Label("trunk")
    }

    /// Its name, by Prometheus' conventions.
    public let name: String
    /// Its kind.
    public let kind: Kind
    /// The role that exposes it; `every` when all do.
    public let role: String
    /// Its labels, apart from those that Prometheus adds.
    public let labels: [Label]
    /// What it tells.
    public let meaning: String
    /// When somebody should look.
    public let worry: String

    init(
        _ name: String,
        _ kind: Kind,
        _ role: String,
        _ meaning: String,
        worry: String,
        labels: [Label] = []
    ) {
        self.name = "call_scheduler_" + name
        self.kind = kind
        self.role = role
        self.labels = labels
        self.meaning = meaning
        self.worry = worry
    }

    /// Every figure of every role.
    public static let all: [Metric] = Self.selector + Self.dialer + Self.recorder + Self.webhooks + Self.clients
}
