// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
public import Foundation
import Postgres

extension CallStore {
    /// What the recording of a batch of reports brought.
    public struct RecordedBatch: Sendable {
        /// Calls that are over, with the dialer that holds each.
        public var ended: [(callID: UUID, dialerID: String)] = []
        /// How many reports told something new.
        public var changed = 0
        /// Reports about calls that nobody here has made.
        public var unknownCalls: [UUID] = []
        /// The ends of contacts' stories, to be published.
        public var surveyEvents: [SurveyEvent] = []
        /// The outcomes that were recorded now, one for each call.
        public var outcomes: [RecordedOutcome] = []
    }

    /// An outcome that a call has now and did not have before.
    public struct RecordedOutcome: Sendable, Equatable {
        /// The outcome.
        public let outcome: CallOutcome
        /// The name of the call's campaign.
        public let campaign: String
        /// How long the phone rang before the answer, when both are known.
        public let ringToAnswer: Duration?
    }

    /// Applies reports: monotonic, so that any order and any repetition of a call's reports gives the same row; moves
    /// the contacts; writes survey events to the outbox. One transaction.
    /// - Parameters:
    ///   - reports: One report per call; merge several with ``CallReport/merge(_:)``.
    ///   - lockTimeout: How long it waits for a row that somebody else has locked; nil for as long as a statement may take.
    /// - Returns: What they brought.
    /// - Throws: `PostgresError`; nothing was recorded then.
    public func record(_ reports: [CallReport], lockTimeout: Duration? = nil) async throws -> RecordedBatch {
        guard !reports.isEmpty else { return RecordedBatch() }
        let parameters: [any PostgresEncodable] = [
            reports.map(\.callID), reports.map(\.providerCallID), reports.map { $0.status.rank },
            reports.map(\.errorCode), reports.map(\.rawStatus), reports.map { $0.answeredBy?.rawValue },
            reports.map(\.answeredAt), reports.map { PermanentFailure.matches(errorCode: $0.errorCode) },
            reports.map(\.ringingAt),
        ]
        guard let lockTimeout else {
            // By itself: a transaction would cost two more round trips for each batch.
            let result = try await self.client.execute(Self.recordReports, parameters)
            return try Self.batch(result, reported: reports.map(\.callID))
        }
        return try await self.client.withTransaction { connection in
            try await connection.execute(Self.limitLocks, [Self.milliseconds(lockTimeout)])
            let result = try await connection.execute(Self.recordReports, parameters)
            return try Self.batch(result, reported: reports.map(\.callID))
        }
    }

    /// For the rest of the transaction.
    static let limitLocks = PostgresStatement(name: "limit_locks", "select set_config('lock_timeout', $1, true)")

    /// A time as a setting of the server takes it.
    static func milliseconds(_ time: Duration) -> String { String(max(1, Int(time.inSeconds * 1000))) }

    /// Reads what a statement that applies reports returns.
    static func batch(_ result: PostgresResult, reported: [UUID]) throws -> RecordedBatch {
        var batch = RecordedBatch()
        var known: Set<UUID> = []
        for index in 0..<result.count {
            let row = result[index]
            let callID: UUID = try row.decode(named: "call_id")
            known.insert(callID)
            if try row.decode(Bool.self, named: "has_ended") {
                batch.ended.append((callID, try row.decode(named: "dialer_id")))
            }
            if try row.decode(Bool.self, named: "is_stronger") { batch.changed += 1 }
            if let outcome = try row.decode(String?.self, named: "new_outcome").flatMap(CallOutcome.init(rawValue:)) {
                batch.outcomes.append(
                    RecordedOutcome(
                        outcome: outcome,
                        campaign: try row.decode(String?.self, named: "campaign") ?? "",
                        ringToAnswer: try row.decode(Double?.self, named: "ring_seconds").map { .seconds(max(0, $0)) }
                    )
                )
            }
            if try row.decode(UUID?.self, named: "event_id") != nil {
                batch.surveyEvents.append(try Self.surveyEvent(row))
            }
        }
        batch.unknownCalls = reported.filter { !known.contains($0) }
        return batch
    }

    /// Survey events that were recorded and not seen to be published.
    /// - Parameters:
    ///   - age: Only those at least this old, so that the regular path has had its chance.
    ///   - limit: At most this many.
    /// - Returns: The events, oldest first.
    /// - Throws: `PostgresError`.
    public func unpublishedSurveyEvents(olderThan age: Duration, limit: Int = 500) async throws -> [SurveyEvent] {
        try await self.client.execute(Self.unpublishedEvents, [age.inSeconds, limit]).map(Self.surveyEvent)
    }

    /// Notes that the broker has confirmed these events.
    /// - Throws: `PostgresError`.
    public func markPublished(_ eventIDs: [UUID]) async throws {
        guard !eventIDs.isEmpty else { return }
        try await self.client.execute(Self.markEventsPublished, [eventIDs])
    }

    private static func surveyEvent(_ row: PostgresRow) throws -> SurveyEvent {
        let kind = try row.decode(String.self, named: "kind")
        guard let kind = SurveyEvent.Kind(rawValue: kind) else {
            throw StoreError(
                code: .schemaMismatch,
                message: "survey_events.kind holds '\(kind)', which is unknown here"
            )
        }
        return SurveyEvent(
            eventID: try row.decode(named: "event_id"),
            kind: kind,
            callID: try row.decode(named: "call_id"),
            contactID: try row.decode(named: "contact_id"),
            campaignID: try row.decode(named: "campaign_id"),
            externalContactID: try row.decode(named: "external_contact_id"),
            attempts: try row.decode(named: "attempts"),
            occurredAt: try row.decode(named: "occurred_at")
        )
    }
}
