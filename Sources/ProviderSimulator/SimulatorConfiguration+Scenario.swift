// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A scenario that cannot be used, with everything that is wrong with it.
public struct ScenarioError: Error, Sendable, CustomStringConvertible {
    /// One line per fault; each names the key.
    public let faults: [String]

    /// All faults, a line each.
    public var description: String { self.faults.joined(separator: "\n") }
}

extension SimulatorConfiguration {
    /// Reads a scenario strictly: an unknown key is an error, because a misspelt fault would silently not happen.
    /// - Parameter json: The scenario.
    /// - Returns: The configuration; keys that are absent keep their defaults.
    /// - Throws: ``ScenarioError`` with everything that is wrong.
    public static func scenario(json: [UInt8]) throws -> SimulatorConfiguration {
        guard let object = try? JSONSerialization.jsonObject(with: Data(json)) as? [String: Any] else {
            throw ScenarioError(faults: ["the scenario is not a JSON object"])
        }
        var faults: [String] = []
        let known = CodingKeys.allCases.map(\.rawValue)
        for key in object.keys.sorted() where !known.contains(key) {
            faults.append("\(key): unknown key; known are \(known.joined(separator: ", "))")
        }
        let scripts = object["numbers"] as? [String: [String: Any]] ?? [:]
        let scriptKeys = Script.CodingKeys.allCases.map(\.rawValue)
        for (number, script) in scripts.sorted(by: { $0.key < $1.key }) {
            for key in script.keys.sorted() where !scriptKeys.contains(key) {
                faults.append("numbers.\(number).\(key): unknown key; known are \(scriptKeys.joined(separator: ", "))")
            }
        }
        do {
            let configuration = try JSONDecoder().decode(Self.self, from: Data(json))
            faults += configuration.faultsFound()
            guard faults.isEmpty else { throw ScenarioError(faults: faults) }
            return configuration
        } catch let error as DecodingError {
            throw ScenarioError(faults: faults + [Self.describe(error)])
        }
    }

    /// Everything that is out of range.
    public func faultsFound() -> [String] {
        var faults: [String] = []
        func check(_ holds: Bool, _ fault: String) {
            if !holds { faults.append(fault) }
        }
        check(0...65_535 ~= self.port, "port: must be 0…65535")
        check(
            self.accountSID.wholeMatch(of: /AC[0-9a-fA-F]{32}/) != nil,
            "account_sid: must be AC and 32 hex digits"
        )
        check(!self.authToken.isEmpty, "auth_token: must not be empty")
        for (name, weight) in self.outcomes.sorted(by: { $0.key < $1.key }) {
            check(Outcome(rawValue: name) != nil, "outcomes.\(name): unknown outcome")
            check(weight >= 0 && weight.isFinite, "outcomes.\(name): a weight must be 0 or more")
        }
        check(self.outcomes.values.contains { $0 > 0 }, "outcomes: at least one weight must be above 0")
        for (name, probability) in self.faults.sorted(by: { $0.key < $1.key }) {
            check(Fault(rawValue: name) != nil, "faults.\(name): unknown fault")
            check(0...1 ~= probability, "faults.\(name): a probability must be 0…1")
        }
        for (name, range) in [("ring_seconds", self.ringSeconds), ("talk_seconds", self.talkSeconds)] {
            check(
                range.min >= 0 && range.min <= range.max && range.max <= 86_400,
                "\(name): must be 0 ≤ min ≤ max ≤ 86400"
            )
        }
        check(0...1_000_000 ~= self.callsPerSecond, "calls_per_second: must be 0…1000000")
        check(self.maximumLiveCalls >= 0, "maximum_live_calls: must be 0 or more")
        check(0...3600 ~= self.lateCallbackSeconds, "late_callback_seconds: must be 0…3600")
        check(0...3600 ~= self.slowAnswerSeconds, "slow_answer_seconds: must be 0…3600")
        return faults
    }

    private static func describe(_ error: DecodingError) -> String {
        switch error {
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context),
            .keyNotFound(_, let context):
            "\(context.codingPath.map(\.stringValue).joined(separator: ".")): has the wrong type or value"
        @unknown default: "the scenario cannot be read"
        }
    }
}
