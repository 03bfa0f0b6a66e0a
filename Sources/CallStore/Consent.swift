// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
import Foundation
import Postgres

extension CallStore {
    /// Records that a person has given consent to be called, or has withdrawn it. Withdrawn consent takes the contact out
    /// of a campaign that demands it, at once; given consent brings back one that was out for want of it.
    /// - Parameters:
    ///   - isGiven: Whether consent is given.
    ///   - number: The person's number.
    ///   - campaign: Only in this campaign; nil for all.
    /// - Returns: How many contacts it concerns.
    /// - Throws: ``StoreError`` when there is no such campaign; `PostgresError`.
    public func setConsent(_ isGiven: Bool, number: PhoneNumber, campaign: String?) async throws -> Int {
        let id = if let campaign { try await self.campaign(named: campaign).id } else { nil as UUID? }
        return try await self.client.execute(Self.updateConsent, [number.e164, isGiven, id]).affectedRows
    }

    private static let updateConsent = PostgresStatement(
        name: "update_consent",
        """
        with hit as materialized (
            select p.id, k.requires_consent
            from campaigns k
            cross join lateral (
                select c.id
                from contacts c
                where c.campaign_id = k.id and c.phone_number = $1
                for no key update) p
            where $3::uuid is null or k.id = $3)
        , standing as materialized (
            select c.id,
                -- A live call ends by itself; its contact stays out afterwards.
                h.requires_consent and not $2 and c.state in ('pending', 'not_reached', 'in_progress') as goes_out,
                $2 and c.state = 'excluded' and c.excluded_reason = 'no consent' as comes_back,
                c.state = 'in_progress' and c.prior_state is null as is_live
            from hit h
            join contacts c on c.id = h.id)
        update contacts c
        set has_prior_consent = $2,
            state = case
                when s.goes_out then 'excluded'
                when s.comes_back then case when c.attempts_count = 0 then 'pending' else 'not_reached' end
                else c.state
            end,
            excluded_reason = case when s.goes_out then 'no consent' when not s.comes_back then c.excluded_reason end,
            next_attempt_at = case when s.comes_back then now() when not s.goes_out then c.next_attempt_at end,
            prior_state = case when not s.goes_out then c.prior_state end,
            call_id = case when not s.goes_out or s.is_live then c.call_id end,
            lease_until = case when not s.goes_out or s.is_live then c.lease_until end
        from standing s
        where c.id = s.id and c.id = any (array(select id from hit))
        """
    )
}
