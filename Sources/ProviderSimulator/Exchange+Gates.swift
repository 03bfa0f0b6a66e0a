// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Gates at which calls wait until whoever rehearses lets them through.
extension Exchange {
    func hold(_ gate: CallControl.Gate) { self.control.hold(gate) }

    func release(_ gate: CallControl.Gate) { self.goOn(self.control.release(gate), gate) }
    func letThrough(_ count: Int, _ gate: CallControl.Gate) { self.goOn(self.control.letThrough(count, gate), gate) }

    func letThrough(to number: String, _ gate: CallControl.Gate) {
        let calls = self.calls.values.filter { self.ledger[$0.index].to == number }
        self.goOn(self.control.letThrough(Set(calls.map(\.sid)), gate), gate)
    }

    /// How many calls wait at each gate. One that was hung up meanwhile does not count.
    var waiting: [String: Int] { self.control.waiting }

    private func goOn(_ sids: [String], _ gate: CallControl.Gate) {
        for call in sids.compactMap({ self.calls[$0] }) {
            switch gate {
            case .answer: self.answer(call)
            case .end: if let ending = call.ending { self.end(call, status: ending.status, sip: ending.sip) }
            }
        }
    }
}
