// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// How the simulated provider behaves. Also the format of a scenario file: JSON with these keys in snake case.
public struct SimulatorConfiguration: Sendable, Codable, Equatable {
    /// A range of seconds.
    public struct Seconds: Sendable, Codable, Equatable {
        /// The shortest.
        public var min: Double
        /// The longest.
        public var max: Double

        /// Creates a range.
        public init(min: Double, max: Double) {
            self.min = min
            self.max = max
        }
    }

    /// What becomes of a call that is placed.
    public enum Outcome: String, Sendable, Codable, CaseIterable {
        /// A person answers, and the call ends after the talk time.
        case completed
        /// Nobody answers within the ring time.
        case noAnswer = "no_answer"
        /// The line is busy.
        case busy
        /// The call cannot be completed.
        case failed
        /// A machine answers.
        case machine
        /// The number does not exist: `failed` with SIP 404.
        case invalidNumber = "invalid_number"
    }

    /// What goes wrong.
    public enum Fault: String, Sendable, Codable, CaseIterable {
        /// Answer 429; nothing is placed.
        case refuse429 = "refuse_429"
        /// Answer 400 with code 21211; nothing is placed.
        case refuse400 = "refuse_400"
        /// Answer 500; nothing is placed.
        case serverErrorBefore = "server_error_before"
        /// Place the call, then answer 500.
        case serverErrorAfter = "server_error_after"
        /// Place the call, never answer the request.
        case hangAfter = "hang_after"
        /// Place the call, break the connection off in the answer.
        case resetAfter = "reset_after"
        /// Break the connection off; nothing is placed.
        case apiDown = "api_down"
        /// Answer late, by `slow_answer_seconds`.
        case slowAnswer = "slow_answer"
        /// A callback is never sent.
        case callbackLost = "callback_lost"
        /// A callback is sent twice.
        case callbackDuplicated = "callback_duplicated"
        /// A callback is overtaken by later ones.
        case callbackReordered = "callback_reordered"
        /// A callback comes late, by `late_callback_seconds`.
        case callbackLate = "callback_late"
    }

    /// A script for one number.
    public struct Script: Sendable, Codable, Equatable {
        /// The outcome of its calls, in order; the last one repeats.
        public var outcomes: [Outcome]?
        /// What goes wrong with its requests, in order; null for nothing; afterwards nothing does.
        public var faults: [Fault?]?
        /// The ring time.
        public var ringSeconds: Double?
        /// The talk time.
        public var talkSeconds: Double?

        /// Creates a script.
        public init(
            outcomes: [Outcome]? = nil,
            faults: [Fault?]? = nil,
            ringSeconds: Double? = nil,
            talkSeconds: Double? = nil
        ) {
            self.outcomes = outcomes
            self.faults = faults
            self.ringSeconds = ringSeconds
            self.talkSeconds = talkSeconds
        }

        enum CodingKeys: String, CodingKey, CaseIterable {
            case outcomes
            case faults
            case ringSeconds = "ring_seconds"
            case talkSeconds = "talk_seconds"
        }
    }

    /// Where to listen.
    public var host = "127.0.0.1"
    /// The port; 0 takes any.
    public var port = 0
    /// The account that requests must name.
    public var accountSID = "AC" + String(repeating: "0", count: 32)
    /// The account's secret, which also signs callbacks.
    public var authToken = "simulator-token"
    /// Makes a run repeatable: the same numbers meet the same fates.
    public var seed: UInt64 = 1
    /// Weights of the outcomes.
    public var outcomes: [String: Double] = ["completed": 40, "no_answer": 30, "busy": 15, "failed": 5, "machine": 10]
    /// How long phones ring before somebody answers; a call that nobody answers rings until its time-out or the longest.
    public var ringSeconds = Seconds(min: 1, max: 15)
    /// How long calls last after the answer.
    public var talkSeconds = Seconds(min: 5, max: 60)
    /// Calls started per second; calls beyond it wait in the provider's queue. 0 for no limit.
    public var callsPerSecond: Double = 0
    /// More live calls than this are refused with 429 and code 10004; 0 for no limit.
    public var maximumLiveCalls = 0
    /// Probabilities of the faults, 0 to 1.
    public var faults: [String: Double] = [:]
    /// How late a late callback is.
    public var lateCallbackSeconds: Double = 5
    /// How late a slow answer is.
    public var slowAnswerSeconds: Double = 2
    /// Scripts by number.
    public var numbers: [String: Script] = [:]
    /// Where the ledger is written as JSON lines.
    public var ledgerFile: String?
    /// The token that requests to the control endpoint must bear; without one there is no such endpoint.
    public var controlToken: String?

    /// Creates a configuration with the defaults.
    public init() {}

    enum CodingKeys: String, CodingKey, CaseIterable {
        case host
        case port
        case accountSID = "account_sid"
        case authToken = "auth_token"
        case seed
        case outcomes
        case ringSeconds = "ring_seconds"
        case talkSeconds = "talk_seconds"
        case callsPerSecond = "calls_per_second"
        case maximumLiveCalls = "maximum_live_calls"
        case faults
        case lateCallbackSeconds = "late_callback_seconds"
        case slowAnswerSeconds = "slow_answer_seconds"
        case numbers
        case ledgerFile = "ledger_file"
    }

    /// Reads a scenario; keys that are absent keep their defaults.
    public init(from decoder: any Decoder) throws {
        self.init()
        let container = try decoder.container(keyedBy: CodingKeys.self)
        func read<Value: Decodable>(_ key: CodingKeys, into value: inout Value) throws {
            if let given = try container.decodeIfPresent(Value.self, forKey: key) { value = given }
        }
        try read(.host, into: &self.host)
        try read(.port, into: &self.port)
        try read(.accountSID, into: &self.accountSID)
        try read(.authToken, into: &self.authToken)
        try read(.seed, into: &self.seed)
        try read(.outcomes, into: &self.outcomes)
        try read(.ringSeconds, into: &self.ringSeconds)
        try read(.talkSeconds, into: &self.talkSeconds)
        try read(.callsPerSecond, into: &self.callsPerSecond)
        try read(.maximumLiveCalls, into: &self.maximumLiveCalls)
        try read(.faults, into: &self.faults)
        try read(.lateCallbackSeconds, into: &self.lateCallbackSeconds)
        try read(.slowAnswerSeconds, into: &self.slowAnswerSeconds)
        try read(.numbers, into: &self.numbers)
        self.ledgerFile = try container.decodeIfPresent(String.self, forKey: .ledgerFile)
    }
}
