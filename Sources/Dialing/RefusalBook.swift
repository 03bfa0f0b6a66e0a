// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Tells a number that the provider does not call from a fault that concerns every call of a campaign: the same refusal for
/// several different numbers, none of which was taken in between.
///
/// A pure state machine. What it knows of a process that ends is lost, and learned anew.
struct RefusalBook: Sendable {
    /// By campaign and the provider's code: whose numbers were refused since a call was last taken.
    private var refused: [UUID: [String: Set<UUID>]] = [:]
    /// Campaigns of which a call was taken: their requests are not at fault altogether.
    private var proven: Set<UUID> = []

    /// So many different numbers tell of a fault when no call of the campaign was ever taken.
    static let fewNumbers = 3
    /// So many one after the other do when calls were taken before.
    static let manyNumbers = 10

    /// The provider took a call.
    mutating func accepted(campaign: UUID) {
        self.refused[campaign] = nil
        self.proven.insert(campaign)
    }

    /// The provider refused a number.
    /// - Returns: How many different numbers it has refused so, if that is enough to stop; the count begins anew then.
    mutating func refused(campaign: UUID, code: String, contact: UUID) -> Int? {
        self.refused[campaign, default: [:]][code, default: []].insert(contact)
        let count = self.refused[campaign]?[code]?.count ?? 0
        guard count >= (self.proven.contains(campaign) ? Self.manyNumbers : Self.fewNumbers) else { return nil }
        self.refused[campaign] = nil
        self.proven.remove(campaign)
        return count
    }
}
