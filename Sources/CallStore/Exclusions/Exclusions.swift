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
        /// The campaign that it is excluded from; nil for all.
        public let campaign: String?
        /// Why.
        public let reason: String?
        /// Where the wish came from: `import`, `api` or `manual`.
        public let source: String
        /// When it was entered.
        public let createdAt: Date
        /// When it ends by itself; nil for never.
        public let expiresAt: Date?
    }

    /// Puts numbers on the exclusion list, of all campaigns or of one, and takes their contacts out at once: for good,
    /// or to rest until the exclusion expires.
    ///
    /// A live call ends by itself and is not retried; a queued one is not placed. A number that is on the list stays
    /// there until the later of the two ends.
    /// - Parameters:
    ///   - numbers: The numbers.
    ///   - otherForms: Other ways in which the same numbers may be stored: excluded as well, and not counted.
    ///   - reason: Why.
    ///   - source: `import`, `api` or `manual`.
    ///   - campaign: Exclude from this campaign only.
    ///   - expiresAt: When the exclusion ends by itself; nil for never.
    /// - Returns: How many numbers are new on the list, and how many contacts were taken out.
    /// - Throws: `PostgresError`.
    @discardableResult
    public func addExclusions(
        _ numbers: [PhoneNumber],
        otherForms: [PhoneNumber] = [],
        reason: String?,
        source: String,
        campaign: UUID? = nil,
        expiresAt: Date? = nil
    ) async throws -> (added: Int, contacts: Int) {
        let texts = Self.texts(numbers + otherForms)
        guard !texts.isEmpty else { return (0, 0) }
        return try await self.client.withTransaction { connection in
            let (added, contacts) = try await Self.exclude(texts, reason, source, campaign, expiresAt, connection)
            return (added.intersection(numbers.map(\.e164)).count, contacts)
        }
    }

    /// Excludes the numbers of rows that are of no use otherwise from an import's campaign. Who was forgotten is left out.
    /// - Parameters:
    ///   - numbers: The numbers.
    ///   - current: The import.
    /// - Throws: `PostgresError`.
    public func bar(_ numbers: [PhoneNumber], in current: ContactImport) async throws {
        guard !numbers.isEmpty else { return }
        try await self.client.withTransaction { connection in
            try await connection.execute(Self.lockPersonsForImport)
            let digests = try await connection.execute(Self.selectSuppressed).map {
                try $0.decode(String.self, named: "digest")
            }
            let forgotten = SuppressedNumbers(key: current.suppressed.key, digests: Set(digests))
            let texts = Self.texts(numbers.filter { !forgotten.contains($0) })
            let reason = "a rejected row of an import says do_not_call"
            _ = try await Self.exclude(texts, reason, "import", current.campaign, nil, connection)
        }
    }

    /// - Returns: The numbers that are new on the list, and how many contacts were taken out.
    private static func exclude(
        _ texts: [String],
        _ reason: String?,
        _ source: String,
        _ campaign: UUID?,
        _ expiresAt: Date?,
        _ connection: PostgresConnection
    ) async throws -> (added: Set<String>, contacts: Int) {
        let inserted =
            if let campaign {
                try await connection.execute(
                    Self.insertCampaignExclusions,
                    [texts, reason, source, campaign, expiresAt]
                )
            } else {
                try await connection.execute(Self.insertExclusions, [texts, reason, source, expiresAt])
            }
        let contacts = try await connection.execute(Self.excludeContacts, [texts, campaign, expiresAt]).affectedRows
        let added = try inserted.map { row in
            try row.decode(Bool.self, named: "is_new") ? try row.decode(String.self, named: "phone_number") : nil
        }
        return (Set(added.compactMap(\.self)), contacts)
    }

    /// Each once, in the order in which all take them.
    static func texts(_ numbers: [PhoneNumber]) -> [String] {
        Array(Set(numbers.map(\.e164))).sorted()
    }

    /// Takes a number off the list of all campaigns, or off that of one. Contacts that were excluded for good stay so.
    /// - Parameters:
    ///   - number: The number.
    ///   - otherForms: Other ways in which the same number may be stored.
    ///   - campaign: The campaign whose list it is on; nil for that of all.
    /// - Returns: Whether it was on the list.
    /// - Throws: `PostgresError`.
    public func removeExclusion(
        _ number: PhoneNumber,
        otherForms: [PhoneNumber] = [],
        campaign: UUID? = nil
    ) async throws -> Bool {
        let texts = Self.texts([number] + otherForms)
        return try await self.client.execute(
            campaign == nil ? Self.deleteExclusion : Self.deleteCampaignExclusion,
            campaign.map { [texts, $0] } ?? [texts]
        ).affectedRows > 0
    }

    /// The exclusion lists in the order of the numbers.
    /// - Parameters:
    ///   - after: The last number of the page before, to page on.
    ///   - limit: The size of a page, in numbers.
    /// - Returns: One page; empty after the last.
    /// - Throws: `PostgresError`.
    public func exclusions(after: PhoneNumber? = nil, limit: Int = 1000) async throws -> [Exclusion] {
        try await self.client.execute(Self.selectExclusions, [after?.e164 ?? "", limit]).map { row in
            Exclusion(
                phoneNumber: try PhoneNumber(row.decode(named: "phone_number")),
                campaign: try row.decode(named: "campaign"),
                reason: try row.decode(named: "reason"),
                source: try row.decode(named: "source"),
                createdAt: try row.decode(named: "created_at"),
                expiresAt: try row.decode(named: "expires_at")
            )
        }
    }

    /// SQL that tells until when a number must not be called for a campaign; 'infinity' for good, null when it may be.
    ///
    /// Text rather than a function, which PostgreSQL could not inline and would enter for every contact.
    /// - Parameters:
    ///   - number: The column that holds the number.
    ///   - campaign: The column that holds the campaign's id.
    /// - Returns: A scalar subquery.
    static func excludedUntil(_ number: String, _ campaign: String) -> String {
        """
        (select max(coalesce(x.expires_at, 'infinity'))
            from (
                select l.expires_at from exclusion_list_entries l where l.phone_number = \(number)
                union all
                select l.expires_at from campaign_exclusions l
                where l.campaign_id = \(campaign) and l.phone_number = \(number)) x
            where x.expires_at is null or x.expires_at > now())
        """
    }

    static let insertExclusions = PostgresStatement(
        name: "insert_exclusions",
        """
        insert into exclusion_list_entries (phone_number, reason, source, expires_at)
        select n, $2, $3, $4 from unnest($1::text[]) as n
        on conflict (phone_number) do update
            set reason = excluded.reason, source = excluded.source, expires_at = excluded.expires_at
            where exclusion_list_entries.expires_at < coalesce(excluded.expires_at, 'infinity')
        -- Zero for a row that was just made.
        returning xmax = 0 as is_new, phone_number
        """
    )

    private static let insertCampaignExclusions = PostgresStatement(
        name: "insert_campaign_exclusions",
        """
        insert into campaign_exclusions (campaign_id, phone_number, reason, source, expires_at)
        select $4, n, $2, $3, $5 from unnest($1::text[]) as n
        on conflict (campaign_id, phone_number) do update
            set reason = excluded.reason, source = excluded.source, expires_at = excluded.expires_at
            where campaign_exclusions.expires_at < coalesce(excluded.expires_at, 'infinity')
        returning xmax = 0 as is_new, phone_number
        """
    )

    /// By campaign, because the index that finds a number starts with the campaign. A claim without an attempt is
    /// withdrawn; the call of a live attempt keeps its claim until it ends.
    ///
    /// `$1` numbers, `$2` campaign or null, `$3` when it ends, or null.
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
                for no key update) p
            where $2::uuid is null or k.id = $2)
        update contacts c
        set state = case
                when $3::timestamptz is null then 'excluded'
                when c.state = 'in_progress' and c.prior_state is not null then c.prior_state
                else c.state
            end,
            excluded_reason = case when $3::timestamptz is null then 'exclusion list' end,
            -- One that is out of attempts stays so.
            next_attempt_at = case
                when $3::timestamptz is not null and (c.next_attempt_at is not null or c.prior_state is not null)
                    then greatest(c.next_attempt_at, $3)
            end,
            prior_state = null,
            call_id = case when c.state = 'in_progress' and c.prior_state is null then c.call_id end,
            lease_until = case when c.state = 'in_progress' and c.prior_state is null then c.lease_until end
        where c.id = any (array(select id from hit)) and c.state in ('pending', 'not_reached', 'in_progress')
        """
    )

    private static let deleteExclusion = PostgresStatement(
        name: "delete_exclusion",
        "delete from exclusion_list_entries where phone_number = any ($1::text[])"
    )

    private static let deleteCampaignExclusion = PostgresStatement(
        name: "delete_campaign_exclusion",
        "delete from campaign_exclusions where phone_number = any ($1::text[]) and campaign_id = $2"
    )

    private static let selectExclusions = PostgresStatement(
        name: "select_exclusions",
        """
        with numbers as materialized (
            select phone_number from exclusion_list_entries where phone_number > $1
            union
            select phone_number from campaign_exclusions where phone_number > $1
            order by phone_number
            limit $2)
        select e.phone_number, null as campaign, e.reason, e.source, e.created_at, e.expires_at
        from numbers n
        join exclusion_list_entries e on e.phone_number = n.phone_number
        union all
        select e.phone_number, k.name, e.reason, e.source, e.created_at, e.expires_at
        from numbers n
        join campaign_exclusions e on e.phone_number = n.phone_number
        join campaigns k on k.id = e.campaign_id
        order by 1, 2 nulls first
        """
    )
}
