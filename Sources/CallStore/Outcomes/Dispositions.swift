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
    /// state says once they are completed or refused. Summed up from counters that are kept with each change.
    /// - Parameter campaign: The campaign.
    /// - Returns: The counts.
    /// - Throws: `PostgresError`.
    public func dispositions(campaign: UUID) async throws -> CampaignDispositions {
        var dispositions = CampaignDispositions()
        let rows = try await self.client.execute(Self.countDispositions, [campaign])
        for index in 0..<rows.count {
            let row = rows[index]
            let rank: Int = try row.decode(named: "rank")
            guard let disposition = Disposition(counted: rank) else {
                throw StoreError(code: .schemaMismatch, message: "disposition \(rank) is unknown here")
            }
            let count: Int = try row.decode(named: "contacts")
            dispositions.counts[disposition, default: 0] += count
            if try row.decode(Bool.self, named: "is_final") { dispositions.final[disposition, default: 0] += count }
            if disposition == .interview, try !row.decode(Bool.self, named: "is_reported") {
                dispositions.unreportedInterviews += count
            }
        }
        return dispositions
    }

    /// The ``Disposition`` of an attempt `a` as it is counted, null unless it is over and was charged.
    static let dispositionOfAttempt =
        "attempt_disposition(a.outcome, a.counted, a.answered_by, a.error_code, a.survey_outcome)"

    /// The ``Disposition`` of a contact, or of a sum of contacts, `c`, as it is counted.
    static let dispositionOfContact = """
        (case c.state
            when 'completed' then least(c.disposition, 1)
            when 'refused' then 2
            else c.disposition
        end)
        """

    /// Whether nothing more will come of a contact `c` of the campaign `k`.
    static let contactIsFinal = """
        (c.state in ('completed', 'refused', 'excluded')
            or c.state <> 'in_progress' and (c.next_attempt_at is null or k.status in ('completed', 'cancelled')))
        """

    private static let countDispositions = PostgresStatement(
        name: "count_dispositions",
        """
        select \(CallStore.dispositionOfContact)::bigint as rank,
            c.state in ('completed', 'refused', 'excluded')
                or c.state <> 'in_progress' and (not c.is_waiting or k.status in ('completed', 'cancelled')) as is_final,
            c.disposition = 0 as is_reported, sum(c.contacts)::bigint as contacts
        from contact_counts c
        join campaigns k on k.id = c.campaign_id
        where c.campaign_id = $1
        group by 1, 2, 3
        having sum(c.contacts) <> 0
        """
    )
}

extension Disposition {
    /// From the database, which counts interviews that were reported apart from those that only the provider tells of: as 0.
    init?(counted rank: Int) {
        self.init(rawValue: max(1, rank))
    }
}
