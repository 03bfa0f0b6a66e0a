// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
public import Foundation
import Postgres

extension CallStore {
    /// The caller IDs of all campaigns, and how many campaigns are running.
    /// - Throws: `PostgresError`.
    public func callerIDs() async throws -> (callerIDs: [PhoneNumber], running: Int) {
        let result = try await self.client.execute(Self.selectCallerIDs)
        let running = try result.first?.decode(named: "running") ?? 0
        return (
            try result.map { try $0.decode(String?.self, named: "caller_id") }.compactMap(\.self).map {
                try PhoneNumber($0)
            },
            running
        )
    }

    /// Makes the attempt of a call that the provider knows and the database has forgotten, charged to its contact, open
    /// and watched by nobody yet: the next selection pass offers it to a dialer unless it is ended before.
    /// - Parameters:
    ///   - providerCallID: The provider's id of the call.
    ///   - to: Whom it was for.
    ///   - callerID: The caller ID it was placed with.
    ///   - startedAt: When the provider accepted it.
    /// - Returns: The attempt's new id; nil when the call is known, nobody's, or the number has an open attempt, whose
    ///   dialer asks the provider.
    /// - Throws: `PostgresError`.
    public func recoverAttempt(
        providerCallID: String,
        to: String,
        callerID: PhoneNumber,
        startedAt: Date
    ) async throws -> UUID? {
        try await self.client.withTransaction { connection in
            try await connection.execute(Self.lockRecovery)
            let result = try await connection.execute(
                Self.insertRecovered,
                [providerCallID, to, callerID.e164, startedAt]
            )
            return try result.first?.decode(named: "call_id")
        }
    }

    private static let selectCallerIDs = PostgresStatement(
        name: "select_caller_ids",
        """
        select distinct caller_id, (select count(*) from campaigns where status = 'running') as running
        from campaigns
        """
    )

    /// One at a time, each seeing what the one before has committed: a call is recovered once.
    private static let lockRecovery = PostgresStatement(
        name: "lock_recovery",
        "select pg_advisory_xact_lock(hashtextextended('recover', 5))"
    )

    /// Of several contacts with the number, the one that can still be called: the others keep to the limits per number,
    /// which count the attempt for all campaigns.
    ///
    /// `$1` provider's id, `$2` number, `$3` caller ID, `$4` start.
    private static let insertRecovered = PostgresStatement(
        name: "insert_recovered",
        """
        with contact as materialized (
            select c.id, c.campaign_id, c.attempts_count
            from campaigns k
            join contacts c on c.campaign_id = k.id and c.phone_number = $2
            where k.caller_id = $3
                and not exists (select from call_attempts a where a.phone_number = $2 and a.provider_call_id = $1)
            order by c.state in ('pending', 'not_reached', 'in_progress') desc, k.status_changed_at desc, c.id
            limit 1
            for no key update of c)
        , made as (
            insert into call_attempts (
                call_id, contact_id, campaign_id, attempt_number, phone_number, provider_call_id, dialer_id, status,
                started_at, placed_at, deadline_at)
            select uuid_v7(), c.id, c.campaign_id, least(c.attempts_count + 1, 15), $2, $1, 'recovered', 'placed',
                $4, $4, now() - interval '2 minutes'
            from contact c
            on conflict do nothing
            returning call_id, contact_id)
        , charged as (
            update contacts c
            set attempts_count = c.attempts_count + 1, last_attempt_at = greatest(c.last_attempt_at, $4),
                prior_state = null, call_id = m.call_id, lease_until = now(),
                state = case
                    when c.state in ('pending', 'not_reached', 'in_progress') then 'in_progress' else c.state
                end
            from made m
            where c.id = m.contact_id)
        select call_id from made
        """
    )
}
