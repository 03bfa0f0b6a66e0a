// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// What contacts share whose windows open and close together.
struct Place: Hashable, Comparable {
    let zones: [String]
    let blockedDates: [String]

    init(_ group: ForecastPlan.Group) {
        self.zones = group.zones.sorted()
        self.blockedDates = group.blockedDates.sorted()
    }

    /// By name, so that the same plan gives the same forecast.
    static func < (one: Place, other: Place) -> Bool {
        (one.zones.joined(), one.blockedDates.joined()) < (other.zones.joined(), other.blockedDates.joined())
    }
}
