// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation
import Postgres

extension CallStore {
    /// What came of a refusal.
    public struct ParkedRefusal: Sendable, Equatable {
        /// The contact was refused so often that this is an attempt like any other: nothing has changed, report its failure.
        public var isAttempt = false
        /// The country that was refused, ISO 3166, if its contacts' file or number tells.
        public var country: String?
        /// Until when the country rests.
        public var countryRestsUntil: Date?
    }

    /// A country that the provider does not call.
    public struct CountryRest: Sendable, Codable, Equatable {
        /// The country, ISO 3166.
        public var country: String
        /// Until when it rests; then one contact is tried.
        public var restsUntil: Date
        /// The provider's code.
        public var errorCode: String
    }

    /// Closes an attempt that the provider refused for its number or its country. The contact goes back uncharged, and
    /// rests; from the third refusal with the same code on, refusals are attempts that failed. A country rests with all its contacts, each
    /// time longer until a call to it is taken; when one was taken since the last refusal, it is the number.
    /// - Parameters:
    ///   - callID: The call.
    ///   - errorCode: The provider's code.
    ///   - isCountry: Whether the country was refused.
    ///   - rest: How long the contact rests.
    /// - Returns: What rests; nothing if the attempt was not waiting for the provider's answer any more.
    /// - Throws: `PostgresError`.
    public func parkRefused(
        callID: UUID,
        errorCode: String,
        isCountry: Bool,
        rest: Duration
    ) async throws -> ParkedRefusal {
        let result = try await self.client.execute(Self.parkRefused, [callID, errorCode, isCountry, rest.inSeconds])
        guard let row = result.first else { return ParkedRefusal() }
        return ParkedRefusal(
            isAttempt: try row.decode(named: "is_attempt"),
            country: try row.decode(named: "region"),
            countryRestsUntil: try row.decode(named: "rests_until")
        )
    }

    /// `$1` call, `$2` code, `$3` whether it is the country, `$4` rest in seconds.
    private static let parkRefused = PostgresStatement(
        name: "park_refused",
        """
        with refused as materialized (
            select a.id, a.call_id, a.contact_id, a.campaign_id, 2 <= (
                select count(*)
                from call_attempts o
                where o.phone_number = a.phone_number and o.contact_id = a.contact_id and o.call_id <> a.call_id
                    and not o.counted and o.error_code = $2) as is_attempt
            from call_attempts a
            where a.call_id = $1 and a.status = 'placing' and a.report_rank = 0
            for no key update of a)
        , closed as (
            update call_attempts a
            set status = 'ended', ended_at = now(), outcome = 'failed', error_code = $2, counted = false
            from refused r
            where a.id = r.id and not r.is_attempt
            returning a.call_id, a.contact_id, a.day_part)
        , place as materialized (
            select k.trunk, s.region,
                exists (
                    select
                    from country_rests r
                    cross join lateral (
                        -- The last ones tell enough, and a busy campaign has many.
                        select a.contact_id, a.provider_call_id
                        from call_attempts a
                        where a.campaign_id = p.campaign_id and a.started_at > r.refused_at
                        order by a.started_at desc
                        limit 1000) a
                    join contacts o on o.id = a.contact_id
                    join campaign_strata t on t.id = o.stratum_id
                    where r.trunk = k.trunk and r.region = s.region and t.region = s.region
                        and a.provider_call_id is not null) as is_called
            from refused p
            join contacts c on c.id = p.contact_id
            join campaign_strata s on s.id = c.stratum_id
            join campaigns k on k.id = p.campaign_id
            where $3 and s.region <> '')
        , country as (
            insert into country_rests as r (trunk, region, refused_at, rests_until, pause, error_code)
            select p.trunk, p.region, now(), now() + interval '30 seconds', 30, $2 from place p
            on conflict (trunk, region) do update
            set refused_at = now(), error_code = excluded.error_code,
                -- Several that were under way together are refused once.
                pause = case
                    when (select p.is_called from place p) then 30
                    when r.rests_until > now() then r.pause
                    else least(r.pause * 4, 14400)
                end,
                rests_until = case
                    when (select p.is_called from place p) then r.rests_until
                    when r.rests_until > now() then r.rests_until
                    else now() + make_interval(secs => least(r.pause * 4, 14400))
                end
            returning r.region, r.rests_until)
        \(CallStore.givenBack(restingFor: "$4"))
        select r.is_attempt, y.region, y.rests_until
        from refused r
        left join country y on true
        """
    )
}
