// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// What a statement of PostgreSQL could see: a `pg_snapshot`, as in `10:20:10,14,15`.
struct Snapshot: Sendable, Equatable {
    private let firstOpen: UInt64
    private let firstUnborn: UInt64
    private let open: Set<UInt64>

    /// - Parameter text: The server's text; nil when it is none.
    init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, let firstOpen = UInt64(parts[0]), let firstUnborn = UInt64(parts[1]) else { return nil }
        let open = parts[2].split(separator: ",").map { UInt64($0) }
        guard !open.contains(nil) else { return nil }
        self.firstOpen = firstOpen
        self.firstUnborn = firstUnborn
        self.open = Set(open.compactMap(\.self))
    }

    /// Whether a transaction that has committed had done so for this statement.
    func sees(_ transaction: UInt64) -> Bool {
        transaction < self.firstOpen || transaction < self.firstUnborn && !self.open.contains(transaction)
    }
}
