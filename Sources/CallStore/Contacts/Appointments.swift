// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
public import Foundation
import Postgres

extension CallStore {
    /// What came of an appointment that somebody wants to make.
    public struct AppointmentVerdict: Sendable, Equatable {
        /// The answer.
        public enum Answer: String, Sendable {
            /// It is made.
            case appointed
            /// Its time has passed.
            case past
            /// The contact is excluded, or its story is over.
            case over
            /// The contact has no attempt left.
            case attemptsUsedUp = "attempts_used_up"
            /// Nobody may be called there at that time.
            case windowClosed = "window_closed"
            /// The time has no offset, and the contact's own is not known.
            case zoneUnknown = "zone_unknown"
            /// There is no such contact any more.
            case unknown
        }

        /// The name of the contact's campaign.
        public let campaign: String
        /// The answer.
        public let answer: Answer
        /// The time, as it is at the contact's place.
        public let localTime: String
        /// When the window opens next, there, if it is closed then; nil if it does not.
        public let opensAt: String?
    }

    /// How a campaign's appointments stand.
    public struct AppointmentCounts: Sendable, Equatable {
        /// To come.
        public let open: Int
        /// A person was reached.
        public let kept: Int
        /// Nobody answered, twice.
        public let unanswered: Int
        /// Let pass without a call.
        public let missed: Int
        /// When the next is.
        public let next: Date?
    }

    /// Makes an appointment with a person in each campaign that is not over.
    /// - Parameters:
    ///   - numbers: The forms of the person's number; empty when `id` is given.
    ///   - id: The contact.
    ///   - start: When; without an offset it is the contact's local time.
    ///   - end: Until when; nil for half an hour.
    ///   - campaign: Only in this campaign.
    /// - Returns: What came of it, by campaign.
    /// - Throws: `PostgresError`.
    public func appoint(
        numbers: [PhoneNumber],
        id: UUID?,
        at start: AppointmentTime,
        until end: AppointmentTime?,
        campaign: UUID?
    ) async throws -> [AppointmentVerdict] {
        let parameters: [any PostgresEncodable] = [
            Self.texts(numbers), id, campaign, start.text, end?.text, start.isLocal || end?.isLocal == true,
        ]
        return try await self.client.execute(Self.appointPersons, parameters).map { row in
            AppointmentVerdict(
                campaign: try row.decode(named: "name"),
                answer: AppointmentVerdict.Answer(rawValue: try row.decode(named: "answer")) ?? .unknown,
                localTime: try row.decode(String?.self, named: "local_time") ?? "",
                opensAt: try row.decode(named: "local_opening")
            )
        }
    }

    /// Takes back the appointments of a person. The next call is due at that time all the same, as any other is.
    /// - Parameters:
    ///   - numbers: The forms of the person's number; empty when `id` is given.
    ///   - id: The contact.
    ///   - campaign: Only in this campaign.
    /// - Returns: How many there were.
    /// - Throws: `PostgresError`.
    public func cancelAppointments(numbers: [PhoneNumber], id: UUID?, campaign: UUID?) async throws -> Int {
        try await self.client.execute(Self.cancelAppointments, [Self.texts(numbers), id, campaign]).affectedRows
    }

    /// Notes appointments whose time has passed without a call; each is tried once more after ten minutes.
    /// - Returns: How many were missed now.
    /// - Throws: `PostgresError`.
    public func noteMissedAppointments() async throws -> Int {
        try await self.client.execute(Self.missAppointments).first?.decode(named: "missed") ?? 0
    }

    /// How a campaign's appointments stand.
    /// - Throws: `PostgresError`.
    public func appointments(campaign: UUID) async throws -> AppointmentCounts {
        let row = try await self.client.execute(Self.countAppointments, [campaign]).first
        func count(_ name: String) throws -> Int { try row?.decode(Int.self, named: name) ?? 0 }
        return AppointmentCounts(
            open: try count("open"),
            kept: try count("kept"),
            unanswered: try count("unanswered"),
            missed: try count("missed"),
            next: try row?.decode(Date?.self, named: "next")
        )
    }

    /// SQL for whether it is time for a contact's appointment.
    static func hasAppointmentNow(_ contact: String) -> String {
        "exists (select from appointments p where p.contact_id = \(contact) and p.done_at is null and p.try_at <= now())"
    }

    /// SQL for how an appointment stands; null when there is none.
    static func stateOfAppointment(_ appointment: String) -> String {
        """
        case
            when \(appointment).contact_id is null then null
            when \(appointment).done_at is null and \(appointment).missed_at is null then 'open'
            when \(appointment).is_kept then 'kept'
            when \(appointment).missed_at is not null then 'missed'
            else 'unanswered'
        end
        """
    }

    /// SQL for an instant that is written with an offset, or without as the local time of zones.
    static func instant(_ text: String, _ zones: String) -> String {
        """
        case
            when \(text) ~ '(Z|[+-][0-9]{2}:?[0-9]{2})$' then (\(text))::timestamptz
            else (\(text))::timestamp at time zone split_part(\(zones), ',', 1)
        end
        """
    }

