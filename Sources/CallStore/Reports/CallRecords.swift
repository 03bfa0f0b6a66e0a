// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation
import Postgres

extension CallStore {
    /// A call as it is recorded: one attempt, or a claim that no dialer has begun yet.
    public struct CallRecord: Sendable, Equatable {
        /// Its id.
        public let callID: UUID
        /// The attempt's id; nil while it is only claimed.
        public let attemptID: Int?
        /// Its campaign's name.
        public let campaign: String
        /// Its trunk.
        public let trunk: String
        /// The contact.
        public let contactID: UUID
        /// The contact's id in the system that it comes from.
        public let externalID: String?
        /// The number; nil when it was erased.
        public let phoneNumber: String?
        /// Which attempt of the contact it is, from 1.
        public let attemptNumber: Int
        /// Who places and watches it.
        public let dialerID: String?
        /// How it stands: `claimed`, or the attempt's status.
        public let status: String
        /// How it ended.
        public let outcome: String?
        /// Whether it is charged; false when the provider definitely placed nothing, or we hung up before anybody answered.
        public let isCounted: Bool
        /// When each step was taken.
        public let times: Times
        /// What was said of it.
        public let reports: Reports
        /// By what it was allowed, as far as it is kept with the attempt.
        public let permission: Permission

        /// When each step was taken; nil for those that were not.
        public struct Times: Sendable, Equatable {
            /// A selector claimed the contact; by that process's clock, to the millisecond.
            public let claimed: Date
            /// The attempt's row was made, right before the provider was asked.
            public let started: Date?
            /// The provider took it.
            public let placed: Date?
            /// The phone rang.
            public let rang: Date?
            /// Somebody or something answered.
            public let answered: Date?
            /// We asked the provider to cancel it.
            public let cancelRequested: Date?
            /// It ended.
            public let ended: Date?
            /// Until when it must have ended, or the claim has expired.
            public let deadline: Date
        }

        /// What provider and interview said of it.
        public struct Reports: Sendable, Equatable {
            /// The provider's id of the call.
            public let providerCallID: String?
            /// The provider's last word.
            public let providerStatus: String?
            /// Who answered, where the provider tells people from machines.
            public let answeredBy: String?
            /// Why it failed.
            public let errorCode: String?
            /// The interview's own word.
            public let interview: String?
            /// When that came.
            public let interviewAt: Date?
        }

        /// What was noted when it was allowed.
        public struct Permission: Sendable, Equatable {
            /// The policy and its version.
            public let policy: String?
            /// Whether consent was on record.
            public let hadConsent: Bool?
            /// The part of the week that it was charged to, from 1.
            public let dayPart: Int?
        }
    }

    /// Which calls are meant.
    public struct CallFilter: Sendable {
        /// Only of these contacts; nil for any.
        public var contacts: [UUID]?
        /// Only of the campaign with this id.
        public var campaign: UUID?
        /// Only those that have not ended.
        public var isOpen = false

        /// Means all.
        public init() {}
    }

    /// Looks a call up by the id that its claim was given.
    /// - Returns: Its attempt, else the claim that waits for a dialer; nil when neither is there.
    /// - Throws: `PostgresError`.
    public func call(id: UUID) async throws -> CallRecord? {
        if let row = try await self.client.execute(Self.selectCall, [id, Int?.none]).first {
            return try Self.call(row)
        }
        return try await self.client.execute(Self.selectClaimedCall, [id]).first.map(Self.call)
    }

    /// Looks a call up by its attempt's id.
    /// - Throws: `PostgresError`.
    public func call(attemptID: Int) async throws -> CallRecord? {
        try await self.client.execute(Self.selectCall, [UUID?.none, attemptID]).first.map(Self.call)
    }

