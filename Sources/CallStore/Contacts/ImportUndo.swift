// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation
import Postgres

extension CallStore {
    /// An import of contacts, for people.
    public struct ImportRecord: Sendable, Equatable {
        /// Its id.
        public let id: UUID
        /// The campaign's name.
        public let campaign: String
        /// The file's name, as it was given.
        public let fileName: String
        /// When it began.
        public let startedAt: Date
        /// When it was done; nil while it is not.
        public let finishedAt: Date?
        /// When it was taken back.
        public let undoneAt: Date?
        /// Who took it back.
        public let undoneBy: String?
        /// Contacts that it has added.
        public let added: Int
        /// Rows that were not taken.
        public let rejected: Int
    }

    /// The imports, the newest first.
    /// - Parameter campaign: Only into this campaign.
    /// - Returns: The imports.
    /// - Throws: `PostgresError`.
    public func imports(campaign: String? = nil) async throws -> [ImportRecord] {
        try await self.client.execute(Self.selectImports, [campaign]).map { row in
            ImportRecord(
                id: try row.decode(named: "id"),
                campaign: try row.decode(named: "name"),
                fileName: try row.decode(named: "file_name"),
                startedAt: try row.decode(named: "started_at"),
                finishedAt: try row.decode(named: "finished_at"),
                undoneAt: try row.decode(named: "undone_at"),
                undoneBy: try row.decode(named: "undone_by"),
                added: try row.decode(named: "rows_added"),
                rejected: try row.decode(named: "rows_rejected")
            )
        }
    }

    /// Takes the contacts away that an import has added, if nobody of them was called or is about to be. What it has made
    /// stricter of contacts that were there before stays.
    /// - Parameters:
    ///   - id: The import.
    ///   - actor: Who wishes it.
    /// - Returns: How many contacts were removed, and from which campaign.
    /// - Throws: ``StoreError``: `notFound`, or `notAllowed` with how many were called; `PostgresError`.
    public func undoImport(_ id: UUID, actor: String) async throws -> (campaign: String, removed: Int) {
        try await self.bearingDeadlocks {
            try await self.client.withTransaction { connection in
                guard let row = try await connection.execute(Self.lockImport, [id]).first else {
                    throw StoreError(
                        code: .notFound,
                        message: "there is no import with this id; `call-scheduler contacts imports` shows them"
                    )
                }
                let name: String = try row.decode(named: "name")
                let campaign: UUID = try row.decode(named: "id")
                guard try row.decode(Bool.self, named: "is_undone") == false else {
                    throw StoreError(code: .notAllowed, message: "this import was undone before")
                }
                let counts = try await connection.execute(Self.countImported, [campaign, id]).first
                let all: Int = try counts?.decode(named: "contacts") ?? 0
                let called: Int = try counts?.decode(named: "called") ?? 0
                guard called == 0 else {
                    throw StoreError(
                        code: .notAllowed,
                        message:
                            "the import cannot be undone: \(called) of its \(all) contacts were called, or are queued "
                            + "to be; nothing was changed"
                    )
                }
                let removed = try await connection.execute(Self.deleteImported, [campaign, id]).affectedRows
                try await connection.execute(Self.markUndone, [id, actor, removed])
                return (name, removed)
            }
        }
    }

    /// Deletes a campaign that was never started, with its contacts.
    /// - Parameter name: The campaign.
    /// - Returns: How many contacts it had.
    /// - Throws: ``StoreError``: `notFound`, or `notAllowed` when it is no draft; `PostgresError`.
    public func deleteDraft(named name: String) async throws -> Int {
        try await self.bearingDeadlocks {
            try await self.client.withTransaction { connection in
                guard let row = try await connection.execute(Self.lockCampaignToDelete, [name]).first else {
                    throw Self.noCampaign(name)
                }
                let id: UUID = try row.decode(named: "id")
                let status: String = try row.decode(named: "status")
                guard status == "draft" else {
                    throw StoreError(
                        code: .notAllowed,
                        message:
                            "campaign '\(name)' is \(status): only a draft can be deleted, because of others it must "
                            + "be told later who was called and why; `campaign cancel` ends it"
                    )
                }
                let contacts = try await connection.execute(Self.deleteContactsOfDraft, [id]).affectedRows
                try await connection.execute(Self.deleteCountsOfDraft, [id])
                try await connection.execute(Self.deleteCampaign, [id])
                return contacts
            }
        }
    }

    private static let selectImports = PostgresStatement(
        name: "select_imports",
        """
        select i.id, k.name, i.file_name, i.started_at, i.finished_at, i.undone_at, i.undone_by, i.rows_added, i.rows_rejected
        from contact_imports i
        join campaigns k on k.id = i.campaign_id
        where $1::text is null or k.name = $1
        order by i.started_at desc, i.id desc
        """
    )

    /// Nobody claims from the campaign meanwhile, and no other process goes on with the import.
    private static let lockImport = PostgresStatement(
        """
        select k.name, k.id, i.undone_at is not null as is_undone
        from contact_imports i
        join campaigns k on k.id = i.campaign_id
        where i.id = $1
        for no key update of k, i
        """,
        prepared: false
    )

    private static let countImported = PostgresStatement(
        """
        select count(*) as contacts, count(*) filter (
            where c.attempts_count > 0 or c.state = 'in_progress' or c.last_attempt_at is not null
                or c.id in (select a.contact_id from call_attempts a where a.campaign_id = $1)) as called
        from contacts c
        where c.campaign_id = $1 and c.import_id = $2
        """,
        prepared: false
    )

    private static let deleteImported = PostgresStatement(
        "delete from contacts where campaign_id = $1 and import_id = $2",
        prepared: false
    )

    private static let markUndone = PostgresStatement(
        """
        with undone as (
            update contact_imports
            set undone_at = now(), undone_by = $2, finished_at = coalesce(finished_at, now())
            where id = $1
            returning id, campaign_id)
        insert into campaign_changes (campaign_id, status, reason, actor)
        select k.id, k.status, 'import ' || u.id || ' undone: ' || $3::bigint || ' contacts removed', $2
        from undone u
        join campaigns k on k.id = u.campaign_id
        """,
        prepared: false
    )

    private static let lockCampaignToDelete = PostgresStatement(
        "select id, status from campaigns where name = $1 for update",
        prepared: false
    )

    private static let deleteContactsOfDraft = PostgresStatement(
        "delete from contacts where campaign_id = $1",
        prepared: false
    )

    private static let deleteCountsOfDraft = PostgresStatement(
        "delete from contact_counts where campaign_id = $1",
        prepared: false
    )

    private static let deleteCampaign = PostgresStatement("delete from campaigns where id = $1", prepared: false)
}
