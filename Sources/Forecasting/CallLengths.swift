// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel

/// How long calls ring and last in the mean, by outcome. A simulated call takes between half and one and a half times
/// the mean, so that calls that began together do not end together.
public struct CallLengths: Sendable, Equatable {
    /// One outcome's mean seconds.
    public struct Length: Sendable, Equatable {
        /// From the placement to the answer, or to the end.
        public var ring: Double
        /// From the answer to the end.
        public var talk: Double

        /// Creates a length.
        /// - Parameters:
        ///   - ring: Seconds, from 0.
        ///   - talk: Seconds, from 0.
        public init(ring: Double, talk: Double = 0) {
            self.ring = ring
            self.talk = talk
        }
    }

    /// By outcome; what is missing takes a second.
    public var seconds: [CallOutcome: Length]

    /// Creates lengths.
    /// - Parameter seconds: By outcome.
    public init(_ seconds: [CallOutcome: Length]) {
        self.seconds = seconds
    }

    /// What is assumed when nothing is known: whoever does not answer is rung for the whole time, an interview lasts five
    /// minutes.
    /// - Parameters:
    ///   - ringTimeout: The campaign's, in seconds.
    ///   - longestCall: The campaign's, in seconds.
    /// - Returns: The lengths.
    public static func assumed(ringTimeout: Int, longestCall: Int) -> CallLengths {
        let ring = min(15, Double(ringTimeout))
        func talk(_ seconds: Double) -> Double { min(seconds, Double(longestCall)) }
        return CallLengths([
            .noAnswer: Length(ring: Double(ringTimeout)),
            .busy: Length(ring: 4),
            .failed: Length(ring: 4),
            .answeringMachine: Length(ring: ring, talk: talk(20)),
            .completed: Length(ring: ring, talk: talk(300)),
            .refused: Length(ring: ring, talk: talk(45)),
            .callback: Length(ring: ring, talk: talk(45)),
        ])
    }

    /// The mean of a whole call under these rates, seconds.
    /// - Parameter rates: How calls end.
    /// - Returns: Seconds.
    public func mean(_ rates: OutcomeShares) -> Double {
        CallOutcome.allCases.reduce(0) { $0 + (rates.shares[$1] ?? 0) * self.mean(of: $1) }
    }

    func mean(of outcome: CallOutcome) -> Double {
        max(1, self.seconds[outcome].map { $0.ring + $0.talk } ?? 1)
    }
}
