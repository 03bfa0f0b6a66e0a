// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

extension CallStore {
    /// Who works, and how: what roles say of themselves, and what the broker knows of them.
    public struct House: Sendable {
        /// The roles that were heard of.
        public let roles: [RoleStanding]
        /// How many consume the queue of a trunk, by its name; without those of which the broker cannot tell.
        public let consumers: [String: Int]
        /// Why the broker cannot be asked.
        public let brokerFault: String?

        /// Creates a view of the house.
        public init(roles: [RoleStanding], consumers: [String: Int], brokerFault: String?) {
            self.roles = roles
            self.consumers = consumers
            self.brokerFault = brokerFault
        }

        private func running(_ kind: RoleReport.Kind) -> [RoleStanding] {
            self.roles.filter { $0.report.kind == kind && $0.presence == .running }
        }

        /// The dialers of a trunk that work.
        public func dialers(of trunk: String) -> [RoleStanding] {
            self.running(.dialer).filter { $0.report.trunk == trunk }
        }

        /// Why no calls are made on a trunk on which there is somebody to call; nil when calls are made.
        public func cause(trunk: String) -> String? {
            if let refusal = self.refusal { return refusal }
            let dialers = self.dialers(of: trunk)
            let away = self.brokerFault.map { "; and the broker cannot be asked: \($0)" } ?? ""
            // One of the version before consumes and says nothing.
            guard !dialers.isEmpty || self.consumers[trunk, default: 0] > 0 else {
                return "no dialer runs on its trunk '\(trunk)'" + self.lastHeard(.dialer) { $0.report.trunk == trunk }
                    + away
            }
            let faults = dialers.compactMap { dialer in dialer.report.fault.map { (dialer, $0) } }
            if !dialers.isEmpty, faults.count == dialers.count {
                let names = faults.map(\.0.report.id).joined(separator: ", ")
                guard faults.allSatisfy({ $0.0.report.breaker != .closed }) else {
                    return "no dialer of its trunk is ready: "
                        + faults.map { "\($0.0.report.id) says: \($0.1)" }.joined(separator: "; ")
                }
                return "the provider fails, and the circuit breaker of its trunk's dialers is open (\(names))"
            }
            if self.consumers[trunk] == 0 {
                return "no dialer takes the requests of its trunk '\(trunk)'"
                    + self.lastHeard(.dialer) { $0.report.trunk == trunk }
            }
            return self.absence(of: .recorder).map { "\($0): calls that have ended keep their lines" }
        }

        /// Why nobody of a kind works; nil when somebody does.
        public func absence(of kind: RoleReport.Kind) -> String? {
            let running = self.running(kind)
            guard !running.isEmpty else { return "no \(kind.words) runs" + self.lastHeard(kind) { _ in true } }
            let faults = running.compactMap { role in role.report.fault.map { "\(role.report.id) says: \($0)" } }
            guard faults.count == running.count else { return nil }
            return "no \(kind.words) is ready: " + faults.joined(separator: "; ")
        }

        /// What does not keep calls from being made, but slows them down.
        var hindrance: String? {
            self.absence(of: .webhooks).map { "\($0): how calls go is learned late, by asking the provider" }
        }

        /// When somebody claims again.
        var nextPass: String? {
            let selectors = self.running(.selector).sorted {
                ($0.report.passedAt ?? .distantPast) < ($1.report.passedAt ?? .distantPast)
            }
            guard let selector = selectors.last, let rest = selector.report.restsSeconds else { return nil }
            let last = selector.report.passedAt.map { "; the last ended at \($0.formatted(.iso8601))" } ?? ""
            return "the selector makes a pass every \(rest.formatted()) s, and the next one claims" + last
        }

        /// Whether the broker takes nothing, as any role that publishes says.
        private var refusal: String? {
            self.roles.lazy.filter { $0.presence == .running }.compactMap(\.report.fault)
                .compactMap { fault in fault.firstRange(of: Self.refusalWords).map { String(fault[$0.lowerBound...]) } }
                .first
        }

        /// With what a role says that the broker takes nothing.
        public static let refusalWords = "the broker takes no messages now"

        private func lastHeard(_ kind: RoleReport.Kind, where isMeant: (RoleStanding) -> Bool) -> String {
            let known = self.roles.filter { $0.report.kind == kind && isMeant($0) }
            guard let last = known.max(by: { $0.seenAt < $1.seenAt }) else { return "" }
            let when = last.seenAt.formatted(.iso8601)
            return last.presence == .stopped
                ? "; \(last.report.id) on \(last.host) was stopped at \(when)"
                : "; \(last.report.id) on \(last.host) was last heard of at \(when)"
        }
    }
}

extension CallStore.RoleReport.Kind {
    /// What one of them is called.
    public var words: String { self == .webhooks ? "webhooks process" : self.rawValue }
}
