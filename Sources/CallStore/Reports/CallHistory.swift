// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
public import Foundation
import Postgres

extension CallStore {
    /// What is kept around a call, but not with it.
    public struct CallHistory: Sendable {
        /// The campaign's rules as they were when the attempt was made; nil when they are not known, or none was made.
        public let rules: Rules?
        /// Judged again from the rows, by the rules as they were; nil when no attempt was made.
        public let judgement: AuditedCall?
        /// What the survey's own systems were told because of this call.
        public let events: [Event]
        /// The appointment that its interview has made.
        public let appointment: Appointment?

        /// A campaign's rules from an instant on.
        public struct Rules: Sendable {
            /// Since when they were in force.
            public let validFrom: Date
            /// The calling week.
            public let week: CallingWeek
            /// The zone of contacts that have none of their own.
            public let timeZone: String
            /// The limits of a number over all campaigns.
            public let limits: [NumberLimit]
            /// Whether consent had to be on record.
            public let requiresConsent: Bool
            /// How many attempts a contact may have.
            public let maximumAttempts: Int
            /// When the campaign was to end.
            public let endsAt: Date?
        }

        /// An event of the survey.
        public struct Event: Sendable {
            /// Its id.
            public let id: UUID
            /// What happened, such as `completed`.
            public let kind: String
            /// When.
            public let occurredAt: Date
            /// When the broker had it; nil while it waits.
            public let publishedAt: Date?
        }

        /// When somebody wants to be called.
        public struct Appointment: Sendable {
            /// From when on.
            public let from: Date
            /// Until when.
            public let until: Date
        }
    }

    /// What is kept around a call.
    /// - Parameter call: The call.
    /// - Returns: It, as far as it is known.
    /// - Throws: `PostgresError`.
    public func history(of call: CallRecord) async throws -> CallHistory {
        var judgement: AuditedCall?
        if let started = call.times.started {
            // Times are told to the microsecond, and a Date rounds.
            try await self.audit(from: started - 0.001, to: started + 0.001, campaign: nil) { page in
                judgement = judgement ?? page.first { $0.callID == call.callID }
            }
        }
        let rules = try await self.client.execute(Self.selectRulesOfCall, [call.callID]).first
        let events = try await self.client.execute(Self.selectEventsOfCall, [call.callID])
        let appointment = try await self.client.execute(Self.selectAppointmentOfCall, [call.callID]).first
        return CallHistory(
            rules: try rules.map(Self.rules),
            judgement: judgement,
            events: try events.map { row in
                CallHistory.Event(
                    id: try row.decode(named: "event_id"),
                    kind: try row.decode(named: "kind"),
                    occurredAt: try row.decode(named: "occurred_at"),
                    publishedAt: try row.decode(named: "published_at")
                )
            },
            appointment: try appointment.map { row in
                CallHistory.Appointment(
                    from: try row.decode(named: "appointed_at"),
                    until: try row.decode(named: "appointed_until")
                )
            }
        )
    }

    private static func rules(_ row: PostgresRow) throws -> CallHistory.Rules {
        let limits = try row.decode(String.self, named: "number_limits")
        return CallHistory.Rules(
            validFrom: try row.decode(named: "valid_from"),
            week: try CallingWeek(multirange: row.decode(String.self, named: "calling_week")),
            timeZone: try row.decode(named: "time_zone"),
            limits: try JSONDecoder().decode([NumberLimit].self, from: Data(limits.utf8)),
            requiresConsent: try row.decode(named: "requires_consent"),
            maximumAttempts: try row.decode(named: "max_attempts"),
            endsAt: try row.decode(named: "ends_at")
        )
    }

    private static let selectRulesOfCall = PostgresStatement(
        """
        select r.valid_from, r.calling_week::text as calling_week, r.time_zone, r.number_limits::text as number_limits,
            r.requires_consent, r.max_attempts::bigint as max_attempts, r.ends_at
        from call_attempts a
        join campaign_rules r on r.campaign_id = a.campaign_id and r.valid_from <= a.started_at
        where a.call_id = $1
        order by r.id desc
        limit 1
        """,
        prepared: false
    )

    /// By contact, for which there is an index.
    private static let selectEventsOfCall = PostgresStatement(
        """
        select e.event_id, e.kind, e.occurred_at, e.published_at
        from call_attempts a
        join survey_events e on e.contact_id = a.contact_id and e.call_id = a.call_id
        where a.call_id = $1
        order by e.occurred_at, e.event_id
        """,
        prepared: false
    )

    private static let selectAppointmentOfCall = PostgresStatement(
        """
        select p.appointed_at, p.appointed_until
        from call_attempts a
        join appointments p on p.contact_id = a.contact_id and p.source_call_id = a.call_id
        where a.call_id = $1
        """,
        prepared: false
    )
}
