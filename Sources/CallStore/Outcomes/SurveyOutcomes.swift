// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
import Foundation
import Logging
import Postgres

extension CallStore {
    /// Applies what conducted the interviews says: an attempt that is over changes its outcome and its contact, one that
    /// is live remembers the outcome for its end, and an opt-out excludes the number at once. One transaction.
    /// - Parameters:
    ///   - reports: One report per call; merge several with ``SurveyOutcomeReport/merge(_:)``.
    ///   - lockTimeout: How long it waits for a row that somebody else has locked; nil for as long as a statement may take.
    /// - Returns: What they brought.
    /// - Throws: `PostgresError`; nothing was recorded then.
    public func record(_ reports: [SurveyOutcomeReport], lockTimeout: Duration? = nil) async throws -> RecordedBatch {
        guard !reports.isEmpty else { return RecordedBatch() }
        // Whoever sent it may not come again, and two that move the same contacts in different orders may meet: one of them
        // is told by the server to try again.
        for _ in 0..<3 {
            do {
                return try await self.recordOnce(reports, lockTimeout: lockTimeout)
            } catch let error as PostgresError where error.sqlState?.hasPrefix("40") == true {
                self.logger.debug("Outcomes of interviews met others", metadata: ["error": "\(error)"])
            }
        }
        return try await self.recordOnce(reports, lockTimeout: lockTimeout)
    }

    private func recordOnce(_ reports: [SurveyOutcomeReport], lockTimeout: Duration?) async throws -> RecordedBatch {
        try await self.client.withTransaction { connection in
            if let lockTimeout {
                try await connection.execute(Self.limitLocks, [Self.milliseconds(lockTimeout)])
            }
            let callbacks = reports.filter { $0.outcome == .callback && $0.callbackAt != nil }
            if !callbacks.isEmpty {
                try await connection.execute(
                    Self.appointByCalls,
                    [callbacks.map(\.callID), callbacks.map(\.callbackAt), callbacks.map(\.callbackUntil)]
                )
            }
            let result = try await connection.execute(
                Self.recordSurveyOutcomes,
                [reports.map(\.callID), reports.map(\.outcome.rawValue)]
            )
            let batch = try Self.batch(result, reported: reports.map(\.callID))
            let numbers = Set(
                try result.map { row in
                    try row.decode(String?.self, named: "opted_out")
                }.compactMap(\.self)
            ).sorted()
            if !numbers.isEmpty {
                try await connection.execute(
                    Self.insertExclusions,
                    [numbers, "opted out during a call", "api", Date?.none]
                )
                try await connection.execute(Self.excludeContacts, [numbers, UUID?.none, Date?.none])
            }
            return batch
        }
    }

    /// `$1` call ids, `$2` outcomes. The columns are those of `recordReports`, and the number of who opted out.
    private static let recordSurveyOutcomes = PostgresStatement(
        name: "record_survey_outcomes",
        """
        with report as materialized (
            select * from unnest($1::uuid[], $2::text[]) as r (call_id, outcome))
        , before as materialized (
            select a.id, a.call_id, a.ended_at, a.outcome, a.survey_outcome, a.counted
            from call_attempts a
            where a.call_id = any ($1::uuid[])
            order by a.call_id
            for no key update)
        , merged as materialized (
            select b.id, b.outcome as old_outcome, b.counted as was_counted,
                -- The strongest of the two, so that the order does not matter.
                (array['callback', 'completed', 'refused', 'opt_out'])[greatest(
                    array_position(array['callback', 'completed', 'refused', 'opt_out'], b.survey_outcome),
                    array_position(array['callback', 'completed', 'refused', 'opt_out'], r.outcome))] as survey_outcome,
                b.survey_outcome is distinct from r.outcome as is_stronger
            from before b
            join report r on r.call_id = b.call_id)
        , applied as (
            update call_attempts a
            set survey_outcome = m.survey_outcome, survey_reported_at = coalesce(a.survey_reported_at, now()),
                outcome = case
                    when a.ended_at is null then null
                    when m.survey_outcome in ('completed', 'callback') then m.survey_outcome
                    else 'refused'
                end
            from merged m
            where a.id = m.id and a.call_id = any ($1::uuid[])
            returning a.id, a.call_id, a.contact_id, a.campaign_id, a.dialer_id, a.ended_at, a.outcome, a.phone_number,
                a.counted, a.answered_by, a.error_code, a.survey_outcome, m.is_stronger, m.old_outcome, false as is_permanent,
                a.ringing_at, m.was_counted)
        \(CallStore.settleContacts)
        select p.call_id, p.dialer_id, p.ended_at is not null as has_ended, p.is_stronger,
            case when p.ended_at is not null and p.outcome is distinct from p.old_outcome then p.outcome end as new_outcome,
            s.event_id, s.kind, s.contact_id, s.campaign_id, s.external_contact_id, s.attempts::bigint, s.occurred_at,
            k.name as campaign, null::float8 as ring_seconds,
            case when p.survey_outcome = 'opt_out' then p.phone_number end as opted_out
        from applied p
        left join announced s on s.call_id = p.call_id
        left join campaigns k on k.id = p.campaign_id
        """
    )
}
