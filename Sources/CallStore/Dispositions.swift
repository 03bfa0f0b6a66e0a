// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
public import Foundation
import Postgres

extension CallStore {
    /// A campaign's contacts by disposition.
    public struct CampaignDispositions: Sendable, Equatable {
        /// All contacts.
        public var counts: [Disposition: Int] = [:]
        /// Those of them whose story is over.
        public var final: [Disposition: Int] = [:]
        /// Interviews that nobody has reported: the provider said that the call was completed, and no more was heard.
        public var unreportedInterviews = 0

        /// The outcome rates over all contacts.
        public var rates: OutcomeRates { OutcomeRates(counts: self.counts) }
    }

    /// A campaign's contacts by disposition: the strongest of what their charged attempts have brought, and what their
    /// state says once they are completed or refused.
    /// - Parameter campaign: The campaign.
    /// - Returns: The counts.
    /// - Throws: `PostgresError`.
    public func dispositions(campaign: UUID) async throws -> CampaignDispositions {
        var dispositions = CampaignDispositions()
        let rows = try await self.client.execute(Self.countDispositions, [campaign, PermanentFailure.codes.sorted()])
        for index in 0..<rows.count {
            let row = rows[index]
            let rank = try row.decode(Int.self, at: 0)
            guard let disposition = Disposition(rawValue: rank) else {
                throw StoreError(code: .schemaMismatch, message: "disposition \(rank) is unknown here")
            }
            let count = try row.decode(Int.self, at: 3)
            dispositions.counts[disposition, default: 0] += count
            if try row.decode(Bool.self, at: 1) { dispositions.final[disposition, default: 0] += count }
            if disposition == .interview, try !row.decode(Bool.self, at: 2) {
                dispositions.unreportedInterviews += count
            }
        }
        return dispositions
    }

    /// The ``Disposition`` of an attempt `a` that is over and was charged; `$2` are the codes of ``PermanentFailure``.
    static let dispositionOfAttempt = """
        case
            when a.ended_at is null or not a.counted then null
            when a.outcome = 'completed' then 1
            when a.outcome = 'refused' then 2
            when a.outcome = 'answering_machine' and a.answered_by is distinct from 'fax' then 3
            when a.outcome = 'answering_machine' then 4
            when a.outcome = 'failed' and a.error_code = any ($2::text[]) then 5
            when a.outcome = 'no_answer' then 6
            when a.outcome = 'busy' then 7
            else 8
        end
        """

    /// The ``Disposition`` of a contact `c` whose attempts' smallest is `b.disposition`.
    static let dispositionOfContact = """
        coalesce(case c.state when 'completed' then 1 when 'refused' then 2 end, b.disposition, 9)
        """

    /// Whether nothing more will come of a contact `c` of the campaign `k`.
    static let contactIsFinal = """
        (c.state in ('completed', 'refused', 'excluded')
            or c.state <> 'in_progress' and (c.next_attempt_at is null or k.status in ('completed', 'cancelled')))
        """

    private static let countDispositions = PostgresStatement(
        name: "count_dispositions",
        """
        with best as (
            select a.contact_id, min(\(CallStore.dispositionOfAttempt)) as disposition,
                bool_or(a.survey_outcome is not distinct from 'completed') as is_reported
            from call_attempts a
            where a.campaign_id = $1
            group by a.contact_id)
        select \(CallStore.dispositionOfContact)::bigint, \(CallStore.contactIsFinal),
            coalesce(b.is_reported, false), count(*)
        from contacts c
        join campaigns k on k.id = c.campaign_id
        left join best b on b.contact_id = c.id
        where c.campaign_id = $1
        group by 1, 2, 3
        """
    )
}
