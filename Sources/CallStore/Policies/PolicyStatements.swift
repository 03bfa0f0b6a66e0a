// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Postgres

extension CallStore {
    static let selectPolicies = PostgresStatement(
        name: "select_policies",
        """
        select p.document::text as document, p.installed_at, (
            select count(*) from campaigns k where k.policy_name = p.name and k.policy_version = p.version) as campaigns
        from policies p
        """
    )

    static let installPolicy = PostgresStatement(
        name: "install_policy",
        "insert into policies (name, version, document) values ($1, $2, $3::text::jsonb) on conflict do nothing"
    )

    /// A statement of its own: it sees what another process has installed while this one waited.
    static let comparePolicy = PostgresStatement(
        name: "compare_policy",
        "select document = $3::text::jsonb as is_the_same from policies where name = $1 and version = $2"
    )

    static let lockForPolicy = PostgresStatement(
        name: "lock_for_policy",
        """
        select c.status, not isempty(
            coalesce(c.weekly_windows, week_of(c.allowed_call_start_local, c.allowed_call_end_local, c.call_days))
                * $2::text::int4multirange) as has_hours, c.caller_id
        from campaigns c
        where c.name = $1
        for no key update
        """
    )

    /// Dates that are in force without being the former policy's are the campaign's own, even if a program of the version
    /// before has blocked them meanwhile.
    static let applyPolicy = PostgresStatement(
        name: "apply_policy",
        """
        with policy as materialized (
            select coalesce(range_agg(daterange(d, d + 1)), '{}') as blocked from unnest($5::text[]::date[]) as d)
        , changed as (
            update campaigns c
            set policy_name = $2, policy_version = $3, policy_week = $4::text::int4multirange,
                policy_blocked = p.blocked, policy_limits = $6::text::jsonb,
                own_blocked_dates = c.own_blocked_dates + (c.blocked_dates - c.policy_blocked),
                blocked_dates = c.own_blocked_dates + (c.blocked_dates - c.policy_blocked) + p.blocked,
                own_number_limits = coalesce(c.own_number_limits, c.number_limits),
                number_limits = coalesce(c.own_number_limits, c.number_limits) || (
                    select coalesce(jsonb_agg(l order by position), '[]')
                    from jsonb_array_elements($6::text::jsonb) with ordinality as l (l, position)
                    where l not in (
                        select o from jsonb_array_elements(coalesce(c.own_number_limits, c.number_limits)) as o)),
                max_attempts = least(c.max_attempts, $7::bigint::int),
                ring_timeout_seconds = greatest(c.ring_timeout_seconds, $8::bigint::int),
                requires_consent = c.requires_consent or $9, consent_expires = $11::text::interval, policy_zone_evidence = $12,
                zone_evidence = case
                    when zone_evidence_rank(c.zone_evidence) <= zone_evidence_rank($12) then c.zone_evidence else $12
                end,
                updated_at = now()
            from policy p
            where c.name = $1
            returning c.id, c.status)
        insert into campaign_changes (campaign_id, status, reason, actor)
        select id, status, 'policy ' || $2 || '@' || $3, $10 from changed
        """
    )

    /// The campaign is held, so that neither its policy nor its caller ID changes meanwhile.
    static let policyOfCampaign = PostgresStatement(
        name: "policy_of_campaign",
        """
        select p.document::text as document, c.caller_id
        from campaigns c
        left join policies p on p.name = c.policy_name and p.version = c.policy_version
        where c.name = $1
        for no key update of c
        """
    )

    static let selectToday = PostgresStatement(name: "select_today", "select current_date::text as today")

    static let selectOverduePolicies = PostgresStatement(
        name: "select_overdue_policies",
        """
        select p.name || '@' || p.version as policy, p.document ->> 'review_by' as review_by,
            array_agg(k.name order by k.name) as campaigns
        from policies p
        join campaigns k on k.policy_name = p.name and k.policy_version = p.version
        where k.status in ('draft', 'scheduled', 'running', 'paused') and p.document ->> 'review_by' < current_date::text
        group by p.name, p.version
        order by p.name, p.version
        """
    )

    static let selectRules = PostgresStatement(
        name: "select_rules",
        """
        select k.calling_week::text as week, k.policy_name || '@' || k.policy_version as policy, k.requires_consent,
            p.document::text as document
        from campaigns k
        left join policies p on p.name = k.policy_name and p.version = k.policy_version
        where k.name = $1
        """
    )
}
