// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Logging
public import Postgres

/// Every question that the product asks of its database. The only module that knows tables.
///
/// All times come from the database's clock. Every change of a claim or an attempt is guarded by its `call_id`, so
/// that repeating it changes nothing.
public struct CallStore: Sendable {
    let client: PostgresClient
    let logger: Logger

    /// Creates a store.
    /// - Parameters:
    ///   - client: Where the statements run.
    ///   - logger: For what an operator should know, e.g. a migration that was applied.
    public init(client: PostgresClient, logger: Logger) {
        self.client = client
        self.logger = logger
    }

    /// Checks that the database answers.
    /// - Throws: `PostgresError` when it does not.
    public func ping() async throws {
        try await self.client.execute(PostgresStatement(name: "ping", "select 1"))
    }

    private static let deadlocksBorne = 10

    /// Runs a transaction, and again when the server has ended it for a deadlock: roles at work hold rows and tables in
    /// orders of their own.
    func bearingDeadlocks<Result: Sendable>(_ transaction: () async throws -> Result) async throws -> Result {
        for _ in 1..<Self.deadlocksBorne {
            do {
                return try await transaction()
            } catch let error as PostgresError where error.sqlState == "40P01" {
                self.logger.notice("A transaction met roles at work and starts again")
            }
        }
        return try await transaction()
    }
}
