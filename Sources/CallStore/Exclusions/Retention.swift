// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation
import Postgres

extension CallStore {
    /// What retention removes, or would remove.
    public struct Retention: Sendable, Codable, Equatable {
        /// Campaigns that ended long enough ago.
        public var campaigns: [String] = []
        /// Contacts with personal data among them.
        public var contacts = 0
        /// Attempts with a number among them.
        public var attempts = 0
    }

    /// Removes personal data from the contacts and attempts of campaigns that were completed or cancelled before an
    /// instant. Counts stay. Exclusion lists are not touched: they have their own expiry.
    /// - Parameters:
    ///   - instant: Campaigns that ended before it.
    ///   - isRehearsal: Only count.
    /// - Returns: What was, or would be, removed.
    /// - Throws: ``StoreError`` with code `notAllowed` when a limit of a campaign that still calls looks further back;
    ///   `PostgresError`.
    public func retain(from instant: Date, isRehearsal: Bool) async throws -> Retention {
        let longest = try await self.client.execute(Self.longestLimit).first?.decode(Int?.self, named: "hours") ?? 0
        guard instant.addingTimeInterval(Double(longest) * 3600) <= Date() else {
            throw StoreError(
                code: .notAllowed,
                message: "a campaign that still calls has a limit that looks back \(longest / 24) days, to attempts "
                    + "that would lose their number: keep at least as many days"
            )
        }
        var retention = Retention()
        let campaigns = try await self.client.execute(Self.endedCampaigns, [instant]).map { row in
            (try row.decode(UUID.self, named: "id"), try row.decode(String.self, named: "name"))
        }
        for (id, name) in campaigns {
            retention.campaigns.append(name)
            retention.contacts += try await self.forget(
                isRehearsal ? Self.countContacts : Self.forgetContacts,
                campaign: id,
                isRehearsal: isRehearsal
            )
            retention.attempts += try await self.forget(
                isRehearsal ? Self.countAttempts : Self.forgetAttempts,
                campaign: id,
                isRehearsal: isRehearsal
            )
            if !isRehearsal { try await self.client.execute(Self.forgetEvents, [id]) }
        }
        return retention
    }

    /// In portions, so that no transaction is long.
    private func forget(_ statement: PostgresStatement, campaign: UUID, isRehearsal: Bool) async throws -> Int {
        if isRehearsal {
            return try await self.client.execute(statement, [campaign]).first?.decode(Int.self, named: "rows") ?? 0
        }
        var sum = 0
        while true {
            let count = try await self.client.execute(statement, [campaign]).affectedRows
            sum += count
            if count == 0 { return sum }
        }
    }

    private static let longestLimit = PostgresStatement(
        name: "longest_limit",
        """
        select max((l ->> 'hours')::int)::bigint as hours
        from campaigns k, jsonb_array_elements(k.number_limits) as l
        where k.status in ('draft', 'scheduled', 'running', 'paused')
        """
    )

    private static let endedCampaigns = PostgresStatement(
        name: "ended_campaigns",
        """
        select id, name from campaigns
        where status in ('completed', 'cancelled') and status_changed_at < $1
        order by name
        """
    )

    private static let countContacts = PostgresStatement(
        name: "count_retained_contacts",
        "select count(*) as rows from contacts where campaign_id = $1 and phone_number is not null"
    )

    private static let countAttempts = PostgresStatement(
        name: "count_retained_attempts",
        """
        select count(*) as rows from call_attempts
        where campaign_id = $1 and phone_number is not null and ended_at is not null
        """
    )

    private static let forgetContacts = PostgresStatement(
        name: "forget_contacts",
        """
        update contacts c
        set phone_number = null, external_contact_id = null, email = null, preferred_language = null,
            consent_source = null, consent_proof = null,
            state = case when c.state in ('completed', 'refused', 'not_reached') then c.state else 'excluded' end,
            next_attempt_at = null, \(CallStore.noClaim),
            excluded_reason = case
                when c.state in ('pending', 'in_progress') then 'erased' else c.excluded_reason
            end,
            erased_at = now()
        where c.id = any (array(
            select o.id from contacts o
            where o.campaign_id = $1 and o.phone_number is not null
                and not exists (
                    select from call_attempts a where a.phone_number = o.phone_number and a.ended_at is null)
            limit 5000
            for no key update skip locked))
        """
    )

    private static let forgetAttempts = PostgresStatement(
        name: "forget_attempts",
        """
        update call_attempts
        set phone_number = null, provider_call_id = null, metadata = null
        where id = any (array(
            select a.id from call_attempts a
            where a.campaign_id = $1 and a.phone_number is not null and a.ended_at is not null
            limit 5000))
        """
    )

    private static let forgetEvents = PostgresStatement(
        name: "forget_events",
        """
        update survey_events set external_contact_id = null
        where campaign_id = $1 and external_contact_id is not null
        """
    )
}