    /// Attempts, the latest first.
    /// - Parameters:
    ///   - filter: Which.
    ///   - limit: So many at most.
    /// - Returns: The attempts.
    /// - Throws: `PostgresError`.
    public func calls(_ filter: CallFilter, limit: Int) async throws -> [CallRecord] {
        let rows =
            if let contacts = filter.contacts {
                try await self.client.execute(
                    Self.selectCallsOfContacts,
                    [contacts, filter.campaign, filter.isOpen, limit]
                )
            } else if filter.isOpen {
                try await self.client.execute(Self.selectOpenCalls, [filter.campaign, limit])
            } else {
                try await self.client.execute(Self.selectCallsOfCampaign, [filter.campaign, limit])
            }
        return try rows.map(Self.call)
    }

    /// The contacts that are called by one of these numbers, in all campaigns.
    /// - Throws: `PostgresError`.
    public func contactIDs(phoneNumbers: [String]) async throws -> [UUID] {
        try await self.client.execute(Self.selectContactsByNumber, [phoneNumbers]).map { try $0.decode(named: "id") }
    }

    /// The contacts that have this id in the system that they come from. Reads every contact: there is no index by it, which
    /// each change of a contact would pay for.
    /// - Throws: `PostgresError`.
    public func contactIDs(externalID: String) async throws -> [UUID] {
        try await self.client.execute(Self.selectContactsByExternalID, [externalID]).map { try $0.decode(named: "id") }
    }

    /// Whether there is a contact with this id.
    /// - Throws: `PostgresError`.
    public func hasContact(_ id: UUID) async throws -> Bool {
        try await self.client.execute(Self.selectContactByID, [id]).count > 0
    }

    /// When a call's contact was claimed: the time that its id, a UUID of version 7, carries.
    static func claimTime(_ callID: String) -> String {
        "to_timestamp(('x' || left(replace(\(callID)::text, '-', ''), 12))::bit(48)::bigint / 1000.0)"
    }

    private static func call(_ row: PostgresRow) throws -> CallRecord {
        CallRecord(
            callID: try row.decode(named: "call_id"),
            attemptID: try row.decode(named: "attempt_id"),
            campaign: try row.decode(named: "campaign"),
            trunk: try row.decode(named: "trunk"),
            contactID: try row.decode(named: "contact_id"),
            externalID: try row.decode(named: "external_contact_id"),
            phoneNumber: try row.decode(named: "phone_number"),
            attemptNumber: try row.decode(named: "attempt_number"),
            dialerID: try row.decode(named: "dialer_id"),
            status: try row.decode(named: "status"),
            outcome: try row.decode(named: "outcome"),
            isCounted: try row.decode(named: "counted"),
            times: CallRecord.Times(
                claimed: try row.decode(named: "claimed_at"),
                started: try row.decode(named: "started_at"),
                placed: try row.decode(named: "placed_at"),
                rang: try row.decode(named: "ringing_at"),
                answered: try row.decode(named: "answered_at"),
                cancelRequested: try row.decode(named: "cancel_requested_at"),
                ended: try row.decode(named: "ended_at"),
                deadline: try row.decode(named: "deadline_at")
            ),
            reports: CallRecord.Reports(
                providerCallID: try row.decode(named: "provider_call_id"),
                providerStatus: try row.decode(named: "provider_raw_status"),
                answeredBy: try row.decode(named: "answered_by"),
                errorCode: try row.decode(named: "error_code"),
                interview: try row.decode(named: "survey_outcome"),
                interviewAt: try row.decode(named: "survey_reported_at")
            ),
            permission: CallRecord.Permission(
                policy: try row.decode(named: "policy"),
                hadConsent: try row.decode(named: "had_consent"),
                dayPart: try row.decode(named: "day_part")
            )
        )
    }

