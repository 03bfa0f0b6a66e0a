// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Postgres

extension CallStore {
    /// Contacts that were there, or came with an earlier row.
    static let makeStricter = PostgresStatement(
        """
        with wish as materialized (
            select r.phone_number, bool_or(r.do_not_call) as bars,
                coalesce(bool_or(r.has_prior_consent is false), false) as withdraws
            from import_rows r
            where r.do_not_call or r.has_prior_consent is false
            group by r.phone_number)
        , found as materialized (
            select c.id, w.bars, w.withdraws
            from wish w
            cross join lateral (
                select c.id
                from contacts c
                where c.campaign_id = $1 and c.phone_number = w.phone_number
                    and (w.bars and not c.do_not_call or w.withdraws and c.has_prior_consent)
                offset 0) c)
        -- In the order in which all lock contacts.
        , locked as materialized (
            select c.id from contacts c where c.id = any (array(select id from found)) order by c.id for no key update)
        , changed as (
            update contacts c
            set do_not_call = c.do_not_call or f.bars,
                do_not_call_at = case when f.bars and not c.do_not_call then clock_timestamp() else c.do_not_call_at end,
                has_prior_consent = c.has_prior_consent and not f.withdraws,
                \(CallStore.takenOut(
                    if: """
                        (f.bars and c.state in ('pending', 'not_reached', 'in_progress')
                            or f.withdraws and k.requires_consent and \(CallStore.isOpenStory))
                        """,
                    reason: "case when f.bars then 'do_not_call' else 'no consent' end"))
            from found f
            join campaigns k on k.id = $1
            where c.id = f.id and c.id = any (array(select id from locked))
            returning f.bars, f.withdraws)
        select count(*) filter (where bars) as barred, count(*) filter (where withdraws) as withdrawn from changed
        """,
        prepared: false
    )
}
