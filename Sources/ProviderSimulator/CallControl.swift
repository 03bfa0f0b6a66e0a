// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// What calls wait for when a test says so, rather than for time to pass: a gate before the answer and one before the end.
///
/// A gate is open unless it is held. Calls whose time has come wait at a held gate until they are let through, in the order
/// in which they came: some of them, those to one number, or all when it is released. Only the control endpoint holds gates.
struct CallControl {
    /// Where calls can be held.
    enum Gate: String, CaseIterable {
        case answer
        case end
    }

    private struct State {
        var isHeld = false
        /// How many more calls may go through while it is held.
        var permits = 0
        var waiting: [String] = []
    }

    private var gates: [Gate: State] = [:]

    /// Whether a call that has come to a gate goes on at once; else it waits there.
    mutating func passes(_ sid: String, _ gate: Gate) -> Bool {
        guard var state = self.gates[gate], state.isHeld else { return true }
        defer { self.gates[gate] = state }
        guard state.permits == 0 else {
            state.permits -= 1
            return true
        }
        state.waiting.append(sid)
        return false
    }

    /// Holds a gate: whoever comes waits.
    mutating func hold(_ gate: Gate) { self.gates[gate, default: State()].isHeld = true }

    /// Opens a gate.
    /// - Returns: The calls that have waited there.
    mutating func release(_ gate: Gate) -> [String] { self.gates.removeValue(forKey: gate)?.waiting ?? [] }

    /// Lets calls through, those that wait already and, for want of such, the next to come.
    /// - Returns: The calls that have waited.
    mutating func letThrough(_ count: Int, _ gate: Gate) -> [String] {
        guard var state = self.gates[gate], state.isHeld else { return [] }
        let first = Array(state.waiting.prefix(count))
        state.waiting.removeFirst(first.count)
        state.permits += count - first.count
        self.gates[gate] = state
        return first
    }

    /// Lets those of the given calls through that wait.
    mutating func letThrough(_ sids: Set<String>, _ gate: Gate) -> [String] {
        guard let waiting = self.gates[gate]?.waiting else { return [] }
        self.gates[gate]?.waiting = waiting.filter { !sids.contains($0) }
        return waiting.filter(sids.contains)
    }

    /// Forgets a call that is over.
    mutating func forget(_ sid: String) {
        for gate in self.gates.keys { self.gates[gate]?.waiting.removeAll { $0 == sid } }
    }

    /// How many calls wait at each gate.
    var waiting: [String: Int] {
        Dictionary(uniqueKeysWithValues: Gate.allCases.map { ($0.rawValue, self.gates[$0]?.waiting.count ?? 0) })
    }
}
