// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
import Foundation
import Postgres

extension CallStore {
    /// Records that a person has given consent to be called, or has withdrawn it; the last word counts. It is kept by the
    /// number, so that contacts which are imported later have it as well. Withdrawn consent takes the contact out of a
    /// campaign that demands it, at once; given consent brings back one that was out for want of it, to where its calls
    /// have left it: in its pause, or over.
    /// - Parameters:
    ///   - isGiven: Whether consent is given.
    ///   - record: When, where and how it was; without a date it is given now.
    ///   - number: The person's number.
    ///   - otherForms: Other ways in which the same number may be stored.
    ///   - campaign: Only in this campaign; nil for all.
    /// - Returns: How many contacts it concerns now.
    /// - Throws: ``StoreError`` when there is no such campaign; `PostgresError`.
    public func setConsent(
        _ isGiven: Bool,
        record: ConsentRecord? = nil,
        number: PhoneNumber,
        otherForms: [PhoneNumber] = [],
        campaign: String?
    ) async throws -> Int {
        let id = if let campaign { try await self.campaign(named: campaign).id } else { nil as UUID? }
        let texts = Self.texts([number] + otherForms)
        return try await self.client.withTransaction { connection in
            try await connection.execute(Self.lockPersons)
            try await connection.execute(Self.forgetConsents, [texts, id])
            try await connection.execute(
                Self.keepConsents,
                [texts, id, isGiven, record?.givenAt, record?.source, record?.proof]
            )
            // Locked by one statement and changed by the next, which sees them as whoever held them before has left them.
            let contacts = try await connection.execute(Self.lockContacts, [texts, id]).map { row in
                try row.decode(UUID.self, named: "id")
            }
            if isGiven {
                try await connection.execute(
                    Self.giveConsent,
                    [
                        contacts, PermanentFailure.codes.sorted(), record?.givenAt, record?.source, record?.proof,
                    ]
                )
            } else {
                try await connection.execute(Self.withdrawConsent, [contacts])
            }
            return contacts.count
        }
    }

    /// SQL that takes a contact `c` out of its campaign: columns and their values for an update. A claim without an attempt
    /// is withdrawn; the call of a live attempt keeps its claim until it ends.
    /// - Parameters:
    ///   - condition: Whether it goes out; never null.
    ///   - reason: Why.
    /// - Returns: A part of `set`.
    static func takenOut(if condition: String, reason: String) -> String {
        """
        state = case when \(condition) then 'excluded' else c.state end,
            excluded_reason = case when \(condition) then \(reason) else c.excluded_reason end,
            next_attempt_at = case when not (\(condition)) then c.next_attempt_at end,
            prior_state = case when not (\(condition)) then c.prior_state end,
            call_id = case
                when not (\(condition)) or c.state = 'in_progress' and c.prior_state is null then c.call_id
            end,
            lease_until = case
                when not (\(condition)) or c.state = 'in_progress' and c.prior_state is null then c.lease_until
            end
        """
    }

    /// Whether a contact `c` may still be called: its story is not over.
    static let isOpenStory = """
        (c.state in ('pending', 'in_progress') or c.state = 'not_reached' and c.next_attempt_at is not null)
        """

    private static let forgetConsents = PostgresStatement(
        name: "forget_consents",
        """
        delete from consents
        where phone_number = any ($1::text[]) and ($2::uuid is null or campaign_id = $2)
        """
    )

    private static let keepConsents = PostgresStatement(
        name: "keep_consents",
        """
        insert into consents (phone_number, campaign_id, is_given, given_at, source, proof)
        select n, $2, $3, $4::text::timestamptz, $5, $6 from unnest($1::text[]) as n
        """
    )

