// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import Foundation
import Postgres
import ProviderSimulator
import TestSupport

extension FaultHouse {
    /// Asks everybody.
    func witnesses(poison: Set<String>) async throws -> Witnesses {
        var witnesses = Witnesses()
        witnesses.ledger = try await self.rehearsal.ledger().calls
        witnesses.cap = Self.prefetch * Self.dialers
        witnesses.delays = self.log.delays
        witnesses.poison = poison
        witnesses.attempts = try await self.attempts()
        witnesses.contacts = try await self.rows(
            """
            select id::text, campaign_id::text, phone_number, state, attempts_count::bigint, next_attempt_at, call_id::text
            from contacts
            where campaign_id not in (select id from campaigns where name = '\(Erasures.campaign)')
            """
        ).map { row in
            Witnesses.Contact(
                id: try row.decode(String.self, at: 0),
                campaignID: try row.decode(String.self, at: 1),
                phoneNumber: try row.decode(String?.self, at: 2),
                state: try row.decode(String.self, at: 3),
                attemptsCount: try row.decode(Int.self, at: 4),
                nextAttemptAt: try row.decode(Date?.self, at: 5),
                callID: try row.decode(String?.self, at: 6)
            )
        }
        witnesses.campaigns = try await self.campaigns()
        for row in try await self.rows(
            "select phone_number, created_at, made_by::text from exclusion_list_entries"
        ) {
            witnesses.exclusions[try row.decode(String.self, at: 0)] = Witnesses.Exclusion(
                at: try row.decode(Date.self, at: 1),
                transaction: try Self.transaction(row, at: 2)
            )
        }
        witnesses.room = try await self.room()
        witnesses.takenAt = try await self.rows("select clock_timestamp()")[0].decode(Date.self, at: 0)
        witnesses.surveyRows = try await self.rows(
            "select event_id::text, kind, contact_id::text, call_id::text, published_at is not null from survey_events"
        ).map { row in
            Witnesses.Survey(
                eventID: try row.decode(String.self, at: 0),
                kind: try row.decode(String.self, at: 1),
                contactID: try row.decode(String.self, at: 2),
                callID: try row.decode(String.self, at: 3),
                isPublished: try row.decode(Bool.self, at: 4)
            )
        }
        witnesses.surveyMessages = try await self.drain(Self.surveyQueue).map { delivery in
            try CallMessages.decode(SurveyEvent.self, from: delivery, as: SurveyEvent.messageType)
        }
        for queue in CallTopology.deadLetterQueues {
            witnesses.deadLetters += try await self.drain(queue).map(Self.deadLetter)
        }
        return witnesses
    }

    private func attempts() async throws -> [Witnesses.Attempt] {
        try await self.rows(
            """
            select call_id::text, contact_id::text, campaign_id::text, phone_number, attempt_number::bigint, dialer_id,
                started_at, ended_at, status, outcome, counted, provider_call_id, error_code, survey_outcome, seen::text
            from call_attempts
            """
        ).map { row in
            Witnesses.Attempt(
                callID: try row.decode(String.self, at: 0),
                contactID: try row.decode(String.self, at: 1),
                campaignID: try row.decode(String.self, at: 2),
                phoneNumber: try row.decode(String?.self, at: 3),
                attemptNumber: try row.decode(Int.self, at: 4),
                dialerID: try row.decode(String.self, at: 5),
                startedAt: try row.decode(Date.self, at: 6),
                endedAt: try row.decode(Date?.self, at: 7),
                status: try row.decode(String.self, at: 8),
                outcome: try row.decode(String?.self, at: 9),
                isCounted: try row.decode(Bool.self, at: 10),
                providerCallID: try row.decode(String?.self, at: 11),
                errorCode: try row.decode(String?.self, at: 12),
                surveyOutcome: try row.decode(String?.self, at: 13),
                snapshot: try Self.snapshot(row, at: 14)
            )
        }
    }

    private func campaigns() async throws -> [Witnesses.Campaign] {
        var changes: [String: [(at: Date, transaction: UInt64, status: String)]] = [:]
        // A campaign's row is locked when its change gets its number.
        for row in try await self.rows(
            "select campaign_id::text, changed_at, made_by::text, status from campaign_changes order by id"
        ) {
            changes[try row.decode(String.self, at: 0), default: []].append(
                (
                    try row.decode(Date.self, at: 1), try Self.transaction(row, at: 2),
                    try row.decode(String.self, at: 3)
                )
            )
        }
        return try await self.rows(
            """
            select id::text, name, max_attempts::bigint, retry_interval_minutes::bigint,
                extract(epoch from allowed_call_start_local)::bigint, extract(epoch from allowed_call_end_local)::bigint
            from campaigns
            """
        ).map { row in
            let id = try row.decode(String.self, at: 0)
            var campaign = Witnesses.Campaign(
                id: id,
                name: try row.decode(String.self, at: 1),
                maximumAttempts: try row.decode(Int.self, at: 2),
                retryInterval: TimeInterval(try row.decode(Int.self, at: 3) * 60),
                window: nil,
                changes: changes[id] ?? []
            )
            if let start = try row.decode(Int?.self, at: 4), let end = try row.decode(Int?.self, at: 5) {
                campaign.window = (start, end)
            }
            return campaign
        }
    }

    /// Lets the database note of each attempt what the statement that made it could see, and of each change which
    /// transaction made it: whether the one was known to the other is then no question of time.
    func noteVisibility() async throws {
        for sql in [
            "alter table call_attempts add column seen pg_snapshot default pg_current_snapshot()",
            "alter table campaign_changes add column made_by xid8 default pg_current_xact_id()",
            "alter table exclusion_list_entries add column made_by xid8 default pg_current_xact_id()",
        ] { _ = try await self.rows(sql) }
    }

    static func snapshot(_ row: PostgresRow, at column: Int) throws -> Snapshot {
        let text = try row.decode(String.self, at: column)
        guard let snapshot = Snapshot(text) else { throw Unreadable(text: text) }
        return snapshot
    }

    static func transaction(_ row: PostgresRow, at column: Int) throws -> UInt64 {
        let text = try row.decode(String.self, at: column)
        guard let transaction = UInt64(text) else { throw Unreadable(text: text) }
        return transaction
    }

    private struct Unreadable: Error {
        let text: String
    }

    func rows(_ sql: String) async throws -> [PostgresRow] {
        try await self.client.execute(PostgresStatement(sql, prepared: false), []).map { $0 }
    }

    private func drain(_ queue: String) async throws -> [AMQPDelivery] {
        var deliveries: [AMQPDelivery] = []
        while let delivery = try await self.broker.get(queue) {
            try delivery.ack()
            deliveries.append(delivery)
        }
        return deliveries
    }

    private static func deadLetter(_ delivery: AMQPDelivery) -> Witnesses.DeadLetter {
        let request = try? CallMessages.decode(DialRequest.self, from: delivery, as: DialRequest.messageType)
        let event = try? CallMessages.decode(CallEvent.self, from: delivery, as: CallEvent.messageType)
        var reason = "unknown"
        for header in ["call-scheduler-kind", "x-first-death-reason"] {
            if case .string(let text)? = delivery.message.headers[header] { reason = text }
        }
        return Witnesses.DeadLetter(
            messageID: delivery.message.messageID ?? "",
            type: delivery.message.type ?? "message without a type",
            callID: (request?.callID ?? event?.callID)?.uuidString.lowercased(),
            reason: reason
        )
    }
}
