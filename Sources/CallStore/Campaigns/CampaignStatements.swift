// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Postgres

extension CallStore {
    static let insertCampaign = PostgresStatement(
        name: "insert_campaign",
        """
        with created as (
            insert into campaigns (
                name, language, trunk, priority, max_attempts, retry_interval_minutes,
                allowed_call_start_local, allowed_call_end_local, call_days, time_zone, max_concurrent_calls,
                ring_timeout_seconds, max_call_seconds, detects_machines, caller_id, answer_url, starts_at, ends_at,
                retry_minutes, retry_jitter_percent, weekly_windows, number_limits, outcome_maximums, day_parts,
                requires_consent, weight, calls_per_hour, target_completes, zone_evidence)
            values ($1, $2, $3, $4::bigint, $5::bigint, $6::bigint, $7::text::time, $8::text::time, $9, $10,
                $11::bigint, $12::bigint, $13::bigint, $14, $15, $16, $17, $18, $19::text::jsonb, $20::bigint,
                $21::text::int4multirange, $22::text::jsonb, $23::text::jsonb, $24::text::jsonb,
                $25, $26::bigint, $27::bigint, $28::bigint, $31)
            returning id)
        , cells as (
            insert into campaign_cells (campaign_id, cell, target_completes)
            select c.id, t.key, t.value::int from created c, jsonb_each_text($29::text::jsonb) as t)
        , history as (
            insert into campaign_changes (campaign_id, status, actor)
            select id, 'draft', $30 from created)
        select id from created
        """
    )

    static let selectCampaigns = PostgresStatement(
        name: "select_campaigns",
        """
        select c.id, c.name, c.status, c.status_reason, c.status_changed_at, c.language, c.trunk,
            c.priority::bigint as priority, c.max_attempts::bigint as max_attempts,
            c.retry_interval_minutes::bigint as retry_interval_minutes, c.retry_minutes::text as retry_minutes,
            c.retry_jitter_percent::bigint as retry_jitter_percent,
            to_char(c.allowed_call_start_local, 'HH24:MI') as window_start,
            to_char(c.allowed_call_end_local, 'HH24:MI') as window_end,
            c.call_days, c.weekly_windows::text as weekly_windows,
            c.number_limits::text as number_limits, c.outcome_maximums::text as outcome_maximums,
            c.day_parts::text as day_parts, c.requires_consent, c.weight::bigint as weight,
            c.calls_per_hour::bigint as calls_per_hour, c.target_completes::bigint as target_completes,
            (select coalesce(jsonb_object_agg(q.cell, q.target_completes), '{}')
             from campaign_cells q where q.campaign_id = c.id)::text as cell_targets, c.time_zone, c.zone_evidence,
            c.max_concurrent_calls::bigint as max_concurrent_calls,
            c.ring_timeout_seconds::bigint as ring_timeout_seconds, c.max_call_seconds::bigint as max_call_seconds,
            c.detects_machines, c.caller_id, c.answer_url, c.starts_at, c.ends_at, t.paused_reason
        from campaigns c
        left join trunks t on t.name = c.trunk
        where $1::text is null or c.name = $1
        order by c.created_at desc
        """
    )

    /// The contacts are looked at through the due index, which ends at the first hit.
    static let lockCampaign = PostgresStatement(
        name: "lock_campaign",
        """
        select c.id, c.status, coalesce(c.starts_at > now(), false) as starts_later,
            array_remove(array[
                case when c.caller_id is null then 'caller_id is missing (campaign set --caller-id)' end,
                case when c.answer_url is null then 'answer_url is missing (campaign set --answer-url)' end,
                case when c.ends_at <= now() then 'ends_at has passed' end,
                case when not exists (select from contacts p where p.campaign_id = c.id)
                    then 'it has no contacts (contacts import FILE.csv --campaign NAME)' end
            ], null) as missing
        from campaigns c
        where c.name = $1
        for no key update of c
        """
    )

    static let updateCampaignStatus = PostgresStatement(
        name: "update_campaign_status",
        """
        with changed as (
            update campaigns
            set status = $2, status_reason = $3, status_changed_at = now(), updated_at = now(),
                paused_with_all_at = null, fault = null, fault_since = null, fault_count = 0, retry_at = null
            where id = $1
            returning id)
        insert into campaign_changes (campaign_id, status, reason, actor)
        select id, $2, $3, $4 from changed
        """
    )

    static let pauseRunning = PostgresStatement(
        name: "pause_running",
        """
        with changed as (
            update campaigns
            set status = 'paused', status_reason = $2, status_changed_at = now(), updated_at = now()
            where id = $1 and status = 'running'
            returning id)
        insert into campaign_changes (campaign_id, status, reason, actor)
        select id, 'paused', $2, $3 from changed
        returning id
        """
    )

    static let pauseAll = PostgresStatement(
        name: "pause_all",
        """
        with changed as (
            update campaigns
            set status = 'paused', status_reason = $1, status_changed_at = now(), updated_at = now(),
                paused_with_all_at = now()
            where status in ('running', 'scheduled')
            returning id, name)
        , history as (
            insert into campaign_changes (campaign_id, status, reason, actor)
            select id, 'paused', $1, $2 from changed)
        select name from changed order by name
        """
    )

    static let selectPausedWithAll = PostgresStatement(
        name: "select_paused_with_all",
        "select name from campaigns where status = 'paused' and paused_with_all_at is not null order by name"
    )
}
