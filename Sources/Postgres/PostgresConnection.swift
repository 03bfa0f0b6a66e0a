// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CLibPQ
import NIOConcurrencyHelpers

/// A connection of one's own, inside ``PostgresClient/withConnection(_:)`` and its like only.
public final class PostgresConnection: Sendable {
    private let worker: ConnectionWorker
    private let pool: ConnectionPool
    private let timeout: Duration?
    private let isOver = NIOLockedValueBox(false)

    init(worker: ConnectionWorker, pool: ConnectionPool, timeout: Duration?) {
        self.worker = worker
        self.pool = pool
        self.timeout = timeout
    }

    func end() { self.isOver.withLockedValue { $0 = true } }

    /// Runs one statement.
    /// - Parameters:
    ///   - statement: The statement.
    ///   - parameters: Its parameters.
    /// - Returns: Rows and counts.
    /// - Throws: ``PostgresError``.
    @discardableResult
    public func execute(
        _ statement: PostgresStatement,
        _ parameters: [any PostgresEncodable] = []
    ) async throws(PostgresError) -> PostgresResult {
        let results = try await self.run([try BoundStatement(statement, parameters)])
        guard let result = results.first else { throw PostgresError(.unsupported, "the statement gave no result") }
        return result
    }

    /// Sends statements in one go: one round trip and, outside a transaction, one implicit transaction.
    /// - Parameter items: Statements with their parameters.
    /// - Returns: Results in the same order.
    /// - Throws: ``PostgresError`` of the first statement that failed; those after it did not run.
    public func pipeline(
        _ items: [(PostgresStatement, [any PostgresEncodable])]
    ) async throws(PostgresError) -> [PostgresResult] {
        var bound: [BoundStatement] = []
        for (statement, parameters) in items { bound.append(try BoundStatement(statement, parameters)) }
        guard !bound.isEmpty else { return [] }
        return try await self.run(bound)
    }

    /// Runs a script of several statements without parameters.
    /// - Parameter sql: The script.
    /// - Throws: ``PostgresError``.
    public func executeScript(_ sql: String) async throws(PostgresError) {
        try await self.perform { session throws(PostgresError) in try session.runScript(sql) }
    }

    /// Runs `COPY … FROM STDIN`.
    /// - Parameters:
    ///   - sql: The statement.
    ///   - body: Writes the data; when it throws, nothing is copied.
    /// - Returns: Rows copied.
    /// - Throws: ``PostgresError``, and what `body` throws.
    public func copyIn(_ sql: String, _ body: (PostgresCopyWriter) async throws -> Void) async throws -> Int {
        try await self.perform { session throws(PostgresError) in try session.beginCopy(sql, PGRES_COPY_IN) }
        let writer = PostgresCopyWriter { [weak self] bytes throws(PostgresError) in
            guard let self else { throw PostgresError(.closed, "the COPY has ended") }
            try await self.perform { session throws(PostgresError) in try session.putCopy(bytes) }
        }
        do {
            try await body(writer)
            try await writer.finish()
        } catch {
            writer.end()
            _ = try? await self.perform(shielded: true) { session throws(PostgresError) in
                try session.endCopyIn(failure: "given up by the client")
            }
            throw error
        }
        return try await self.perform { session throws(PostgresError) in try session.endCopyIn(failure: nil) }
    }

    /// Runs `COPY … TO STDOUT`.
    /// - Parameters:
    ///   - sql: The statement.
    ///   - body: Gets the data piece by piece, whole rows each.
    /// - Throws: ``PostgresError``, and what `body` throws; the connection is given up then.
    public func copyOut(_ sql: String, _ body: ([UInt8]) async throws -> Void) async throws {
        try await self.perform { session throws(PostgresError) in try session.beginCopy(sql, PGRES_COPY_OUT) }
        do {
            while let chunk = try await self.perform({ session throws(PostgresError) in try session.getCopy() }) {
                try await body(chunk)
            }
        } catch {
            // The rest of the data is still on its way.
            if (error as? PostgresError)?.code != .server {
                _ = try? await self.perform(shielded: true) { session throws(PostgresError) in session.abandon() }
            }
            throw error
        }
    }

    func run(_ items: [BoundStatement], shielded: Bool = false) async throws(PostgresError) -> [PostgresResult] {
        let results = try await self.perform(shielded: shielded) { session throws(PostgresError) in
            try session.run(items)
        }
        self.pool.countExecuted(items.count)
        return results
    }

    func retire() { self.worker.retire() }

    private func perform<T: Sendable>(
        shielded: Bool = false,
        _ work: @escaping @Sendable (Session) throws(PostgresError) -> T
    ) async throws(PostgresError) -> T {
        guard !self.isOver.withLockedValue({ $0 }) else {
            throw PostgresError(.closed, "the connection was used outside its scope")
        }
        if !shielded, Task.isCancelled { throw PostgresError(.cancelled, "cancelled before it was sent") }
        // The server's own statement_timeout comes first, unless the server is frozen.
        let timeout = self.timeout.map { $0 + .seconds(5) } ?? (shielded ? .seconds(30) : nil)
        return try await self.worker.perform(timeout: timeout, shielded: shielded, work)
    }
}