    private static let lockContacts = PostgresStatement(
        name: "lock_contacts",
        """
        with hit as materialized (
            select p.id
            from campaigns k
            cross join lateral (
                select c.id
                from contacts c
                where c.campaign_id = k.id and c.phone_number = any ($1::text[])
                offset 0) p
            where $2::uuid is null or k.id = $2)
        select c.id
        from contacts c
        where c.id = any (array(select id from hit))
        order by c.id
        for no key update
        """
    )

    private static let withdrawConsent = PostgresStatement(
        name: "withdraw_consent",
        """
        update contacts c
        set has_prior_consent = false,
            \(CallStore.takenOut(
                if: "k.requires_consent and \(CallStore.isOpenStory)", reason: "'no consent'"))
        from campaigns k
        where c.id = any ($1::uuid[]) and k.id = c.campaign_id
        """
    )

    /// Where the calls have left a contact that comes back is read from the calls: what it was before it went out may be
    /// out of date, because a call that was live then has ended since. `$2` the errors of numbers that cannot be reached.
    /// Under a policy that lets consent end, one that is too old already brings nobody back.
    private static let giveConsent = PostgresStatement(
        name: "give_consent",
        """
        with standing as materialized (
            select c.id,
                c.state = 'excluded' and c.excluded_reason = 'no consent' and not c.do_not_call
                    and consent_holds(coalesce($3::text::timestamptz, now()), k.consent_expires, now()) as comes_back,
                case
                    -- Its call is live.
                    when c.call_id is not null then 'in_progress'
                    when h.was_refused then 'refused'
                    when h.was_completed then 'completed'
                    when c.attempts_count = 0 then 'pending'
                    else 'not_reached'
                end as state,
                case
                    when h.was_refused or h.was_completed or h.is_used_up or c.attempts_count >= k.max_attempts then null
                    else greatest(now(), h.pause_ends_at)
                end as next_attempt_at,
                h.last_call_id
            from contacts c
            join campaigns k on k.id = c.campaign_id
            cross join lateral (
                select coalesce(bool_or(a.outcome = 'refused'), false) as was_refused,
                    coalesce(bool_or(a.outcome = 'completed'), false) as was_completed,
                    coalesce((array_agg(a.error_code order by a.id desc))[1] = any ($2::text[]), false)
                        or exists (
                            select from jsonb_each_text(k.outcome_maximums) as m (outcome, attempts)
                            where m.attempts::int <= (
                                select count(*) from call_attempts o
                                where o.phone_number = c.phone_number and o.contact_id = c.id and o.counted
                                    and o.outcome = m.outcome)) as is_used_up,
                    (array_agg(\(CallStore.pauseEnd("a", "k")) order by a.id desc))[1] as pause_ends_at,
                    (array_agg(a.call_id order by a.id desc))[1] as last_call_id
                from call_attempts a
                where a.phone_number = c.phone_number and a.contact_id = c.id and a.counted) h
            where c.id = any ($1::uuid[]))
        , changed as (
            update contacts c
            set has_prior_consent = true, consent_at = coalesce($3::text::timestamptz, now()), consent_source = $4,
                consent_proof = $5,
                state = case when s.comes_back then s.state else c.state end,
                excluded_reason = case when not s.comes_back then c.excluded_reason end,
                next_attempt_at = case when s.comes_back then s.next_attempt_at else c.next_attempt_at end
            from standing s
            where c.id = s.id and c.id = any ($1::uuid[])
            returning c.id, c.campaign_id, c.external_contact_id, c.attempts_count, c.state, c.next_attempt_at,
                s.last_call_id, s.comes_back)
        -- A story that has ended while the contact was out.
        insert into survey_events (kind, call_id, contact_id, campaign_id, external_contact_id, attempts)
        select h.state, h.last_call_id, h.id, h.campaign_id, h.external_contact_id, h.attempts_count
        from changed h
        where h.comes_back and h.next_attempt_at is null and h.last_call_id is not null
            and h.state in ('completed', 'refused', 'not_reached')
        on conflict (contact_id, kind) do nothing
        """
    )
}
