// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
public import Foundation
import Postgres

extension CallStore {
    /// A number that must not be called.
    public struct Exclusion: Sendable {
        /// The number.
        public let phoneNumber: PhoneNumber
        /// Why.
        public let reason: String?
        /// Where the wish came from: `import`, `api` or `manual`.
        public let source: String
        /// When it was entered.
        public let createdAt: Date
    }

    /// Puts numbers on the exclusion list and takes their contacts out of every campaign, at once.
    ///
    /// A live call ends by itself and is not retried; a queued one is not placed.
    /// - Returns: How many numbers are new on the list, and how many contacts were excluded.
    /// - Throws: `PostgresError`.
    @discardableResult
    public func addExclusions(
        _ numbers: [PhoneNumber],
        reason: String?,
        source: String
    ) async throws -> (added: Int, contacts: Int) {
        let texts = Array(Set(numbers.map(\.e164))).sorted()
        guard !texts.isEmpty else { return (0, 0) }
        return try await self.client.withTransaction { connection in
            let added = try await connection.execute(Self.insertExclusions, [texts, reason, source]).affectedRows
            let contacts = try await connection.execute(Self.excludeContacts, [texts]).affectedRows
            return (added, contacts)
        }
    }

    /// Takes a number off the list. Contacts that were excluded stay so.
    /// - Returns: Whether it was on the list.
    /// - Throws: `PostgresError`.
    public func removeExclusion(_ number: PhoneNumber) async throws -> Bool {
        try await self.client.execute(Self.deleteExclusion, [number.e164]).affectedRows > 0
    }

    /// The exclusion list in the order of the numbers.
    /// - Parameters:
    ///   - after: The last number of the page before, to page on.
    ///   - limit: The size of a page.
    /// - Returns: One page; empty after the last.
    /// - Throws: `PostgresError`.
    public func exclusions(after: PhoneNumber? = nil, limit: Int = 1000) async throws -> [Exclusion] {
        try await self.client.execute(Self.selectExclusions, [after?.e164 ?? "", limit]).map { row in
            Exclusion(
                phoneNumber: try PhoneNumber(row.decode(String.self, at: 0)),
                reason: try row.decode(String?.self, at: 1),
                source: try row.decode(String.self, at: 2),
                createdAt: try row.decode(Date.self, at: 3)
            )
        }
    }

    static let insertExclusions = PostgresStatement(
        name: "insert_exclusions",
        """
        insert into exclusion_list_entries (phone_number, reason, source)
        select n, $2, $3 from unnest($1::text[]) as n
        on conflict (phone_number) do nothing
        """
    )

    /// By campaign, because the index that finds a number starts with the campaign. A claim without an attempt is
    /// withdrawn; the call of a live attempt keeps its claim until it ends.
    static let excludeContacts = PostgresStatement(
        name: "exclude_contacts",
        """
        with hit as materialized (
            select p.id
            from campaigns k
            cross join lateral (
                select c.id
                from contacts c
                where c.campaign_id = k.id and c.phone_number = any ($1::text[])
                    and c.state in ('pending', 'not_reached', 'in_progress')
                order by c.id
                for no key update) p)
        update contacts c
        set state = 'excluded', next_attempt_at = null, prior_state = null,
            call_id = case when c.state = 'in_progress' and c.prior_state is null then c.call_id end,
            lease_until = case when c.state = 'in_progress' and c.prior_state is null then c.lease_until end
        where c.id = any (array(select id from hit)) and c.state in ('pending', 'not_reached', 'in_progress')
        """
    )

    private static let deleteExclusion = PostgresStatement(
        name: "delete_exclusion",
        "delete from exclusion_list_entries where phone_number = $1"
    )

    private static let selectExclusions = PostgresStatement(
        name: "select_exclusions",
        """
        select phone_number, reason, source, created_at
        from exclusion_list_entries
        where phone_number > $1
        order by phone_number
        limit $2
        """
    )
}
