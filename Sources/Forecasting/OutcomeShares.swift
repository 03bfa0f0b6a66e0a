// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel

/// With which share each outcome comes.
public struct OutcomeShares: Sendable, Equatable {
    /// Shares from 0 to 1 that sum to 1; an outcome that is not there does not come.
    public let shares: [CallOutcome: Double]

    /// What is assumed when nothing is known: a survey by phone of numbers that were not called before.
    public static let assumed = OutcomeShares(counted: [
        .noAnswer: 50, .busy: 8, .failed: 7, .answeringMachine: 15, .completed: 12, .refused: 8,
    ])

    /// Learns shares from how many attempts ended how.
    /// - Parameter counts: Attempts by outcome; at least one is above 0, or everything counts as not answered.
    public init(counted counts: [CallOutcome: Int]) {
        let all = counts.values.reduce(0, +)
        self.shares = all > 0 ? counts.mapValues { Double($0) / Double(all) } : [.noAnswer: 1]
    }

    /// Takes shares.
    /// - Parameter shares: By outcome.
    /// - Throws: ``Fault`` when one is not in 0…1 or their sum is not 1 (to a thousandth).
    public init(_ shares: [CallOutcome: Double]) throws(Fault) {
        for (outcome, share) in shares.sorted(by: { $0.key.rawValue < $1.key.rawValue }) where !(0...1 ~= share) {
            throw Fault(reason: "\(outcome.rawValue)=\(share) is not a share from 0 to 1")
        }
        let sum = shares.values.sorted().reduce(0, +)
        guard abs(sum - 1) < 0.001 else {
            throw Fault(reason: "the shares sum to \((sum * 1000).rounded() / 1000) and not to 1")
        }
        self.shares = shares.mapValues { $0 / sum }
    }

    /// Reads `no_answer=0.45,busy=0.1,completed=0.45`.
    /// - Parameter text: Outcomes with their shares; those that are not named do not come.
    /// - Throws: ``Fault`` that says what is wrong.
    public init(_ text: String) throws(Fault) {
        var shares: [CallOutcome: Double] = [:]
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let sides = part.split(separator: "=", omittingEmptySubsequences: false)
            guard sides.count == 2, let share = Double(sides[1]) else {
                throw Fault(reason: "'\(part)' is not an outcome and its share, like busy=0.1")
            }
            guard let outcome = CallOutcome(rawValue: String(sides[0])) else {
                let names = CallOutcome.allCases.map(\.rawValue).joined(separator: ", ")
                throw Fault(reason: "'\(sides[0])' is no outcome; there are \(names)")
            }
            guard shares.updateValue(share, forKey: outcome) == nil else {
                throw Fault(reason: "\(outcome.rawValue) is named twice")
            }
        }
        try self.init(shares)
    }

    /// Why rates cannot be used.
    public struct Fault: Error, Sendable, CustomStringConvertible {
        /// The reason.
        public let reason: String
        /// The reason.
        public var description: String { self.reason }
    }

    /// The outcome that a random number stands for, and its place in `CallOutcome.allCases`.
    struct Table {
        private var bounds: [Double] = []

        init(_ rates: OutcomeShares) {
            var sum = 0.0
            for outcome in CallOutcome.allCases {
                sum += rates.shares[outcome] ?? 0
                self.bounds.append(sum)
            }
            // What rounding leaves over belongs to the last outcome that comes at all.
            let last = CallOutcome.allCases.lastIndex { (rates.shares[$0] ?? 0) > 0 } ?? 0
            for index in last..<self.bounds.count { self.bounds[index] = .infinity }
        }

        func index(_ random: Double) -> Int {
            var index = 0
            while random >= self.bounds[index] { index += 1 }
            return index
        }
    }
}
