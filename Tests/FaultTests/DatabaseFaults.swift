// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Postgres
import TestBasics

/// What is done to the database from inside. Whether a role has met it is told by the server's log.
extension FaultHouse {
    /// Puts all tables, and those to come, where the disk can be filled.
    static func move(_ client: PostgresClient, to disk: String) async throws {
        for sql in [
            "create tablespace small location '\(disk)'",
            "alter table all in tablespace pg_default set tablespace small",
            "alter index all in tablespace pg_default set tablespace small",
        ] { try await client.execute(PostgresStatement(sql, prepared: false)) }
    }

    /// Lets every transaction of the roles only read, from now on and in the sessions that are open, or no longer.
    func setReadOnly(_ isReadOnly: Bool) async throws {
        let name = self.servers.databaseURL.split(separator: "/").last.map(String.init) ?? ""
        for sql in [
            "alter database \(name) set default_transaction_read_only = \(isReadOnly)",
            """
            select count(pg_terminate_backend(pid)) from pg_stat_activity
            where datname = '\(name)' and pid <> pg_backend_pid() and application_name like 'call-scheduler/%'
            """,
        ] {
            try await self.change(sql)
        }
    }

    /// Also in a session that began while all might only read, as that which sets it back.
    private func change(_ sql: String) async throws {
        try await self.client.withTransaction { connection in
            try await connection.execute(PostgresStatement("set transaction read write", prepared: false))
            try await connection.execute(PostgresStatement(sql, prepared: false))
        }
    }

    /// Holds the table of attempts, so that nobody can read or write it, for longer than a statement may take.
    /// - Returns: Whether a role's statement was ended for it.
    func lockAttempts(for pause: Duration) async throws -> Bool {
        let start = self.servers.databaseLog.count
        try await self.client.withTransaction { connection in
            try await connection.execute(PostgresStatement("set transaction read write", prepared: false))
            try await connection.execute(PostgresStatement("lock table call_attempts", prepared: false))
            try await Task.sleep(for: pause)
        }
        return self.hasMet("canceling statement due to statement timeout", since: start)
    }

    /// Fills the disk until somebody has noticed, and for a while, and gives the space back.
    /// - Returns: Whether a role has met it.
    func fillDisk(for pause: Duration) async throws -> Bool {
        guard let disk = self.servers.disk else { return false }
        let ballast = disk + "/ballast"
        defer { try? FileManager.default.removeItem(atPath: ballast) }
        let start = self.servers.databaseLog.count
        try Self.fill(ballast)
        let isMet = try await self.meets("No space left on device", since: start)
        try await Task.sleep(for: pause)
        return isMet
    }

    private static func fill(_ path: String) throws {
        let file = open(path, O_WRONLY | O_CREAT, 0o600)
        guard file >= 0 else { throw CocoaError(.fileWriteUnknown) }
        defer { close(file) }
        for size in [1 << 20, 4096, 1] {
            let bytes = [UInt8](repeating: 0, count: size)
            while write(file, bytes, size) > 0 {}
        }
        guard errno == ENOSPC else { throw CocoaError(.fileWriteUnknown) }
    }

    /// Takes a role's rights away until it has noticed, and for a while, and gives them back as operators do.
    /// - Returns: Whether it has met it.
    func revoke(_ role: Role, for pause: Duration) async throws -> Bool {
        let start = self.servers.databaseLog.count
        let user = "call_scheduler_" + role.rawValue
        let sql = "revoke all on all tables in schema public from \(user)"
        try await self.change(sql)
        let isMet = try await self.meets("permission denied for table", since: start, user: user + "_user")
        try await Task.sleep(for: pause)
        let script = Shell.root.path + "/ops/postgres/roles.sql"
        try await Shell.run("psql -XAqt -v ON_ERROR_STOP=1 -f '\(script)' '\(self.servers.databaseURL)'")
        return isMet
    }

    /// Waits for a line about a role in the server's log, and not for ever.
    private func meets(_ words: String, since start: Int, user: String = "call_scheduler_") async throws -> Bool {
        for _ in 0..<300 {
            if self.hasMet(words, since: start, user: user) { return true }
            try await Task.sleep(for: .milliseconds(50))
        }
        return false
    }

    private func hasMet(_ words: String, since start: Int, user: String = "call_scheduler_") -> Bool {
        String(decoding: self.servers.databaseLog.dropFirst(start), as: UTF8.self).split(separator: "\n")
            .contains { $0.contains(words) && $0.contains(" \(user)") }
    }
}
