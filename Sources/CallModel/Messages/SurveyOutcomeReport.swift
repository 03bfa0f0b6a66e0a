// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// What conducted an interview says of its outcome (`survey-outcome.v1`). It wins over the provider's "completed", which
/// only means that somebody picked up.
public struct SurveyOutcomeReport: FlatMessage, Equatable {
    /// The message type and version, as in the AMQP `type` property.
    public static let messageType = "survey-outcome.v1"

    /// How the interview ended.
    public enum Outcome: String, Sendable, Codable, CaseIterable {
        /// The respondent wants to be called another time.
        case callback
        /// The interview is complete.
        case completed
        /// The respondent declined it.
        case refused
        /// The respondent does not want to be called again, by anyone: the number is excluded at once.
        case optOut = "opt_out"

        /// Order of strength: of two reports about one call the stronger stands, in whatever order they arrive.
        public var rank: Int {
            switch self {
            case .callback: 1
            case .completed: 2
            case .refused: 3
            case .optOut: 4
            }
        }
    }

    /// The report's own id.
    public var eventID: UUID
    /// The call in which the interview was held.
    public var callID: UUID
    /// How it ended.
    public var outcome: Outcome
    /// When it ended.
    public var occurredAt: Date
    /// When the respondent wants to be called; nil for "not now", after the campaign's pause. Of a ``Outcome/callback`` only.
    public var callbackAt: Date?
    /// Until when that is meant; nil for half an hour.
    public var callbackUntil: Date?

    /// Creates a report.
    public init(
        eventID: UUID = CallID.make(),
        callID: UUID,
        outcome: Outcome,
        occurredAt: Date,
        callbackAt: Date? = nil,
        callbackUntil: Date? = nil
    ) {
        self.eventID = eventID
        self.callID = callID
        self.outcome = outcome
        self.occurredAt = occurredAt
        self.callbackAt = callbackAt
        self.callbackUntil = callbackUntil
    }

    /// One report per call, the strongest, and the latest of those, ordered by call id, so that two recorders lock rows in the same order.
    public static func merge(_ reports: some Sequence<SurveyOutcomeReport>) -> [SurveyOutcomeReport] {
        var strongest: [UUID: SurveyOutcomeReport] = [:]
        for report in reports {
            guard let held = strongest[report.callID],
                (held.outcome.rank, held.occurredAt) >= (report.outcome.rank, report.occurredAt)
            else {
                strongest[report.callID] = report
                continue
            }
        }
        return strongest.values.sorted { $0.callID.precedes($1.callID) }
    }

    enum CodingKeys: String, CodingKey {
        case eventID = "event_id"
        case callID = "call_id"
        case outcome
        case occurredAt = "occurred_at"
        case callbackAt = "callback_at"
        case callbackUntil = "callback_until"
    }
}

extension SurveyOutcomeReport {
    /// Writes the fields.
    public func write(to writer: inout FlatJSONWriter) {
        writer.write("call_id", self.callID)
        if let callbackAt = self.callbackAt { writer.write("callback_at", callbackAt) }
        if let callbackUntil = self.callbackUntil { writer.write("callback_until", callbackUntil) }
        writer.write("event_id", self.eventID)
        writer.write("occurred_at", self.occurredAt)
        writer.write("outcome", self.outcome.rawValue)
    }

    /// Leaves it to `JSONDecoder`: others write them, and few come.
    public static func read(from reader: inout FlatJSONReader) -> SurveyOutcomeReport? { nil }
}
