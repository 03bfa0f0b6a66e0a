// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Postgres

extension CallStore {
    private static let openColumns = """
        a.call_id, a.campaign_id, a.phone_number, coalesce(k.caller_id, a.phone_number) as caller_id, a.provider_call_id,
        a.status, a.started_at, a.deadline_at, k.ring_timeout_seconds::bigint as ring_timeout_seconds, now() as asked_at
        """

    static let adoptAttempts = PostgresStatement(
        name: "adopt_attempts",
        """
        update call_attempts a
        set dialer_id = $2
        from campaigns k
        where a.call_id = any ($1::uuid[]) and a.ended_at is null and k.id = a.campaign_id
        returning \(CallStore.openColumns)
        """
    )

    static let attemptsOfDialer = PostgresStatement(
        name: "attempts_of_dialer",
        """
        select \(CallStore.openColumns)
        from call_attempts a
        join campaigns k on k.id = a.campaign_id
        where a.ended_at is null and a.dialer_id = $1
        """
    )

    static let endedAmong = PostgresStatement(
        name: "ended_among",
        "select call_id from call_attempts where call_id = any ($1::uuid[]) and ended_at is not null"
    )

    static let errorCodesAmong = PostgresStatement(
        name: "error_codes_among",
        "select call_id, error_code from call_attempts where call_id = any ($1::uuid[]) and error_code is not null"
    )

    static let boundAmong = PostgresStatement(
        name: "bound_among",
        """
        select a.provider_call_id, a.call_id
        from unnest($1::text[], $2::text[]) as w (provider_call_id, phone_number)
        join call_attempts a on a.phone_number = w.phone_number and a.provider_call_id = w.provider_call_id
        """
    )

    /// It is noted before the provider is asked: whoever records how such a call ended must know that we hung up, also
    /// when this process is gone by then. A row that a report holds just now is looked at the next time.
    static let cancelAmong = PostgresStatement(
        name: "cancel_among",
        """
        with forbidden as materialized (
            select a.id, a.call_id, a.cancel_requested_at
            from call_attempts a
            join campaigns k on k.id = a.campaign_id
            join contacts c on c.id = a.contact_id
            join campaign_strata s on s.id = c.stratum_id
            left join trunks t on t.name = k.trunk
            where a.call_id = any ($1::uuid[]) and a.ended_at is null and a.status in ('placed', 'ringing', 'unknown')
                and a.provider_call_id is not null
                and (k.status <> 'running' or t.paused_at is not null or c.state = 'excluded'
                    or coalesce(
                        call_window_closes_at_if_known(
                            k.calling_week, blocked_in(k.blocked_dates, s.region),
                            \(CallStore.zonesOfContact), now()),
                        '-infinity') = '-infinity'
                    or \(CallStore.excludedUntil("a.phone_number", "k.id")) is not null)
            order by a.call_id
            for no key update of a skip locked)
        , marked as (
            update call_attempts a
            set cancel_requested_at = now()
            where a.id = any (array(select f.id from forbidden f where f.cancel_requested_at is null)))
        select f.call_id from forbidden f
        """
    )

    static let markAttemptsPlaced = PostgresStatement(
        name: "mark_attempts_placed",
        """
        -- In the order in which reports take the rows, or the two would wait for each other.
        with placed as materialized (
            select a.id, p.provider_call_id, p.raw_status
            from unnest($1::uuid[], $2::text[], $3::text[]) as p (call_id, provider_call_id, raw_status)
            join call_attempts a on a.call_id = p.call_id
            -- A report that was quicker has told all of this.
            where a.provider_call_id is null or a.placed_at is null or a.status in ('placing', 'unknown')
            order by a.call_id
            for no key update of a)
        update call_attempts a
        set provider_call_id = coalesce(a.provider_call_id, p.provider_call_id),
            placed_at = coalesce(a.placed_at, now()),
            provider_raw_status = case when a.report_rank = 0 then p.raw_status else a.provider_raw_status end,
            status = case when a.status in ('placing', 'unknown') then 'placed' else a.status end
        from placed p
        where a.id = p.id
        """
    )

    static let markAttemptUnknown = PostgresStatement(
        name: "mark_attempt_unknown",
        """
        update call_attempts
        set status = 'unknown', error_code = $2
        where call_id = $1 and status = 'placing'
        """
    )

    /// Gives the contact of the attempt in `closed` back uncharged. One that was excluded meanwhile stays excluded.
    /// - Parameter seconds: The parameter that says how long it rests.
    /// - Returns: A part of a statement whose `$1` is the call.
    static func givenBack(restingFor seconds: String) -> String {
        """
        , given_back as (
            update contacts c
            set day_part_attempts = case
                    when p.day_part is null then c.day_part_attempts
                    else count_day_part(c.day_part_attempts, p.day_part, -1)
                end,
                state = case
                    when c.state <> 'in_progress' then c.state
                    when c.attempts_count <= 1 then 'pending'
                    else 'not_reached'
                end,
                next_attempt_at = case
                    when c.state = 'in_progress' then now() + make_interval(secs => \(seconds))
                end,
                attempts_count = greatest(0, c.attempts_count - 1), call_id = null, lease_until = null
            from closed p
            where c.id = (select contact_id from closed) and c.call_id = $1)
        """
    }

    static let revertUnplaced = PostgresStatement(
        name: "revert_unplaced",
        """
        with closed as (
            update call_attempts
            set status = 'ended', ended_at = now(), outcome = 'failed', error_code = $2, counted = false
            where call_id = $1 and status = 'placing' and report_rank = 0
            returning call_id, contact_id, day_part)
        \(CallStore.givenBack(restingFor: "$3"))
        select call_id from closed
        """
    )
}
