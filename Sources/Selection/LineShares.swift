// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Divides free lines among campaigns so that the lines in use come as near as possible to the campaigns' weights.
///
/// It goes by the lines in use now, not by turns taken: one campaign with millions of contacts and one with ten have the
/// same lines at equal weight, whatever was claimed before, and a campaign that comes late catches up at once.
enum LineShares {
    /// A campaign's part.
    struct Part {
        /// Lines in use.
        var inUse: Int
        /// The proportion, at least 1.
        let weight: Int
    }

    /// Divides.
    /// - Parameters:
    ///   - free: Lines to give away.
    ///   - parts: The campaigns; of those that stand alike the first comes first.
    /// - Returns: How many each gets; together as many as are free.
    static func divide(_ free: Int, among parts: [Part]) -> [Int] {
        var given = [Int](repeating: 0, count: parts.count)
        guard !parts.isEmpty else { return given }
        for _ in 0..<max(0, free) {
            var least = 0
            for index in parts.indices.dropFirst() {
                // (a + x) / w < (b + y) / v, without division.
                let one = (parts[index].inUse + given[index]) * parts[least].weight
                let other = (parts[least].inUse + given[least]) * parts[index].weight
                if one < other { least = index }
            }
            given[least] += 1
        }
        return given
    }
}
