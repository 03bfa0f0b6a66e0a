// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Logging

/// A pool of connections to one database.
///
/// Connections open when they are needed and stay open. A statement belongs to one connection at a time, so that
/// cancelling a caller never touches another's work.
public final class PostgresClient: Sendable {
    private let configuration: PostgresConfiguration
    private let pool: ConnectionPool

    /// Creates a client; nothing is connected yet.
    /// - Parameters:
    ///   - configuration: Where the server is.
    ///   - logger: For background work, at debug level.
    public init(configuration: PostgresConfiguration, logger: Logger) {
        self.configuration = configuration
        self.pool = ConnectionPool(configuration: configuration, logger: logger)
    }

    deinit { self.pool.close() }

    /// Waits for cancellation, then closes everything. The client works without it.
    public func run() async {
        let (stream, continuation) = AsyncStream.makeStream(of: Never.self)
        await withTaskCancellationHandler {
            for await _ in stream {}
        } onCancel: {
            continuation.finish()
        }
        await self.close()
    }

    /// Closes all connections; work in flight and later work gets `.closed`. Idempotent.
    public func close() async { self.pool.close() }

    /// The client in figures.
    public var statistics: PostgresStatistics { self.pool.statistics }

    /// Runs one statement on any connection, committing by itself.
    /// - Parameters:
    ///   - statement: The statement.
    ///   - parameters: Its parameters.
    /// - Returns: Rows and counts.
    /// - Throws: ``PostgresError``; with `connectionLost` it is not known whether the statement took effect.
    @discardableResult
    public func execute(
        _ statement: PostgresStatement,
        _ parameters: [any PostgresEncodable] = []
    ) async throws(PostgresError) -> PostgresResult {
        let bound = [try BoundStatement(statement, parameters)]
        while true {
            let (connection, worker) = try await self.acquire()
            do throws(PostgresError) {
                let results = try await connection.run(bound)
                self.release(connection, worker)
                guard let result = results.first else {
                    throw PostgresError(.unsupported, "the statement gave no result")
                }
                return result
            } catch {
                self.release(connection, worker)
                // An idle connection had died unnoticed; nothing was sent on it.
                guard error.neverSent else { throw error }
            }
        }
    }

    /// Lends a connection.
    /// - Parameter body: Uses it; a transaction left open is rolled back by closing the connection.
    /// - Returns: What `body` returns.
    /// - Throws: ``PostgresError``, and what `body` throws.
    @discardableResult
    public func withConnection<R: Sendable>(_ body: (PostgresConnection) async throws -> R) async throws -> R {
        let (connection, worker) = try await self.acquire()
        do {
            let result = try await body(connection)
            await self.releaseChecked(connection, worker)
            return result
        } catch {
            await self.releaseChecked(connection, worker)
            throw error
        }
    }

    /// Lends a connection for work that takes the time that it takes: without any of the server's or the client's time-outs
    /// for statements and locks. It is closed afterwards, with all that was set on it.
    /// - Parameter body: Uses it.
    /// - Returns: What `body` returns.
    /// - Throws: ``PostgresError``, and what `body` throws.
    @discardableResult
    public func withPatientConnection<R: Sendable>(_ body: (PostgresConnection) async throws -> R) async throws -> R {
        let worker = try await self.pool.acquire()
        let connection = PostgresConnection(worker: worker, pool: self.pool, timeout: nil)
        worker.retire()
        defer { self.release(connection, worker) }
        _ = try await connection.run([try BoundStatement(Self.patience, [])])
        return try await body(connection)
    }

    /// Not every server has all of them. That the client is gone is to be noticed soon, for it may hold locks.
    private static let patience = PostgresStatement(
        """
        select set_config(name, case name when 'client_connection_check_interval' then '1s' else '0' end, false)
        from pg_settings
        where name in (
            'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout',
            'transaction_timeout', 'client_connection_check_interval')
        """,
        prepared: false
    )

    /// Runs a transaction: committed when `body` returns, rolled back when it throws or the task is cancelled.
    /// - Parameters:
    ///   - isolation: The isolation level.
    ///   - body: The work; on the given connection only.
    /// - Returns: What `body` returns.
    /// - Throws: ``PostgresError``, with `commitUnknown` when no answer to `COMMIT` came; and what `body` throws.
    @discardableResult
    public func withTransaction<R: Sendable>(
        isolation: PostgresIsolation = .readCommitted,
        _ body: (PostgresConnection) async throws -> R
    ) async throws -> R {
        let (connection, worker) = try await self.begin(isolation)
        defer { self.release(connection, worker) }
        let result: R
        do {
            result = try await body(connection)
            guard !Task.isCancelled else { throw PostgresError(.cancelled, "cancelled before the commit") }
        } catch {
            await self.rollback(connection)
            throw error
        }
        try await self.commit(connection)
        return result
    }

    private func begin(_ isolation: PostgresIsolation) async throws -> (PostgresConnection, ConnectionWorker) {
        let begin = [try BoundStatement(isolation.begin, [])]
        while true {
            let (connection, worker) = try await self.acquire()
            do {
                _ = try await connection.run(begin)
                return (connection, worker)
            } catch {
                if error.code != .server { connection.retire() }
                self.release(connection, worker)
                guard error.neverSent else { throw error }
            }
        }
    }

    private func rollback(_ connection: PostgresConnection) async {
        do {
            let statement = PostgresStatement("rollback", prepared: false)
            _ = try await connection.run([try BoundStatement(statement, [])], shielded: true)
        } catch {
            // Closing the connection rolls back as well.
            connection.retire()
        }
    }

    private func commit(_ connection: PostgresConnection) async throws(PostgresError) {
        let statement = PostgresStatement("commit", prepared: false)
        let results: [PostgresResult]
        do throws(PostgresError) {
            results = try await connection.run([try BoundStatement(statement, [])], shielded: true)
        } catch {
            // The server has answered, and rolled back: nothing is wrong with the connection.
            guard error.code != .server else { throw error }
            connection.retire()
            guard !error.neverSent else { throw error }
            throw PostgresError(.commitUnknown, "no answer to COMMIT: \(error.message)")
        }
        // The server answers COMMIT of a failed transaction with ROLLBACK, and no error.
        guard results.first?.commandTag == "COMMIT" else {
            throw PostgresError(
                .server,
                "the transaction was rolled back because a statement in it had failed",
                sqlState: "25P02"
            )
        }
    }

    private func acquire() async throws(PostgresError) -> (PostgresConnection, ConnectionWorker) {
        let worker = try await self.pool.acquire()
        let timeout = self.configuration.statementTimeout
        return (PostgresConnection(worker: worker, pool: self.pool, timeout: timeout), worker)
    }

    private func release(_ connection: PostgresConnection, _ worker: ConnectionWorker) {
        connection.end()
        self.pool.release(worker)
    }

    /// What a caller did to a lent connection is not known: only one that is in no transaction is lent again.
    private func releaseChecked(_ connection: PostgresConnection, _ worker: ConnectionWorker) async {
        if worker.isUsable {
            let isClean = try? await worker.perform(timeout: .seconds(5), shielded: true) { session in
                session.isInNoTransaction
            }
            if isClean != true { worker.retire() }
        }
        self.release(connection, worker)
    }
}
