// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// What a migration under way has to say; its description is a line for a terminal.
public enum MigrationEvent: Sendable, Equatable, CustomStringConvertible {
    /// Another process migrates; who that is.
    case waitsForAnother(holder: String, since: Duration)
    /// A step begins, or goes on where it was interrupted.
    case begins(String)
    /// A step takes its time; whom it waits for, if it does.
    case works(String, since: Duration, waitsFor: String)
    /// A table's rows that are done, of about so many.
    case batches(String, rows: Int, estimate: Int, since: Duration)
    /// A lock was not to be had in time. It was given up, so that nobody waits behind it, and is asked for again.
    case triesAgain(String, holder: String, tries: Int, pause: Duration)
    /// A migration is complete.
    case applied(CallStore.AppliedMigration, took: Duration)

    /// One line.
    public var description: String {
        switch self {
        case .waitsForAnother(let holder, let since):
            "another migration is under way\(Self.by(holder)): waiting for its end, \(Self.text(since)) so far"
        case .begins(let step): "\(step) …"
        case .works(let step, let since, let holder):
            holder.isEmpty
                ? "\(step): at work for \(Self.text(since))"
                : "\(step): waits for a lock\(Self.by(holder)), \(Self.text(since)) so far"
        case .batches(let step, let rows, let estimate, let since):
            "\(step): \(rows) of about \(max(rows, estimate)) rows, \(Self.text(since)) so far"
        case .triesAgain(let step, let holder, let tries, let pause):
            "\(step): no lock for the \(Self.ordinal(tries)) time\(Self.by(holder)); tries again in \(Self.text(pause))"
        case .applied(let migration, let took):
            "applied \(migration.number) \(migration.name) in \(Self.text(took))"
        }
    }

    private static func by(_ holder: String) -> String { holder.isEmpty ? "" : " (\(holder))" }

    private static func ordinal(_ number: Int) -> String {
        let isTeen = (11...13).contains(number % 100)
        switch number % 10 {
        case 1 where !isTeen: return "\(number)st"
        case 2 where !isTeen: return "\(number)nd"
        case 3 where !isTeen: return "\(number)rd"
        default: return "\(number)th"
        }
    }

    private static func text(_ duration: Duration) -> String {
        let seconds = duration / .seconds(1)
        if seconds < 9.95 { return "\((seconds * 10).rounded() / 10) s" }
        let whole = Int(seconds.rounded())
        return whole < 120 ? "\(whole) s" : "\(whole / 60) min \(whole % 60) s"
    }
}
