// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Postgres

/// The counters that reports are made of, held against the rows.
public enum Counters {
    /// Compares them.
    /// - Parameter client: The database.
    /// - Returns: Where they differ; nil where they agree.
    /// - Throws: `PostgresError`.
    public static func differences(in client: PostgresClient) async throws -> String? {
        let result = try await client.execute(PostgresStatement(Self.compare, prepared: false))
        return try result.first?.decode(String?.self, at: 0)
    }

    private static let compare = """
        with row_disposition as (
            select c.id, coalesce(min(attempt_disposition(
                a.outcome, a.counted, a.answered_by, a.error_code, a.survey_outcome)), 9) as disposition
            from contacts c
            left join call_attempts a on a.contact_id = c.id
            group by c.id)
        , counted (what, n) as (
            select concat_ws(
                ' ', 'contacts', c.campaign_id, c.state, c.state <> 'in_progress' and c.next_attempt_at is not null,
                d.disposition), 1
            from contacts c
            join row_disposition d on d.id = c.id
            union all
            select concat_ws(' ', 'attempts', campaign_id, coalesce(outcome, 'open'), counted), 1 from call_attempts
            union all
            select concat_ws(' ', 'contacts', campaign_id, state, is_waiting, disposition), -contacts from contact_counts
            union all
            select concat_ws(' ', 'attempts', campaign_id, coalesce(outcome, 'open'), counted), -attempts
            from attempt_counts)
        select string_agg(w.difference, '; ')
        from (
            select what || ': ' || sum(n) || ' more rows than counted' as difference
            from counted
            group by what
            having sum(n) <> 0) w
        """
}

/// The counters do not say what the rows do.
public struct MiscountError: Error, CustomStringConvertible {
    /// Which.
    public let description: String
}
