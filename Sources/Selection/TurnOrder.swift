// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Who was asked when: of those that stand alike, whoever has waited longest comes first, so that all have their turn even
/// if there are more of them than there is ever room for.
struct TurnOrder {
    private var last: [String: Int] = [:]
    private var turn = 0
    /// More than this are not remembered; those that were asked longest ago are forgotten, and come first again.
    private static let limit = 100_000

    /// Notes that somebody was asked.
    mutating func asked(_ name: String) {
        self.turn += 1
        self.last[name] = self.turn
        guard self.last.count > Self.limit else { return }
        let oldest = self.last.values.sorted()[Self.limit / 2]
        self.last = self.last.filter { $0.value >= oldest }
    }

    /// Orders: those never asked first, then by the time of their last turn; otherwise as they came.
    func sorted<Element>(_ elements: [Element], by name: (Element) -> String) -> [Element] {
        elements.enumerated()
            .map { (element: $1, turn: self.last[name($1)] ?? 0, place: $0) }
            .sorted { ($0.turn, $0.place) < ($1.turn, $1.place) }
            .map(\.element)
    }
}
