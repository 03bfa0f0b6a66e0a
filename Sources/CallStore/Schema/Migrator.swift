// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import Logging
import Postgres
public import Schemas

extension CallStore {
    /// A migration as the database remembers it.
    public struct AppliedMigration: Sendable, Equatable {
        /// Its number.
        public let number: Int
        /// Its name.
        public let name: String
        /// The SHA-256 of its script, in hex.
        public let checksum: String
    }

    /// How the database's schema compares with the one that this program was built for.
    public enum SchemaState: Sendable, Equatable {
        /// The same.
        case current(version: Int)
        /// These migrations are missing; zero means that there is no schema at all.
        case behind(version: Int, missing: [String])
        /// The database has migrations that this program does not know.
        case ahead(version: Int)
        /// A migration that was applied is not the one that this program holds.
        case edited(String)
    }

    /// Brings the schema up to date, under a lock, so that two processes may try at once: the second waits for the first.
    ///
    /// Each migration is a transaction, or several steps of which each is remembered (see `CONTRIBUTING.md`): who is
    /// interrupted goes on from there. It takes the time that it takes, except for locks: those are given up after three
    /// seconds, so that roles do not wait behind it, and asked for again, without end.
    /// - Parameters:
    ///   - migrations: The migrations; the embedded ones unless told.
    ///   - report: Hears what is done, for how long, and who is waited for.
    /// - Returns: What was applied now; empty when nothing was missing.
    /// - Throws: ``StoreError`` with code `schemaMismatch` when an applied migration was edited or is unknown here;
    ///   `PostgresError` when a script fails: of that transaction nothing is left, those before it stay.
    public func migrate(
        _ migrations: [Schemas.Migration] = Schemas.migrations,
        report: @escaping @Sendable (MigrationEvent) -> Void = { _ in }
    ) async throws -> [AppliedMigration] {
        try await self.client.withPatientConnection { connection in
            let run = try await MigrationRun(connection, self.client) { event in
                self.log(event)
                report(event)
            }
            return try await run.run(migrations)
        }
    }

    private func log(_ event: MigrationEvent) {
        switch event {
        case .applied(let entry, _):
            self.logger.info(
                "Applied a migration",
                metadata: ["migration": "\(entry.number)", "name": "\(entry.name)"]
            )
        case .triesAgain(_, _, let tries, _):
            self.logger.notice("The migration met others at work and starts again", metadata: ["tries": "\(tries)"])
        case .waitsForAnother, .begins, .works, .batches: break
        }
    }

    /// Compares the schema without changing anything.
    /// - Parameter migrations: The migrations; the embedded ones unless told.
    /// - Returns: How the schema stands.
    /// - Throws: `PostgresError` when the database cannot be asked.
    public func schemaState(_ migrations: [Schemas.Migration] = Schemas.migrations) async throws -> SchemaState {
        let exists = try await self.client.execute(Self.migrationTableExists)
        guard try exists.first?.decode(Bool.self, named: "is_there") == true else {
            return .behind(version: 0, missing: migrations.map(\.name))
        }
        let present = try await self.client.execute(Self.appliedMigrations).map(Self.decodeMigration)
        let version = present.last?.number ?? 0
        for (entry, migration) in zip(present, migrations) where entry != Self.entry(for: migration) {
            return .edited(Self.difference(entry, Self.entry(for: migration)))
        }
        if present.count > migrations.count { return .ahead(version: version) }
        if present.count < migrations.count {
            return .behind(version: version, missing: migrations.dropFirst(present.count).map(\.name))
        }
        return .current(version: version)
    }

    static func compare(present: [AppliedMigration], with migrations: [Schemas.Migration]) throws {
        for (entry, migration) in zip(present, migrations) where entry != Self.entry(for: migration) {
            throw StoreError(
                code: .schemaMismatch,
                message: "an applied migration was edited: \(Self.difference(entry, Self.entry(for: migration)));"
                    + " restore the original script and put the change into a new migration"
            )
        }
        guard present.count <= migrations.count else {
            throw StoreError(
                code: .schemaMismatch,
                message: "the database is at version \(present.count), this program knows \(migrations.count);"
                    + " use a newer program"
            )
        }
    }

    private static func difference(_ applied: AppliedMigration, _ ours: AppliedMigration) -> String {
        "applied \(applied.number) \(applied.name) (sha256 \(applied.checksum.prefix(12))…),"
            + " here \(ours.number) \(ours.name) (sha256 \(ours.checksum.prefix(12))…)"
    }

    static func entry(for migration: Schemas.Migration) -> AppliedMigration {
        let digest = SHA256.hash(data: Data(migration.sql.utf8))
        let hex = digest.map { byte in
            (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
        return AppliedMigration(number: migration.number, name: migration.name, checksum: hex.joined())
    }

    static func decodeMigration(_ row: PostgresRow) throws -> AppliedMigration {
        AppliedMigration(
            number: try row.decode(named: "number"),
            name: try row.decode(named: "name"),
            checksum: try row.decode(named: "checksum")
        )
    }

    static let migrationTable = """
        create table if not exists schema_migrations (
            number bigint primary key,
            name text not null,
            checksum text not null,
            applied_at timestamptz not null default now()
        )
        """

    private static let migrationTableExists = PostgresStatement(
        "select to_regclass('schema_migrations') is not null as is_there",
        prepared: false
    )

    static let appliedMigrations = PostgresStatement(
        "select number, name, checksum from schema_migrations order by number",
        prepared: false
    )

    static let rememberMigration = PostgresStatement(
        "insert into schema_migrations (number, name, checksum) values ($1, $2, $3)",
        prepared: false
    )
}
