// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// What will happen to one request and its call. Drawn from the seed, the number and how often the number was asked
/// for, so that a repeated run meets the same fates in whatever order the requests arrive.
struct Fate: Sendable, Equatable {
    var outcome: SimulatorConfiguration.Outcome
    var fault: SimulatorConfiguration.Fault?
    /// Which request for its number it is, from 0.
    let request: Int
    var ringSeconds: Double
    var talkSeconds: Double

    init(configuration: SimulatorConfiguration, number: String, request: Int) {
        var random = SeededGenerator(seed: configuration.seed, words: [number, String(request)])
        let script = configuration.numbers[number]
        let drawn = Self.draw(from: configuration.outcomes, using: &random)
        if let outcomes = script?.outcomes, let last = outcomes.last {
            self.outcome = request < outcomes.count ? outcomes[request] : last
        } else {
            self.outcome = drawn
        }
        self.request = request
        let ring = Double.random(in: configuration.ringSeconds.min...configuration.ringSeconds.max, using: &random)
        let talk = Double.random(in: configuration.talkSeconds.min...configuration.talkSeconds.max, using: &random)
        self.ringSeconds = script?.ringSeconds ?? ring
        self.talkSeconds = script?.talkSeconds ?? talk
        if let faults = script?.faults {
            self.fault = request < faults.count ? faults[request] : nil
        } else {
            self.fault = Self.requestFaults.first { fault in
                Double.random(in: 0..<1, using: &random) < configuration.faults[fault.rawValue] ?? 0
            }
        }
    }

    /// The faults of requests, as opposed to those of callbacks.
    static let requestFaults: [SimulatorConfiguration.Fault] = [
        .apiDown, .refuse429, .refuse400, .serverErrorBefore, .serverErrorAfter, .hangAfter, .resetAfter, .slowAnswer,
    ]

    private static func draw(
        from weights: [String: Double],
        using random: inout SeededGenerator
    ) -> SimulatorConfiguration.Outcome {
        let candidates = SimulatorConfiguration.Outcome.allCases.map { ($0, weights[$0.rawValue] ?? 0) }
        var point = Double.random(in: 0..<1, using: &random) * candidates.reduce(0) { $0 + $1.1 }
        for (outcome, weight) in candidates {
            point -= weight
            if point < 0 { return outcome }
        }
        return .completed
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014), seeded from a number and words by FNV-1a.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64, words: [String]) {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325 ^ seed
        for byte in words.joined(separator: "|").utf8 {
            hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
        }
        self.state = hash
    }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var value = self.state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