    private static let callColumns = """
        a.call_id, a.id as attempt_id, k.name as campaign, k.trunk, a.contact_id, c.external_contact_id, a.phone_number,
            a.attempt_number::bigint as attempt_number, a.dialer_id, a.status, a.outcome, a.counted,
            \(CallStore.claimTime("a.call_id")) as claimed_at, a.started_at, a.placed_at, a.ringing_at, a.answered_at,
            a.cancel_requested_at, a.ended_at, a.deadline_at, a.provider_call_id, a.provider_raw_status, a.answered_by,
            a.error_code, a.survey_outcome, a.survey_reported_at, a.policy, a.had_consent, a.day_part::bigint as day_part
        """

    private static let selectCall = PostgresStatement(
        """
        select \(CallStore.callColumns)
        from call_attempts a
        join campaigns k on k.id = a.campaign_id
        left join contacts c on c.id = a.contact_id
        where a.call_id = $1 or a.id = $2
        """,
        prepared: false
    )

    /// Among those that are claimed, which are few.
    private static let selectClaimedCall = PostgresStatement(
        """
        select c.call_id, null::bigint as attempt_id, k.name as campaign, k.trunk, c.id as contact_id, c.external_contact_id,
            c.phone_number, c.attempts_count::bigint + 1 as attempt_number, null::text as dialer_id, 'claimed' as status,
            null::text as outcome, false as counted, \(CallStore.claimTime("c.call_id")) as claimed_at,
            null::timestamptz as started_at, null::timestamptz as placed_at, null::timestamptz as ringing_at,
            null::timestamptz as answered_at, null::timestamptz as cancel_requested_at, null::timestamptz as ended_at,
            c.lease_until as deadline_at, null::text as provider_call_id, null::text as provider_raw_status,
            null::text as answered_by, null::text as error_code, null::text as survey_outcome,
            null::timestamptz as survey_reported_at, null::text as policy, null::boolean as had_consent,
            null::bigint as day_part
        from contacts c
        join campaigns k on k.id = c.campaign_id
        where c.state = 'in_progress' and c.prior_state is not null and c.call_id = $1
        """,
        prepared: false
    )

    /// By number, for which there is an index; whoever was erased has none, and few of those are asked for.
    private static let selectCallsOfContacts = PostgresStatement(
        """
        select \(CallStore.callColumns)
        from contacts c
        join campaigns k on k.id = c.campaign_id
        cross join lateral (
            select * from call_attempts o where o.phone_number = c.phone_number and o.contact_id = c.id
            union all
            select * from call_attempts o
            where c.phone_number is null and o.campaign_id = c.campaign_id and o.contact_id = c.id) a
        where c.id = any ($1::uuid[]) and ($2::uuid is null or c.campaign_id = $2) and (not $3 or a.ended_at is null)
        order by a.started_at desc, a.id desc
        limit $4
        """,
        prepared: false
    )

    private static let selectOpenCalls = PostgresStatement(
        """
        select \(CallStore.callColumns)
        from call_attempts a
        join campaigns k on k.id = a.campaign_id
        left join contacts c on c.id = a.contact_id
        where a.ended_at is null and ($1::uuid is null or a.campaign_id = $1)
        order by a.started_at desc, a.id desc
        limit $2
        """,
        prepared: false
    )

    private static let selectCallsOfCampaign = PostgresStatement(
        """
        select \(CallStore.callColumns)
        from call_attempts a
        join campaigns k on k.id = a.campaign_id
        left join contacts c on c.id = a.contact_id
        where a.campaign_id = $1
        order by a.started_at desc, a.id desc
        limit $2
        """,
        prepared: false
    )

    /// One campaign after the other, for that is how the unique index goes.
    private static let selectContactsByNumber = PostgresStatement(
        """
        select c.id
        from campaigns k
        join contacts c on c.campaign_id = k.id and c.phone_number = any ($1::text[])
        """,
        prepared: false
    )

    private static let selectContactsByExternalID = PostgresStatement(
        "select id from contacts where external_contact_id = $1",
        prepared: false
    )

    private static let selectContactByID = PostgresStatement("select id from contacts where id = $1", prepared: false)
}