    /// `$1` call ids, `$2` and `$3` when to call. The call's row first, as whoever records its end locks it.
    static let appointByCalls = PostgresStatement(
        name: "appoint_by_calls",
        """
        with call as materialized (
            select a.contact_id, a.call_id
            from call_attempts a
            where a.call_id = any ($1::uuid[]) and coalesce(a.survey_outcome, 'callback') = 'callback'
            order by a.call_id
            for no key update)
        select appoint_contact(c.contact_id, t.starts, t.ends, 'interview', c.call_id)
        from call c
        join unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) as t (call_id, starts, ends) on t.call_id = c.call_id
        """
    )

    static let eraseAppointments = PostgresStatement(
        name: "erase_appointments",
        "delete from appointments where contact_id = any ($1::uuid[])"
    )

    /// `$1` campaign. What is staged, its contacts in order.
    static let appointStaged = PostgresStatement(
        """
        with wanted as materialized (
            select c.id, r.appointment_at, r.appointment_until, coalesce(r.time_zone, k.time_zone) as zones
            from import_rows r
            join campaigns k on k.id = $1
            join contacts c on c.campaign_id = k.id and c.phone_number = r.phone_number
            where r.appointment_at is not null
            order by c.id)
        , made as materialized (
            select appoint_contact(
                w.id, \(CallStore.instant("w.appointment_at", "w.zones")),
                \(CallStore.instant("w.appointment_until", "w.zones")), 'import', null) as answer
            from wanted w)
        select count(*) filter (where answer = 'appointed') as appointed,
            count(*) filter (where answer <> 'appointed') as others
        from made
        """,
        prepared: false
    )

    /// `$1` numbers, `$2` contact, `$3` campaign, `$4` and `$5` when, `$6` whether that is local time.
    private static let appointPersons = PostgresStatement(
        name: "appoint_persons",
        """
        with hit as materialized (
            select c.id, k.name, k.calling_week, \(CallStore.zonesOfContact) as zones,
                blocked_in(k.blocked_dates, s.region) as blocked
            from campaigns k
            cross join lateral (
                select * from contacts c
                where c.campaign_id = k.id and (c.phone_number = any ($1::text[]) or c.id = $2::uuid)
                offset 0) c
            join campaign_strata s on s.id = c.stratum_id
            where k.status not in ('completed', 'cancelled') and ($3::uuid is null or k.id = $3)
            order by c.id)
        , timed as materialized (
            select h.*, $6::boolean and h.zones like '%,%' as is_unknown,
                \(CallStore.instant("$4::text", "h.zones")) as starts,
                \(CallStore.instant("$5::text", "h.zones")) as ends
            from hit h)
        , opened as materialized (
            select t.*,
                case when not t.is_unknown then
                    call_window_opens_at(t.calling_week, t.blocked, t.zones, t.starts)
                end as opens_at
            from timed t)
        select o.name,
            case
                when o.is_unknown then 'zone_unknown'
                when o.starts > now() and o.opens_at is distinct from o.starts then 'window_closed'
                else appoint_contact(o.id, o.starts, o.ends, 'person', null)
            end as answer,
            to_char(o.starts at time zone split_part(o.zones, ',', 1), 'Dy YYYY-MM-DD HH24:MI') as local_time,
            case when o.opens_at > o.starts and o.opens_at < 'infinity' then
                to_char(o.opens_at at time zone split_part(o.zones, ',', 1), 'Dy YYYY-MM-DD HH24:MI')
            end as local_opening
        from opened o
        order by o.name
        """
    )

    private static let cancelAppointments = PostgresStatement(
        name: "cancel_appointments",
        """
        with hit as materialized (
            select c.id
            from campaigns k
            cross join lateral (
                select c.id from contacts c
                where c.campaign_id = k.id and (c.phone_number = any ($1::text[]) or c.id = $2::uuid)
                offset 0) c
            where $3::uuid is null or k.id = $3)
        delete from appointments a
        using hit h
        where a.contact_id = h.id and a.done_at is null
        """
    )

    /// Of contacts that are called no more there is nothing to miss.
    private static let missAppointments = PostgresStatement(
        name: "miss_appointments",
        """
        with late as materialized (
            select a.contact_id, a.tries, c.next_attempt_at is not null as is_open
            from appointments a
            join contacts c on c.id = a.contact_id
            where a.done_at is null and a.try_until < now() and c.state <> 'in_progress'
            order by a.contact_id
            for update of a skip locked)
        , noted as (
            update appointments a
            set tries = least(a.tries + 1, 2),
                missed_at = case when l.is_open and l.tries = 0 then now() else a.missed_at end,
                try_at = case when l.tries = 0 then now() + interval '10 minutes' else a.try_at end,
                try_until = case
                    when l.tries = 0 then now() + interval '10 minutes' + (a.appointed_until - a.appointed_at)
                    else a.try_until
                end,
                done_at = case when l.tries > 0 or not l.is_open then now() end,
                is_kept = case when l.tries > 0 or not l.is_open then false end
            from late l
            where a.contact_id = l.contact_id
            returning l.is_open and l.tries = 0 as is_missed)
        select count(*) filter (where is_missed) as missed from noted
        """
    )

    private static let countAppointments = PostgresStatement(
        name: "count_appointments",
        """
        select count(*) filter (where done_at is null) as open, count(*) filter (where is_kept) as kept,
            count(*) filter (where done_at is not null and not is_kept and missed_at is null) as unanswered,
            count(*) filter (where missed_at is not null) as missed, min(try_at) filter (where done_at is null) as next
        from appointments
        where campaign_id = $1
        """
    )
}
