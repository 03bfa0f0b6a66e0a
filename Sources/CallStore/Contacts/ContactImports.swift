// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
public import Foundation
import Postgres

extension CallStore {
    /// What an import of a file has brought so far.
    public struct ImportProgress: Sendable, Equatable {
        /// The line on which the last row begins that is dealt with; 0 before the first.
        public var linesDone = 0
        /// How much of the rejects file belongs to these lines.
        public var rejectsBytes = 0
        /// Rows of the file.
        public var read = 0
        /// New contacts.
        public var added = 0
        /// Of these, excluded from the start.
        public var excluded = 0
        /// Rows with a number that the campaign had before.
        public var present = 0
        /// Rows with a number that an earlier row of the same import has brought.
        public var repeated = 0
        /// Rows that cannot be used.
        public var rejected = 0
        /// Rows whose number is in no range that is known to be assigned.
        public var unassigned = 0
        /// Rows of persons who were forgotten: left out.
        public var erased = 0
        /// Contacts that were there, or came with an earlier row, and are marked do-not-call now.
        public var barred = 0
        /// Contacts that have no consent, though the campaign or the file says so: it was withdrawn by the file, or before.
        public var withdrawn = 0
        /// Appointments that this run has made.
        public var appointed = 0
        /// Appointments that it could not make: past, or of contacts that are called no more.
        public var notAppointed = 0
        /// Rows whose time zone is in the file.
        public var zonesFromFile = 0
        /// Rows whose time zones follow from the number, or from the region in the file.
        public var zonesFromNumber = 0
        /// Rows that have the campaign's zone because nothing is known.
        public var zonesFromCampaign = 0
        /// Rows whose number's prefix tells zones.
        public var zonesByPrefix = 0
        /// Rows whose postal code does.
        public var zonesByPostalCode = 0
        /// Rows whose region does: a part of a country.
        public var zonesByRegion = 0

        /// Creates the progress of an import that has not begun.
        public init() {}
    }

    /// An import that is under way.
    public struct ContactImport: Sendable, Equatable {
        /// Its id.
        public let id: UUID
        /// Where it adds contacts.
        public let campaign: UUID
        /// How far it has come.
        public let progress: ImportProgress
        /// Whom it has to leave out, as far as is known.
        var suppressed: SuppressedNumbers
    }

    /// Begins an import, or goes on with an interrupted one of the same file into the same campaign.
    /// - Parameters:
    ///   - campaign: The campaign.
    ///   - fileName: For people who look at the table.
    ///   - fileSize: Bytes; nil when it is not known.
    ///   - fingerprint: What tells the file and the way it is read from others; nil for one that cannot be resumed.
    ///   - key: By which persons who were forgotten are recognised, and left out.
    /// - Returns: The import, with progress if it was interrupted.
    /// - Throws: ``StoreError`` with code `notAllowed` when persons were forgotten and there is no key; `PostgresError`.
    public func beginImport(
        campaign: UUID,
        fileName: String,
        fileSize: Int?,
        fingerprint: String?,
        key: SuppressionKey? = nil
    ) async throws -> ContactImport {
        let suppressed = try await self.suppressedNumbers(key: key)
        guard suppressed.isEmpty || key != nil else { throw Self.keyIsMissing }
        let result = try await self.client.execute(Self.insertImport, [campaign, fileName, fileSize, fingerprint])
        guard let row = result.first else { throw StoreError(code: .notFound, message: "the import was not stored") }
        var progress = ImportProgress()
        for counter in Self.counters { progress[keyPath: counter.field] = try row.decode(named: counter.column) }
        return ContactImport(
            id: try row.decode(named: "id"),
            campaign: campaign,
            progress: progress,
            suppressed: suppressed
        )
    }

    /// Adds the contacts of the next lines and remembers how far the import has come, in one transaction.
    /// - Parameters:
    ///   - contacts: The contacts.
    ///   - current: The import as it was returned last.
    ///   - progress: How far it has come with these lines, but for what the database counts: added, excluded, present,
    ///     repeated, erased, barred, withdrawn.
    /// - Returns: The import as it stands now.
    /// - Throws: ``StoreError`` with code `notAllowed` when another process goes on with the same import, or persons were
    ///   forgotten and there is no key; `PostgresError`.
    public func addContacts(
        _ contacts: StagedContacts,
        to current: ContactImport,
        progress: ImportProgress
    ) async throws -> ContactImport {
        try await self.bearingDeadlocks { try await self.addPortion(contacts, to: current, progress: progress) }
    }

