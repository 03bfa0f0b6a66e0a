// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// What was waited for did not come.
public struct NotInTime: Error, CustomStringConvertible {
    /// What was waited for.
    public let description: String
}

/// Waits for a condition, in small steps: never longer than needed, and for good only while something moves.
///
/// Patience is counted in looks rather than in seconds: on a machine that is busy, or stands still for a while, each look
/// takes longer, and with it the patience.
/// - Parameters:
///   - what: What is waited for; told when it does not come.
///   - patience: How long nothing may move, on an idle machine.
///   - progress: A value that changes as long as the work goes on; the patience starts anew with each change.
///   - condition: The condition.
/// - Throws: ``NotInTime``, and what the condition and the progress throw.
public func eventually<Progress: Equatable>(
    _ what: String,
    within patience: Duration = .seconds(120),
    progress: () async throws -> Progress,
    _ condition: () async throws -> Bool
) async throws {
    let pause = Duration.milliseconds(20)
    var looks = 0
    var last: Progress?
    while pause * looks < patience {
        if try await condition() { return }
        // Not at every look: to ask costs the servers as much as the condition does.
        if looks.isMultiple(of: 10) {
            let now = try await progress()
            if now != last { looks = 0 }
            last = now
        }
        looks += 1
        try await Task.sleep(for: pause)
    }
    let standing = last is OneThing? ? "" : " from \(last.map { "\($0)" } ?? "the start")"
    throw NotInTime(description: "nothing has moved\(standing) for \(patience): \(what)")
}

/// Waits for a value to become what is wanted, as long as it changes.
/// - Parameters:
///   - what: What is waited for; told when it does not come.
///   - patience: How long the value may stand still, on an idle machine.
///   - value: The value, such as a count.
///   - isWanted: Whether it is what is wanted.
/// - Throws: ``NotInTime``, and what the value throws.
public func eventually<Value: Equatable>(
    _ what: String,
    within patience: Duration = .seconds(120),
    of value: () async throws -> Value,
    _ isWanted: (Value) -> Bool
) async throws {
    var latest = try await value()
    try await eventually(what, within: patience, progress: { latest }) {
        latest = try await value()
        return isWanted(latest)
    }
}

/// Waits for one thing, which is not there or there.
/// - Parameters:
///   - what: What is waited for; told when it does not come.
///   - patience: How long, on an idle machine.
///   - condition: The condition.
/// - Throws: ``NotInTime``, and what the condition throws.
public func eventually(
    _ what: String,
    within patience: Duration = .seconds(120),
    _ condition: () async throws -> Bool
) async throws {
    try await eventually(what, within: patience, progress: { OneThing() }, condition)
}

private struct OneThing: Equatable {}
