// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Postgres

extension CallStore {
    /// Blocks local dates for a campaign, or frees them again; both act at once.
    /// - Parameters:
    ///   - isBlocked: Whether to block or to free.
    ///   - dates: As `YYYY-MM-DD`.
    ///   - name: The campaign's name.
    /// - Returns: How many of the dates the campaign's policy blocks; those cannot be freed.
    /// - Throws: ``StoreError`` when there is no such campaign; `PostgresError`.
    @discardableResult
    public func setBlocked(_ isBlocked: Bool, dates: [String], campaign name: String) async throws -> Int {
        let statement = isBlocked ? Self.blockDates : Self.freeDates
        let result = try await self.client.execute(statement, [name, dates])
        guard let row = result.first else { throw Self.noCampaign(name) }
        return try row.decode(named: "kept")
    }

    /// The dates on which a campaign calls nobody, as ranges like `2026-12-25` or `2026-12-24 to 2026-12-26`, in order.
    /// - Throws: `PostgresError`.
    public func blockedDates(campaign name: String) async throws -> [String] {
        try await self.client.execute(Self.selectBlockedDates, [name]).map { try $0.decode(named: "dates") }
    }

    /// Blocks local dates in a region for all campaigns, or frees them again; both act at once.
    /// - Parameters:
    ///   - isBlocked: Whether to block or to free.
    ///   - dates: As `YYYY-MM-DD`.
    ///   - region: An ISO 3166 code of two capital letters.
    /// - Throws: `PostgresError`.
    public func setBlocked(_ isBlocked: Bool, dates: [String], region: String) async throws {
        try await self.client.execute(isBlocked ? Self.blockRegion : Self.freeRegion, [region, dates])
    }

    /// The dates on which nobody is called, by region, as ranges in order.
    /// - Parameter campaign: Only regions in which this campaign has contacts; nil for all.
    /// - Returns: Regions, a range each.
    /// - Throws: `PostgresError`.
    public func blockedDatesByRegion(campaign: String? = nil) async throws -> [(region: String, dates: String)] {
        try await self.client.execute(Self.selectRegions, [campaign]).map { row in
            (try row.decode(named: "region"), try row.decode(named: "dates"))
        }
    }

    private static let blockRegion = PostgresStatement(
        name: "block_region",
        """
        insert into regions (region, blocked_dates)
        select $1, coalesce(range_agg(daterange(d, d + 1)), '{}') from unnest($2::text[]::date[]) as d
        on conflict (region) do update
            set blocked_dates = regions.blocked_dates + excluded.blocked_dates, updated_at = now()
        """
    )

    private static let freeRegion = PostgresStatement(
        name: "free_region",
        """
        update regions
        set blocked_dates = blocked_dates - (
                select coalesce(range_agg(daterange(d, d + 1)), '{}') from unnest($2::text[]::date[]) as d),
            updated_at = now()
        where region = $1
        """
    )

    private static let selectRegions = PostgresStatement(
        name: "select_regions",
        """
        select g.region, case
            when upper(r) - lower(r) = 1 then lower(r)::text
            else lower(r)::text || ' to ' || (upper(r) - 1)::text
        end as dates
        from regions g, unnest(g.blocked_dates) as r
        where $1::text is null or exists (
            select from campaigns k join campaign_strata s on s.campaign_id = k.id
            where k.name = $1 and s.region = g.region)
        order by g.region, lower(r)
        """
    )

    private static let blockDates = PostgresStatement(
        name: "block_dates",
        """
        update campaigns
        set blocked_dates = blocked_dates + (
                select coalesce(range_agg(daterange(d, d + 1)), '{}') from unnest($2::text[]::date[]) as d),
            own_blocked_dates = own_blocked_dates + (
                select coalesce(range_agg(daterange(d, d + 1)), '{}') from unnest($2::text[]::date[]) as d),
            updated_at = now()
        where name = $1
        returning (select count(*) from unnest($2::text[]::date[]) as d where policy_blocked @> d) as kept
        """
    )

    private static let freeDates = PostgresStatement(
        name: "free_dates",
        """
        update campaigns
        set blocked_dates = blocked_dates - (
                select coalesce(range_agg(daterange(d, d + 1)), '{}') from unnest($2::text[]::date[]) as d)
                + policy_blocked,
            own_blocked_dates = own_blocked_dates - (
                select coalesce(range_agg(daterange(d, d + 1)), '{}') from unnest($2::text[]::date[]) as d),
            updated_at = now()
        where name = $1
        returning (select count(*) from unnest($2::text[]::date[]) as d where policy_blocked @> d) as kept
        """
    )

    private static let selectBlockedDates = PostgresStatement(
        name: "select_blocked_dates",
        """
        select case
            when upper(r) - lower(r) = 1 then lower(r)::text
            else lower(r)::text || ' to ' || (upper(r) - 1)::text
        end as dates
        from campaigns k, unnest(k.blocked_dates) as r
        where k.name = $1
        order by lower(r)
        """
    )
}