    private func addPortion(
        _ contacts: StagedContacts,
        to current: ContactImport,
        progress: ImportProgress
    ) async throws -> ContactImport {
        try await self.client.withTransaction { connection in
            // Whoever is forgotten, or withdraws consent, from here on finds these contacts.
            try await connection.execute(Self.lockPersonsForImport)
            try await connection.execute(Self.commitLater)
            var next = progress
            var suppressed = current.suppressed
            if contacts.count > 0 {
                try await Self.copy(contacts, connection)
                let left = try await Self.dropSuppressed(contacts, &suppressed, connection)
                next.erased += left.count
                next.zonesFromFile -= left.count { $0 == "file" }
                next.zonesFromNumber -= left.count { $0 == "number" }
                next.zonesFromCampaign -= left.count { $0 == nil }
                let rows = contacts.count - left.count
                let count = try await Self.insertStaged(
                    current.campaign,
                    contacts,
                    of: rows,
                    by: current.id,
                    connection
                )
                next.appointed += count.appointed
                next.notAppointed += count.notAppointed
                next.added += count.added
                next.excluded += count.excluded
                next.barred += count.barred
                next.withdrawn += count.withdrawn
                let others = rows - count.added
                if others > 0 {
                    let row = try await connection.execute(Self.countPresent, [current.campaign, current.id]).first
                    let present = try row?.decode(named: "present") ?? 0
                    next.present += present
                    next.repeated += others - present
                }
                try await connection.execute(Self.dropStaging)
            }
            let values = Self.counters.map { next[keyPath: $0.field] }
            let updated = try await connection.execute(
                Self.advanceImport,
                [current.id, current.progress.linesDone, values]
            )
            guard updated.affectedRows == 1 else {
                throw StoreError(
                    code: .notAllowed,
                    message: "another process is importing the same file: let it finish"
                )
            }
            return ContactImport(id: current.id, campaign: current.campaign, progress: next, suppressed: suppressed)
        }
    }

    /// Takes persons who were forgotten out of what is staged; asked under the lock, so that nobody is forgotten meanwhile.
    /// - Returns: Where the time zones of those rows came from.
    @discardableResult
    static func dropSuppressed(
        _ contacts: StagedContacts,
        _ known: inout SuppressedNumbers,
        _ connection: PostgresConnection
    ) async throws -> [String?] {
        let count = try await connection.execute(Self.countSuppressed).first?.decode(named: "suppressed") ?? 0
        guard count > 0 else { return [] }
        guard let key = known.key else { throw Self.keyIsMissing }
        if count != known.digests.count {
            // The list only grows.
            let rows = try await connection.execute(Self.selectSuppressed)
            known = SuppressedNumbers(key: key, digests: Set(try rows.map { try $0.decode(named: "digest") }))
        }
        let numbers = contacts.numbers.filter(known.contains).map(\.e164)
        guard !numbers.isEmpty else { return [] }
        return try await connection.execute(Self.unstage, [numbers]).map { try $0.decode(named: "source") }
    }

    private static let keyIsMissing = StoreError(
        code: .notAllowed,
        message: "SUPPRESSION_KEY is not set: persons were erased, and only it tells their numbers"
    )

    /// Marks an import as done, with all that it has brought on the disk; the same file is read from its beginning from now on.
    /// - Throws: `PostgresError`.
    public func finishImport(_ current: ContactImport) async throws {
        try await self.client.execute(Self.closeImport, [current.id])
    }

    /// Where each figure of an import is kept.
    private static var counters: [(column: String, field: WritableKeyPath<ImportProgress, Int>)] {
        [
            ("lines_done", \.linesDone), ("rejects_bytes", \.rejectsBytes), ("rows_read", \.read),
            ("rows_added", \.added), ("rows_excluded", \.excluded), ("rows_present", \.present),
            ("rows_repeated", \.repeated), ("rows_rejected", \.rejected), ("zones_from_file", \.zonesFromFile),
            ("zones_from_number", \.zonesFromNumber), ("zones_from_campaign", \.zonesFromCampaign),
            ("rows_erased", \.erased), ("rows_barred", \.barred), ("rows_withdrawn", \.withdrawn),
            ("rows_unassigned", \.unassigned), ("zones_by_prefix", \.zonesByPrefix),
            ("zones_by_postal_code", \.zonesByPostalCode), ("zones_by_region", \.zonesByRegion),
        ]
    }

    private static let insertImport = PostgresStatement(
        """
        insert into contact_imports (campaign_id, file_name, file_size, fingerprint)
        values ($1, $2, $3, $4)
        on conflict (campaign_id, fingerprint) where finished_at is null do update set file_name = excluded.file_name
        returning id, \(CallStore.counters.map(\.column).joined(separator: ", "))
        """,
        prepared: false
    )

    /// A crash of the server may take the last chunks, and with each the checkpoint that tells of it: they are imported
    /// again. What commits later, the end of the import above all, waits for them.
    private static let commitLater = PostgresStatement("set local synchronous_commit to off", prepared: false)

    private static let unstage = PostgresStatement(
        """
        delete from import_rows where phone_number = any ($1::text[])
        returning nullif(coalesce(nullif(own_zone_source, ''), time_zone_source), 'campaign') as source
        """,
        prepared: false
    )

    /// Staged rows whose contact is older than the import. Laterally, so that each is looked up by the index: the staging
    /// table has no statistics, and reading all contacts for every chunk would be the alternative.
    private static let countPresent = PostgresStatement(
        """
        select count(*) as present
        from import_rows r
        cross join lateral (
            select 1
            from contacts c
            where c.campaign_id = $1 and c.phone_number = r.phone_number
                and c.created_at < (select i.started_at from contact_imports i where i.id = $2)
            offset 0) as older
        """,
        prepared: false
    )

    private static let advanceImport = PostgresStatement(
        """
        update contact_imports
        set \(CallStore.counters.enumerated().map { "\($1.column) = v[\($0 + 1)]" }.joined(separator: ", "))
        from (select $3::bigint[] as v) as new
        where id = $1 and lines_done = $2 and finished_at is null
        """,
        prepared: false
    )

    private static let closeImport = PostgresStatement(
        "update contact_imports set finished_at = now() where id = $1",
        prepared: false
    )
}
