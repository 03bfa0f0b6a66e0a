// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Postgres

/// Whose fault a failed statement is: that of one thing among many, or the server's, with which all fail alike.
///
/// https://www.postgresql.org/docs/15/errcodes-appendix.html
extension PostgresError {
    /// Whether the values of one campaign, contact or request may be the reason, so that the same statement may succeed for
    /// the others: not when the server is away, full, locked, read-only, or lacks a table or a right.
    var mayConcernOneOnly: Bool {
        guard self.code == .server, let sqlState = self.sqlState else { return false }
        return !Self.statesOfTheServer.contains(String(sqlState.prefix(2)))
    }

    /// Whether it is certain that the values are wrong: trying again changes nothing.
    var isOfItsValues: Bool {
        guard self.code == .server, let sqlState = self.sqlState else { return false }
        return sqlState.hasPrefix("22") || sqlState.hasPrefix("23")
    }

    /// Whether it took too long, waited too long for a lock, or was chosen to end a deadlock: others may hold other locks.
    var isOfItsLocks: Bool {
        ["57014", "55P03", "40001", "40P01"].contains(self.sqlState)
    }

    /// Connection, transaction state, authorization, catalog, rollback, syntax and rights, resources, object state, operator
    /// intervention, system.
    private static let statesOfTheServer: Set<String> = [
        "08", "25", "26", "28", "34", "3B", "3D", "3F", "40", "42", "53", "55", "57", "58", "F0",
    ]
}

extension CallStore {
    /// Does something for many, and if it fails because of one of them, for halves and halves again until those at fault
    /// stand alone. What was done for some is told, whatever happens to the others after that.
    /// - Parameters:
    ///   - items: The many.
    ///   - body: Does it in one statement.
    /// - Returns: What was done, and those for whom it was not.
    /// - Throws: What `body` throws for all, when that cannot be one item's fault.
    static func isolating<Item: Sendable, Output: Sendable>(
        _ items: [Item],
        _ body: ([Item]) async throws -> Output
    ) async throws -> (done: [Output], failed: [(item: Item, error: any Error)]) {
        do {
            return ([try await body(items)], [])
        } catch let error as PostgresError where error.mayConcernOneOnly {
            guard items.count > 1 else { return ([], items.map { ($0, error) }) }
        }
        var done: [Output] = []
        var failed: [(item: Item, error: any Error)] = []
        for half in [items[..<(items.count / 2)], items[(items.count / 2)...]] {
            do {
                let part = try await Self.isolating(Array(half), body)
                done += part.done
                failed += part.failed
            } catch {
                failed += half.map { ($0, error) }
            }
        }
        return (done, failed)
    }
}
