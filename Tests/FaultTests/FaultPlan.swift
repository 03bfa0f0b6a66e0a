// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

@testable import struct ProviderSimulator.SeededGenerator

/// What is done to processes, step by step. The steps hang on the seed alone; how many of them a run comes to hangs on
/// the machine.
struct ProcessPlan: Sequence, IteratorProtocol {
    struct Step: Sendable, Equatable {
        let wait: Duration
        let fault: ProcessFault
        let pause: Duration
        /// Chooses among the processes of the role.
        let pick: UInt64
    }

    private var random: SeededGenerator
    private var deck = Deck(ProcessFault.deck)

    init(seed: UInt64) {
        self.random = SeededGenerator(seed: seed, words: ["processes"])
    }

    mutating func next() -> Step? {
        Step(
            wait: .milliseconds(Int.random(in: 300...1500, using: &self.random)),
            fault: self.deck.deal(using: &self.random),
            pause: .milliseconds(Int.random(in: 0...2000, using: &self.random)),
            pick: self.random.next()
        )
    }
}

/// What is done to servers and wires, step by step.
struct ServerPlan: Sequence, IteratorProtocol {
    struct Step: Sendable, Equatable {
        let wait: Duration
        let fault: ServerFault
        let pause: Duration
        /// In a long run, a wire that is away is so for a minute.
        let isLong: Bool
    }

    private var random: SeededGenerator
    private var deck: Deck<ServerFault>

    init(seed: UInt64, isLong: Bool) {
        self.random = SeededGenerator(seed: seed, words: ["servers"])
        self.deck = Deck(ServerFault.deck(isLong: isLong))
    }

    mutating func next() -> Step? {
        Step(
            wait: .milliseconds(Int.random(in: 300...2000, using: &self.random)),
            fault: self.deck.deal(using: &self.random),
            pause: .milliseconds(Int.random(in: 200...3000, using: &self.random)),
            isLong: Int.random(in: 0..<8, using: &self.random) == 0
        )
    }
}

/// What people and strangers do, step by step.
struct OutsidePlan: Sequence, IteratorProtocol {
    struct Step: Sendable {
        let wait: Duration
        let fault: OutsideFault
        /// For whatever is chosen while it is done.
        let random: SeededGenerator
    }

    private let seed: UInt64
    private var random: SeededGenerator
    private var index = 0
    private var deck = Deck(
        OutsideFault.allCases
            + [OutsideFault.exclude, .changeLimits, .changeLimits, .poison, .duplicateRequest, .replayEvent]
    )

    init(seed: UInt64) {
        self.seed = seed
        self.random = SeededGenerator(seed: seed, words: ["outside"])
    }

    mutating func next() -> Step? {
        self.index += 1
        return Step(
            wait: .milliseconds(Int.random(in: 200...1500, using: &self.random)),
            fault: self.deck.deal(using: &self.random),
            random: SeededGenerator(seed: self.seed, words: ["outside", String(self.index)])
        )
    }
}

/// What is changed about a campaign's limits, step by step.
struct LimitPlan: Sendable, Sequence, IteratorProtocol {
    /// A rule that looks at other calls.
    enum Limit: String, Sendable, CaseIterable {
        case callsAtOnce = "cap"
        case callsPerHour = "rate"
        case completes = "quota"
        case cell = "cell's quota"
    }

    struct Step: Sendable, Equatable {
        let limit: Limit
        /// How far beyond what is used already.
        let more: Int
        /// Whether the other limits stay.
        let keepsOthers: Bool
    }

    private var random: SeededGenerator
    private var deck = Deck(Limit.allCases)

    init(seed: UInt64) {
        self.random = SeededGenerator(seed: seed, words: ["limits"])
    }

    mutating func next() -> Step? {
        Step(
            limit: self.deck.deal(using: &self.random),
            more: Int.random(in: 1...4, using: &self.random),
            keepsOthers: Int.random(in: 0..<3, using: &self.random) == 0
        )
    }
}
