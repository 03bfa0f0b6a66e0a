// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// What was waited for did not come.
public struct NotInTime: Error, CustomStringConvertible {
    /// What was waited for.
    public let description: String
}

/// Waits for a condition, in small steps and within a bound: never longer than needed, never for good.
/// - Parameters:
///   - what: What is waited for; told when it does not come.
///   - limit: The bound.
///   - condition: The condition.
/// - Throws: ``NotInTime``, and what the condition throws.
public func eventually(
    _ what: String,
    within limit: Duration = .seconds(60),
    _ condition: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + limit
    while ContinuousClock.now < end {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(20))
    }
    throw NotInTime(description: "not within \(limit): \(what)")
}
